// The live connection: overlays and their pictures, reconnected for ever.
//
// The server sends a JPEG as a binary message directly before its overlay; together they are one
// update. Pictures are decoded one at a time; while one is decoded only the newest waits.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const STALE_AFTER_MS = 3000;

/**
 * Emits on itself:
 *   "update" {overlay, bitmap|null}   a frame to show
 *   "overlay" overlay                 every overlay, also those whose picture was left out
 *   "end" message                     the session is over
 *   "link" {state: "waiting"|"live"|"stale"|"lost", text}
 */
export class LiveFeed extends EventTarget {
  #camera = null;
  #frames = true;
  #socket = null;
  #failures = 0;
  #timer = 0;
  #jpeg = null;
  #pending = null;
  #decoding = false;
  #lastAt = 0;
  #ended = false;
  #state = "";

  #watchman = setInterval(() => this.#watch(), 500);
  #closed = new AbortController();

  constructor() {
    super();
    const { signal } = this.#closed;
    // A page that nobody sees needs no pictures.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#hangUp() : this.#open()), { signal });
    window.addEventListener("online", () => this.#open(), { signal });
  }

  /** Be silent for ever. */
  close() {
    this.watch(null);
    clearInterval(this.#watchman);
    this.#closed.abort();
  }

  /** Watch another camera, with its pictures or without; null: none. */
  watch(camera, { frames = true } = {}) {
    this.#camera = camera;
    this.#frames = frames;
    this.#failures = 0;
    this.#open();
  }

  #open() {
    this.#hangUp();
    if (this.#camera === null || document.hidden) return;
    const url = new URL(`/api/v1/cameras/${encodeURIComponent(this.#camera)}/live?frames=${Number(this.#frames)}`, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    this.#link("waiting", "Connecting");
    const socket = new WebSocket(url);
    socket.binaryType = "blob";
    socket.onopen = () => {
      this.#lastAt = performance.now();
      this.#link("waiting", "Connected, no picture yet");
    };
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = () => this.#lost();
    this.#socket = socket;
  }

  #hangUp() {
    clearTimeout(this.#timer);
    this.#jpeg = this.#pending = null;
    this.#ended = false;
    if (this.#socket === null) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }

  #lost() {
    this.#hangUp();
    const bound = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures += 1;
    const pause = bound * (0.5 + Math.random() / 2);
    this.#link("lost", `Disconnected, trying again in ${Math.max(1, Math.round(pause / 1000))} s`);
    this.#timer = setTimeout(() => this.#open(), pause);
  }

  #receive(data) {
    if (data instanceof Blob) {
      this.#jpeg = data;
      return;
    }
    const message = JSON.parse(data);
    const jpeg = this.#jpeg;
    this.#jpeg = null;
    this.#failures = 0;
    this.#lastAt = performance.now();
    if (message.type === "session_end") {
      this.#ended = true;
      this.#link("stale", "Source ended");
      this.#emit("end", message);
    } else if (message.type === "overlay") {
      this.#ended = false;
      this.#link("live", "Live");
      this.#emit("overlay", message);
      this.#pending = { overlay: message, jpeg };
      this.#decode();
    }
  }

  async #decode() {
    if (this.#decoding) return;
    this.#decoding = true;
    while (this.#pending !== null) {
      const { overlay, jpeg } = this.#pending;
      this.#pending = null;
      const bitmap = jpeg === null ? null : await createImageBitmap(jpeg).catch(() => null);
      this.#emit("update", { overlay, bitmap });
    }
    this.#decoding = false;
  }

  #watch() {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#ended) return;
    const silent = performance.now() - this.#lastAt;
    if (silent > STALE_AFTER_MS) {
      this.#link("stale", `No picture for ${Math.round(silent / 1000)} s`);
    }
  }

  #link(state, text) {
    const now = `${state} ${text}`;
    if (now === this.#state) return;
    this.#state = now;
    this.#emit("link", { state, text });
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
