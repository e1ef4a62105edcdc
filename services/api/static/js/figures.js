// The tiles below the picture.

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 250; // figures that change faster cannot be read

let shownAt = 0;
let skipped = 0;

/** Count what a session skipped and show an overlay's figures, a few times a second. */
export function showFigures(overlay, policy) {
  skipped = overlay.seq === 0 ? 0 : skipped + overlay.skipped;
  put("people", String(overlay.people));
  const now = performance.now();
  if (now - shownAt < REFRESH_MS) return;
  shownAt = now;
  put("inference", overlay.inference_ms.toFixed(1), "ms");
  put("rate", overlay.fps > 0 ? overlay.fps.toFixed(1) : "–", "fps");
  // A file played as fast as it goes has no "now" to be late behind.
  put("latency", policy === "live" ? Math.round(overlay.latency_ms).toString() : "–", "ms");
  put("skipped", String(skipped));
  showModels([overlay.detector, overlay.pose].filter((run) => run !== null));
}

export function clearFigures() {
  skipped = shownAt = 0;
  for (const id of ["people", "inference", "rate", "latency", "skipped", "models"]) put(id, "–");
}

function put(id, text, unit = "") {
  const place = $(id);
  const whole = text === "–" ? "–" : text + unit;
  if (place.textContent === whole) return;
  place.replaceChildren(text);
  if (unit && text !== "–") {
    const small = document.createElement("span");
    small.className = "unit";
    small.textContent = unit;
    place.append(small);
  }
}

function showModels(runs) {
  if (runs.length === 0) return;
  const devices = [...new Set(runs.map((run) => run.device))].join("/");
  const names = runs.map((run) => `${run.model} ${run.precision} ${run.ms.toFixed(1)} ms`).join(" + ");
  const place = $("models");
  const device = document.createElement("span");
  device.className = "model-device";
  device.textContent = devices;
  place.replaceChildren(device, names);
}
