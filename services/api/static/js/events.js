// The list of the latest events, from the database; asked again when the live view tells of one.

import { ask } from "./api.js";

const SHOWN = 40;
const POLL_MS = 10_000;
const SOON_MS = 300;

const KINDS = {
  entered: "entered",
  exited: "left",
  zone_entered: "entered zone",
  zone_exited: "left zone",
  dwelled: "stayed in",
  line_crossed: "crossed",
};
const REASONS = {
  walked_in: "walked in",
  in_view_at_start: "there at the start",
  left_view: "out of view",
  source_ended: "source ended",
};

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

  watch(camera) {
    this.#camera = camera;
    this.#known.clear();
    this.#list.replaceChildren();
    const query = `camera=${encodeURIComponent(camera)}&limit=1000`;
    document.getElementById("events-csv").href = `/api/v1/events?${query}&format=csv`;
    document.getElementById("events-json").href = `/api/v1/events?${query}`;
    this.soon(0);
  }

  /** Ask again, soon. */
  soon(delay = SOON_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#refresh(), delay);
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
      this.#notice.textContent = `Events cannot be had: ${error.message}`;
      this.#notice.hidden = false;
    }
    this.#asking = false;
    this.soon(this.#again ? SOON_MS : POLL_MS);
    this.#again = false;
  }

  #show(events) {
    const first = this.#known.size === 0;
    this.#list.replaceChildren(...events.map((event) => this.#row(event, !first && !this.#known.has(event.id))));
    this.#known = new Set(events.map((event) => event.id));
    this.#empty.hidden = events.length > 0;
  }

  #row(event, isNew) {
    const row = document.createElement("li");
    row.className = isNew ? "event new" : "event";
    const number = span("event-number", String(event.track));
    number.style.backgroundColor = this.#colour(event.track);
    number.title = `Person ${event.track}, visit ${event.visit_number}`;
    const what = document.createElement("div");
    what.className = "event-what";
    const people = event.people === 1 ? "1 person" : `${event.people} people`;
    const more = [REASONS[event.reason], people].filter(Boolean).join(" · ");
    what.append(span("event-kind", [KINDS[event.kind] ?? event.kind, event.zone].filter(Boolean).join(" ")));
    what.append(document.createElement("br"), span("event-more", more));
    const when = document.createElement("time");
    when.className = "event-when";
    when.dateTime = event.occurred_at;
    const at = new Date(event.occurred_at);
    const today = at.toDateString() === new Date().toDateString();
    when.textContent = at.toLocaleTimeString();
    if (!today) when.append(document.createElement("br"), at.toLocaleDateString());
    when.title = at.toLocaleString();
    row.append(number, what, when);
    return row;
  }
}

function span(className, text) {
  const made = document.createElement("span");
  made.className = className;
  made.textContent = text;
  return made;
}
