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
  throw new Refused(response.status, problem.detail || response.statusText);
}

export function tell(path, body) {
  return ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
}
