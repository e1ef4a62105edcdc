// The history of events: filters in the address, more as one scrolls, new ones on top, CSV.

import { ask, words } from "./api.js";
import { h, options } from "./dom.js";
import { CHOICES, eventRow } from "./event-row.js";

const PAGE = 60;
const NEW_MS = 3000;
const ALL = "all cameras";

export class EventsView {
  #router;
  #cameras;
  #colour;
  #filters = new URLSearchParams();
  #visible = false;
  #generation = 0;
  #next = null;
  #asking = false;
  #known = new Set();
  #list = h("ol", { class: "event-list", id: "history", "aria-label": "Events" });
  #notice = h("p", { class: "notice", role: "status", hidden: true });
  #empty = h("p", { class: "empty", hidden: true }, "No events match.");
  #count = h("p", { class: "hint", role: "status" });
  #end = h("div", { class: "end" });
  #more = h("button", { type: "button", class: "button", hidden: true, onclick: () => this.#page() }, "Show more");
  #csv = h("a", { class: "button", download: "events.csv" }, "Download CSV");
  #camera = h("select", { id: "filter-camera" });
  #since = h("input", { type: "datetime-local", id: "filter-from" });
  #until = h("input", { type: "datetime-local", id: "filter-to" });
  #kinds = new Map();

  constructor(router, cameras, colour) {
    this.#router = router;
    this.#cameras = cameras;
    this.#colour = colour;
    const kinds = h("div", { class: "layers", role: "group", "aria-label": "Kinds of events" });
    for (const [kind, name] of Object.entries(CHOICES)) {
      const button = h("button", { type: "button", class: "toggle", "aria-pressed": "false", "data-kind": kind }, name);
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        this.#filter();
      });
      this.#kinds.set(kind, button);
      kinds.append(button);
    }
    const clear = h("button", { type: "button", class: "button", onclick: () => router.go("events") }, "Clear");
    document.getElementById("view-events").append(
      h("h2", { id: "history-title" }, "Events"),
      h(
        "form",
        { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
        h("label", { class: "chooser" }, "Camera ", this.#camera),
        h("label", { class: "chooser" }, "From ", this.#since),
        h("label", { class: "chooser" }, "To ", this.#until),
        kinds,
        h("div", { class: "actions" }, clear, this.#csv),
      ),
      this.#notice,
      h("div", { class: "panel" }, this.#count, this.#list, this.#empty, this.#end, this.#more),
    );
    for (const field of [this.#camera, this.#since, this.#until]) field.addEventListener("change", () => this.#filter());
    cameras.addEventListener("change", () => this.#visible && this.#names());
    new IntersectionObserver(([entry]) => entry.isIntersecting && this.#next !== null && this.#page(), { rootMargin: "400px" }).observe(this.#end);
    setInterval(() => this.#visible && !document.hidden && this.#news(), NEW_MS);
  }

  show(_camera, filters) {
    this.#visible = true;
    this.#filters = filters;
    this.#names();
    this.#camera.value = filters.get("camera") ?? ALL;
    this.#since.value = local(filters.get("from"));
    this.#until.value = local(filters.get("to"));
    const kinds = filters.getAll("kind");
    for (const [kind, button] of this.#kinds) button.setAttribute("aria-pressed", String(kinds.includes(kind)));
    this.#csv.href = `/api/v1/events.csv?${query(filters)}`;
    this.#restart();
  }

  hide() {
    this.#visible = false;
    this.#generation += 1;
  }

  #names() {
    options(this.#camera, [ALL, ...this.#cameras.names]);
    this.#camera.value = this.#filters.get("camera") ?? ALL;
  }

  /** Put the filters into the address; the view follows from that. */
  #filter() {
    const filters = new URLSearchParams();
    if (this.#camera.value !== ALL) filters.set("camera", this.#camera.value);
    for (const [kind, button] of this.#kinds) {
      if (button.getAttribute("aria-pressed") === "true") filters.append("kind", kind);
    }
    if (this.#since.value) filters.set("from", new Date(this.#since.value).toISOString());
    if (this.#until.value) filters.set("to", new Date(this.#until.value).toISOString());
    this.#router.go("events", null, filters);
  }

  #restart() {
    this.#generation += 1;
    this.#known.clear();
    this.#list.replaceChildren();
    this.#next = "";
    this.#asking = false;
    this.#empty.hidden = true;
    this.#page();
  }

  async #page() {
    if (this.#asking || this.#next === null) return;
    this.#asking = true;
    const generation = this.#generation;
    try {
      const cursor = this.#next ? `&cursor=${encodeURIComponent(this.#next)}` : "";
      const page = await ask(`/api/v1/events?${query(this.#filters)}&limit=${PAGE}${cursor}`);
      if (generation !== this.#generation) return;
      this.#list.append(...this.#rows(page.events, false));
      this.#next = page.next;
      this.#said("");
    } catch (error) {
      if (generation === this.#generation) this.#said(`Events cannot be had: ${words(error)}`);
    }
    if (generation !== this.#generation) return;
    this.#asking = false;
    this.#summary();
  }

  /** Ask for events that came since. */
  async #news() {
    if (this.#asking || this.#known.size === 0) {
      if (!this.#asking && this.#next !== "") this.#restartQuietly();
      return;
    }
    const generation = this.#generation;
    const page = await ask(`/api/v1/events?${query(this.#filters)}&limit=${PAGE}`).catch((error) => {
      this.#said(`Events cannot be had: ${words(error)}`);
      return null;
    });
    if (page === null || generation !== this.#generation) return;
    this.#said("");
    const fresh = page.events.filter((event) => !this.#known.has(event.id));
    if (fresh.length === page.events.length && fresh.length === PAGE) this.#restart();
    else if (fresh.length) this.#list.prepend(...this.#rows(fresh, true));
    this.#summary();
  }

  /** Nothing was there, or nobody answered: try again. */
  #restartQuietly() {
    this.#next = "";
    this.#page();
  }

  #rows(events, isNew) {
    return events
      .filter((event) => !this.#known.has(event.id))
      .map((event) => {
        this.#known.add(event.id);
        return eventRow(event, { colour: this.#colour, camera: !this.#filters.has("camera"), isNew });
      });
  }

  #summary() {
    const all = this.#next === null;
    this.#empty.hidden = this.#known.size > 0 || !all;
    this.#more.hidden = all || this.#known.size === 0;
    this.#count.textContent = this.#known.size ? `${this.#known.size} events${all ? "" : " so far"}` : "";
  }

  #said(text) {
    this.#notice.textContent = text;
    this.#notice.hidden = text === "";
  }
}

/** The API's parameters are those of the address. */
function query(filters) {
  return String(filters);
}

/** An ISO time as a datetime-local field takes it. */
function local(iso) {
  if (!iso) return "";
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
