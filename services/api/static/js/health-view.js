// What works, and what to do about the rest: the checks of `posewire doctor`, and what runs now.

import { ask, words } from "./api.js";
import { h } from "./dom.js";
import { number } from "./format.js";

const POLL_MS = 3000;
const WORDS = new Map([[true, "ok"], [false, "wrong"], [null, "not needed"]]);

export class HealthView {
  #visible = false;
  #verdict = h("p", { class: "verdict", role: "status", id: "verdict" }, "Asking …");
  #checks = h("ul", { class: "checks", id: "checks" });
  #streams = h("tbody");
  #table;

  constructor() {
    const head = ["Camera", "Frames", "Poses", "Tracks", "Models", "Device"].map((name) => h("th", { scope: "col" }, name));
    this.#table = h("table", { class: "table" }, h("thead", {}, h("tr", {}, head)), this.#streams);
    document.getElementById("view-health").append(
      h("h2", { id: "health-title" }, "Health"),
      this.#verdict,
      h("div", { class: "halves" },
        h("section", { class: "panel", "aria-label": "Checks" }, h("h3", {}, "Checks"), this.#checks),
        h("section", { class: "panel", "aria-label": "Streams" }, h("h3", {}, "Streams"),
          h("p", { class: "hint" }, "Entries kept on the bus, and the age of the newest one."),
          h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Streams of each camera" }, this.#table)),
      ),
    );
    setInterval(() => this.#visible && !document.hidden && this.#refresh(), POLL_MS);
  }

  show() {
    this.#visible = true;
    this.#refresh();
  }

  hide() {
    this.#visible = false;
  }

  async #refresh() {
    let status;
    try {
      status = await ask("/api/v1/status");
    } catch (error) {
      this.#verdict.dataset.ok = "false";
      this.#verdict.textContent = `The gateway's state cannot be had: ${words(error)}.`;
      return;
    }
    const wrong = status.checks.filter((check) => check.ok === false);
    this.#verdict.dataset.ok = String(status.ok);
    this.#verdict.textContent = status.ok
      ? `Everything works. Posewire ${status.version}.`
      : `${wrong.length === 1 ? "One thing is" : `${wrong.length} things are`} wrong: ${wrong.map((check) => check.name).join(", ")}. Posewire ${status.version}.`;
    // What is wrong comes first.
    const order = [...wrong, ...status.checks.filter((check) => check.ok !== false)];
    this.#checks.replaceChildren(
      ...order.map((check) =>
        h("li", { class: "check", "data-ok": String(check.ok) },
          h("span", { class: "mark" }, WORDS.get(check.ok)),
          h("span", { class: "check-name" }, check.name),
          h("span", { class: "check-text" }, check.text))),
    );
    this.#streams.replaceChildren(...status.cameras.map((camera) => this.#row(camera)));
    this.#table.hidden = status.cameras.length === 0;
  }

  #row({ camera, streams, models, devices }) {
    const cell = ({ length, age_s: age }) => h("td", {}, age === null ? "–" : `${length} · ${number(age)} s`);
    return h("tr", {}, h("th", { scope: "row" }, camera), cell(streams.frames), cell(streams.poses), cell(streams.tracks),
      h("td", {}, models.join(", ") || "–"), h("td", {}, devices.join(", ") || "–"));
  }
}
