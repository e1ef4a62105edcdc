// The live view: picture and overlay, choosers, layers, figures, the latest events.

import { ask, cameraPath } from "./api.js";
import { h, options } from "./dom.js";
import { EventList } from "./events.js";
import { clearFigures, showFigures } from "./figures.js";
import { people } from "./format.js";
import { LiveFeed } from "./live.js";
import { href } from "./router.js";
import { LAYERS, Stage } from "./stage.js";

const AREAS_MS = 5000;
const DESCRIBED_MS = 5000;
const KEPT = "posewire.layers";
const $ = (id) => document.getElementById(id);

export class LiveView {
  #router;
  #cameras;
  #stage;
  #events;
  #feed = new LiveFeed();
  #camera = null;
  #visible = false;
  #people = 0;

  constructor(router, cameras, skeleton, colour) {
    this.#router = router;
    this.#cameras = cameras;
    this.#stage = new Stage($("picture"), skeleton);
    this.#events = new EventList(colour);
    this.#layers();
    $("camera").addEventListener("change", () => router.go("live", $("camera").value));
    $("source").addEventListener("change", () => cameras.play(this.#camera, $("source").value));
    cameras.addEventListener("change", () => this.#choosers());
    $("fullscreen").addEventListener("click", () => this.#wholeScreen());
    this.#feed.addEventListener("link", ({ detail }) => this.#link(detail));
    this.#feed.addEventListener("update", ({ detail }) => this.#stage.show(detail.overlay, detail.bitmap));
    this.#feed.addEventListener("overlay", ({ detail }) => this.#overlay(detail));
    this.#feed.addEventListener("end", () => this.#events.soon());
    setInterval(() => this.#visible && !document.hidden && this.#areas(), AREAS_MS);
    setInterval(() => this.#describe(), DESCRIBED_MS);
  }

  /** Show a camera; null: any. */
  show(camera) {
    this.#visible = true;
    const name = this.#cameras.get(camera) ? camera : this.#cameras.any();
    if (name === null) return;
    if (name !== camera) {
      this.#router.go("live", name, null, { replace: true });
      return;
    }
    if (name !== this.#camera) {
      this.#stage.clear();
      this.#stage.areas = null;
      clearFigures();
    }
    this.#camera = name;
    this.#events.watch(name);
    this.#feed.watch(name, { frames: this.#stage.layers.picture });
    this.#areas();
    this.#choosers();
  }

  hide() {
    this.#visible = false;
    this.#events.watch(null);
    this.#feed.watch(null);
  }

  get camera() {
    return this.#camera;
  }

  #layers() {
    let kept = {};
    try {
      kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
    } catch {
      // Storage may be forbidden or hold nonsense: the defaults then.
    }
    for (const [layer, name] of LAYERS) {
      if (typeof kept[layer] === "boolean") this.#stage.layers[layer] = kept[layer];
      const button = h("button", { type: "button", class: "toggle", "aria-pressed": String(this.#stage.layers[layer]), "data-layer": layer }, name);
      button.addEventListener("click", () => this.#toggle(layer, button));
      $("layers").append(button);
    }
  }

  #toggle(layer, button) {
    const layers = this.#stage.layers;
    layers[layer] = !layers[layer];
    button.setAttribute("aria-pressed", String(layers[layer]));
    try {
      localStorage.setItem(KEPT, JSON.stringify(layers));
    } catch {
      // Then it is forgotten with the page.
    }
    // Without the picture nothing of it need be sent.
    if (layer === "picture" && this.#camera) this.#feed.watch(this.#camera, { frames: layers.picture });
    this.#stage.redraw();
  }

  #wholeScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else $("stage").requestFullscreen?.().catch(() => {});
  }

  #choosers() {
    const name = this.#camera;
    if (name === null && this.#visible && this.#cameras.any()) this.show(this.#router.current.camera);
    const camera = this.#cameras.get(name);
    options($("camera"), this.#cameras.names);
    if (!camera) return;
    $("camera").value = name;
    options($("source"), camera.sources.map((source) => source.name), camera.sources.map((source) => source.url));
    $("source").value = this.#cameras.source(name);
    $("source").disabled = !camera.enabled;
    $("events-all").href = href("events", null, new URLSearchParams({ camera: name }));
    $("notice").textContent = this.#cameras.trouble(name);
    $("notice").hidden = $("notice").textContent === "";
  }

  async #areas() {
    const camera = this.#camera;
    if (camera === null) return;
    const areas = await ask(`${cameraPath(camera)}/areas`).catch(() => null);
    if (camera !== this.#camera || areas === null) return;
    this.#stage.areas = areas;
    this.#stage.redraw();
  }

  #overlay(overlay) {
    this.#people = overlay.people;
    showFigures(overlay, this.#cameras.get(this.#camera)?.policy);
    if (overlay.events.length > 0) this.#events.soon();
  }

  #link({ state, text }) {
    $("link").dataset.state = state;
    $("link").textContent = text;
    $("stage").dataset.fresh = String(state === "live");
    $("veil").textContent = text;
  }

  #describe() {
    if (this.#visible) $("picture").setAttribute("aria-label", `Live picture, ${people(this.#people)} in view`);
  }
}
