// Which camera is watched, and what it plays.

import { ask, tell } from "./api.js";

const POLL_MS = 2000;
const SWITCH_PATIENCE_MS = 15_000;
const WORDS = {
  starting: "is starting",
  stalled: "has stalled",
  reconnecting: "is reconnecting",
  ended: "has ended",
  failed: "has failed",
  silent: "is not being captured (no word from the capture service)",
  unknown: "cannot be asked for: the message bus does not answer",
};

/** Emits "camera" (name) when another camera is chosen; `current` is what is known of it. */
export class Cameras extends EventTarget {
  current = null;
  #camera = document.getElementById("camera");
  #source = document.getElementById("source");
  #notice = document.getElementById("notice");
  #known = new Map();
  #wish = null;
  #refusal = "";

  constructor() {
    super();
    this.#camera.addEventListener("change", () => this.#choose(this.#camera.value));
    this.#source.addEventListener("change", () => this.#switch(this.#source.value));
    window.addEventListener("hashchange", () => this.#choose(this.#fromAddress()));
  }

  /** Ask for the cameras now and for ever. */
  async start() {
    await this.#refresh();
    setInterval(() => document.hidden || this.#refresh(), POLL_MS);
  }

  /** The camera named in the address; else one that runs; else any. */
  #fromAddress() {
    const name = decodeURIComponent(location.hash.slice(1));
    if (this.#known.has(name)) return name;
    const cameras = [...this.#known.values()];
    return (cameras.find((camera) => camera.status === "running") ?? cameras[0])?.name ?? null;
  }

  async #refresh() {
    let cameras;
    try {
      ({ cameras } = await ask("/api/v1/cameras"));
    } catch {
      return; // the badge says already that the gateway is away
    }
    this.#known = new Map(cameras.map((camera) => [camera.name, camera]));
    options(this.#camera, [...this.#known.keys()]);
    if (this.current === null || !this.#known.has(this.current.name)) {
      this.#choose(this.#fromAddress());
    } else {
      this.current = this.#known.get(this.current.name);
    }
    this.#show();
  }

  #choose(name) {
    if (name === null || name === this.current?.name) return;
    this.current = this.#known.get(name);
    this.#wish = null;
    this.#refusal = "";
    this.#camera.value = name;
    history.replaceState(null, "", `#${encodeURIComponent(name)}`);
    this.#show();
    this.dispatchEvent(new CustomEvent("camera", { detail: name }));
  }

  async #switch(source) {
    const camera = this.current.name;
    this.#wish = { source, until: performance.now() + SWITCH_PATIENCE_MS };
    this.#refusal = "";
    this.#show();
    try {
      await tell(`/api/v1/cameras/${encodeURIComponent(camera)}/source`, { source });
    } catch (error) {
      this.#wish = null;
      this.#refusal = `The source was not switched: ${error.message}`;
      this.#show();
    }
  }

  #show() {
    const camera = this.current;
    if (!camera) return;
    const plays = camera.state?.source ?? camera.source;
    if (this.#wish && (this.#wish.source === plays || performance.now() > this.#wish.until)) {
      if (this.#wish.source !== plays) this.#refusal = `Capture did not switch to ${this.#wish.source}.`;
      this.#wish = null;
    }
    options(this.#source, camera.sources.map((source) => source.name), camera.sources.map((source) => source.url));
    if (document.activeElement !== this.#source || !this.#wish) this.#source.value = this.#wish?.source ?? plays;
    this.#source.disabled = !camera.enabled;
    this.#notice.textContent = this.#words(camera, plays);
    this.#notice.hidden = this.#notice.textContent === "";
  }

  #words(camera, plays) {
    if (this.#refusal) return this.#refusal;
    if (this.#wish) return `Switching to ${this.#wish.source} …`;
    if (!camera.enabled) return `Camera ${camera.name} is disabled in the configuration.`;
    if (camera.status === "running") return "";
    const why = camera.state?.error ? `: ${camera.state.error}` : ".";
    const what = camera.status in { silent: 0, unknown: 0 } ? `Camera ${camera.name}` : `Source ${plays}`;
    return `${what} ${WORDS[camera.status] ?? camera.status}${why}`;
  }
}

function options(select, names, titles = []) {
  if (names.length === select.length && names.every((name, i) => select.options[i].value === name)) return;
  select.replaceChildren(
    ...names.map((name, i) => {
      const option = new Option(name, name);
      option.title = titles[i] ?? "";
      return option;
    }),
  );
}
