// The list of the latest events beside the live picture; asked again when that tells of one.

import { ask, words } from "./api.js";
import { eventRow } from "./event-row.js";

const SHOWN = 40;
const POLL_MS = 10_000;
const SOON_MS = 300;

export class EventList {
  #list = document.getElementById("events");
  #notice = document.getElementById("events-notice");
  #empty = document.getElementById("events-empty");
  #colour;
  #camera = null;
  #known = new Set();
  #timer = 0;
  #asking = false;
  #again = false;

  constructor(colour) {
    this.#colour = colour;
    document.addEventListener("visibilitychange", () => document.hidden || this.soon());
  }

  /** Show another camera's events; null: none. */
  watch(camera) {
    this.#camera = camera;
    this.#known.clear();
    this.#list.replaceChildren();
    if (camera !== null) this.soon(0);
  }

  /** Ask again, soon. */
  soon(delay = SOON_MS) {
    clearTimeout(this.#timer);
    if (this.#camera !== null) this.#timer = setTimeout(() => this.#refresh(), delay);
  }

  async #refresh() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    const camera = this.#camera;
    try {
      const page = await ask(`/api/v1/events?camera=${encodeURIComponent(camera)}&limit=${SHOWN}`);
      if (camera === this.#camera) this.#show(page.events);
      this.#notice.hidden = true;
    } catch (error) {
      this.#notice.textContent = `Events cannot be had: ${words(error)}`;
      this.#notice.hidden = false;
    }
    this.#asking = false;
    this.soon(this.#again ? SOON_MS : POLL_MS);
    this.#again = false;
  }

  #show(events) {
    const first = this.#known.size === 0;
    this.#list.replaceChildren(
      ...events.map((event) => eventRow(event, { colour: this.#colour, isNew: !first && !this.#known.has(event.id) })),
    );
    this.#known = new Set(events.map((event) => event.id));
    this.#empty.hidden = events.length > 0;
  }
}
