// Asking the gateway over HTTP.

const TIMEOUT_MS = 8000;

/** What the gateway refused, with its own words. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Fetch JSON; throws Refused, or TypeError/DOMException where the gateway cannot be reached. */
export async function ask(path, options = {}) {
  const response = await fetch(path, {
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...options,
  });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  const wrong = (problem.errors ?? []).map((error) => error.msg).filter(Boolean);
  throw new Refused(response.status, wrong.join("; ") || problem.detail || response.statusText);
}

/** Send JSON with `method`. */
export function tell(path, body, method = "POST", headers = {}) {
  return ask(path, {
    method,
    headers: { "Content-Type": "application/json", Accept: "application/json", ...headers },
    body: body === null ? undefined : JSON.stringify(body),
  });
}

/** In words for people: what the gateway said, or that it cannot be reached. */
export function words(error) {
  return error instanceof Refused ? error.message : "the gateway does not answer";
}

export const cameraPath = (camera) => `/api/v1/cameras/${encodeURIComponent(camera)}`;
