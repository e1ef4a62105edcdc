// What is known of the cameras, asked for again and again; and the wish to play another source.

import { ask, cameraPath, tell, words } from "./api.js";

const POLL_MS = 2000;
const SWITCH_PATIENCE_MS = 15_000;
const WORDS = {
  starting: "is starting",
  stalled: "has stalled",
  reconnecting: "is reconnecting",
  ended: "has ended",
  failed: "has failed",
  standby: "waits: another capture holds it",
  silent: "is not being captured (no word from the capture service)",
  unknown: "cannot be asked for: the message bus does not answer",
};

/** Emits "change" after each answer of the gateway, "lost" where there is none. */
export class Cameras extends EventTarget {
  #known = new Map();
  #wishes = new Map();
  #refusals = new Map();

  /** Ask now and for ever. */
  async start() {
    await this.#refresh();
    setInterval(() => document.hidden || this.#refresh(), POLL_MS);
  }

  get names() {
    return [...this.#known.keys()];
  }

  get all() {
    return [...this.#known.values()];
  }

  get(name) {
    return this.#known.get(name) ?? null;
  }

  /** The camera to show where none is named: one that runs, else any. */
  any() {
    return (this.all.find((camera) => camera.status === "running") ?? this.all[0])?.name ?? null;
  }

  /** Name of the source that a camera plays, or is about to. */
  source(name) {
    const camera = this.get(name);
    return this.#wishes.get(name)?.source ?? camera?.state?.source ?? camera?.source ?? "";
  }

  /** Ask capture to play another source. */
  async play(name, source) {
    this.#wishes.set(name, { source, until: performance.now() + SWITCH_PATIENCE_MS });
    this.#refusals.delete(name);
    this.#changed();
    try {
      await tell(`${cameraPath(name)}/source`, { source });
    } catch (error) {
      this.#wishes.delete(name);
      this.#refusals.set(name, `The source was not switched: ${words(error)}`);
      this.#changed();
    }
  }

  /** What is wrong with a camera; empty where nothing is. */
  trouble(name) {
    const camera = this.get(name);
    if (!camera) return "";
    if (this.#refusals.has(name)) return this.#refusals.get(name);
    if (this.#wishes.has(name)) return `Switching to ${this.#wishes.get(name).source} …`;
    if (!camera.enabled) return `Camera ${name} is disabled in the configuration.`;
    if (camera.status === "running") return "";
    const why = camera.state?.error ? `: ${camera.state.error}` : ".";
    const quiet = camera.status === "silent" || camera.status === "unknown";
    const what = quiet ? `Camera ${name}` : `Source ${this.source(name)}`;
    return `${what} ${WORDS[camera.status] ?? camera.status}${why}`;
  }

  async #refresh() {
    try {
      const { cameras } = await ask("/api/v1/cameras");
      this.#known = new Map(cameras.map((camera) => [camera.name, camera]));
    } catch {
      this.dispatchEvent(new Event("lost"));
      return;
    }
    for (const [name, wish] of this.#wishes) {
      const plays = this.get(name)?.state?.source;
      if (plays !== wish.source && performance.now() < wish.until) continue;
      this.#wishes.delete(name);
      if (plays !== wish.source) this.#refusals.set(name, `Capture did not switch to ${wish.source}.`);
    }
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
