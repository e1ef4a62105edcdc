// All cameras at a glance: a picture, a count, what each plays.

import { cameraPath } from "./api.js";
import { h, options } from "./dom.js";
import { LiveFeed } from "./live.js";
import { href } from "./router.js";

const PICTURE_MS = 1000;
const PICTURE_WIDTH = 480;

export class CamerasView {
  #cameras;
  #router;
  #cards = new Map();
  #grid = h("ul", { class: "camera-grid" });
  #empty = h("p", { class: "empty", hidden: true }, "No cameras are configured.");
  #visible = false;

  constructor(router, cameras) {
    this.#cameras = cameras;
    this.#router = router;
    document.getElementById("view-cameras").append(h("h2", { id: "cameras-title" }, "Cameras"), this.#grid, this.#empty);
    cameras.addEventListener("change", () => this.#visible && this.#update());
  }

  show() {
    this.#visible = true;
    this.#update();
  }

  hide() {
    this.#visible = false;
    for (const card of this.#cards.values()) card.stop();
    this.#cards.clear();
    this.#grid.replaceChildren();
  }

  #update() {
    const names = this.#cameras.names;
    this.#empty.hidden = names.length > 0;
    for (const [name, card] of this.#cards) {
      if (names.includes(name)) continue;
      card.stop();
      card.element.remove();
      this.#cards.delete(name);
    }
    for (const name of names) {
      if (!this.#cards.has(name)) {
        const card = new Card(name, this.#cameras);
        this.#cards.set(name, card);
        this.#grid.append(card.element);
      }
      this.#cards.get(name).update();
    }
  }
}

class Card {
  element;
  #name;
  #cameras;
  #feed = new LiveFeed();
  #picture;
  #count = h("span", { class: "count" }, "–");
  #state = h("span", { class: "badge", "data-state": "waiting" }, "Connecting");
  #source;
  #trouble = h("p", { class: "notice", role: "status", hidden: true });
  #timer;
  #loading = false;

  constructor(name, cameras) {
    this.#name = name;
    this.#cameras = cameras;
    this.#picture = h("img", { alt: "", width: 480, height: 270, decoding: "async" });
    this.#picture.addEventListener("load", () => this.#loaded(true));
    this.#picture.addEventListener("error", () => this.#loaded(false));
    this.#source = h("select", { onchange: () => cameras.play(name, this.#source.value) });
    this.element = h(
      "li",
      { class: "camera-card", "data-camera": name },
      h("a", { class: "camera-picture", href: href("live", name), "aria-label": `Watch camera ${name}` }, this.#picture),
      h(
        "div",
        { class: "camera-facts" },
        h("h3", {}, h("a", { href: href("live", name) }, name)),
        h("p", { class: "camera-count" }, this.#count, " now"),
        this.#state,
      ),
      h("label", { class: "chooser" }, "Source ", this.#source),
      this.#trouble,
    );
    this.#feed.addEventListener("overlay", ({ detail }) => (this.#count.textContent = String(detail.people)));
    this.#feed.addEventListener("link", ({ detail }) => {
      this.#state.dataset.state = detail.state;
      this.#state.textContent = detail.text;
      this.element.dataset.fresh = String(detail.state === "live");
    });
    this.#feed.watch(name, { frames: false });
    this.#timer = setInterval(() => this.#load(), PICTURE_MS);
    this.#load();
  }

  update() {
    const camera = this.#cameras.get(this.#name);
    options(this.#source, camera.sources.map((source) => source.name), camera.sources.map((source) => source.url));
    this.#source.value = this.#cameras.source(this.#name);
    this.#source.disabled = !camera.enabled;
    this.#trouble.textContent = this.#cameras.trouble(this.#name);
    this.#trouble.hidden = this.#trouble.textContent === "";
  }

  stop() {
    clearInterval(this.#timer);
    this.#feed.close();
  }

  #load() {
    // One at a time: a slow gateway is not asked faster than it answers.
    if (this.#loading || document.hidden) return;
    this.#loading = true;
    this.#picture.src = `${cameraPath(this.#name)}/snapshot.jpg?width=${PICTURE_WIDTH}&at=${Date.now()}`;
  }

  #loaded(good) {
    this.#loading = false;
    this.#picture.classList.toggle("missing", !good);
    this.#picture.alt = good ? `Latest picture of ${this.#name}` : "";
  }
}
