// Drawing zones, lines and masks on the picture, with the mouse, a finger, or the keyboard alone.

import { ask, cameraPath, tell, words } from "./api.js";
import { h, options, svg } from "./dom.js";

const PICTURE_MS = 1000;
const NEAR = 0.025;
const STEP = 0.01;
const KINDS = {
  zones: { name: "zone", least: 3, most: 64 },
  lines: { name: "line", least: 2, most: 2 },
  masks: { name: "mask", least: 3, most: 64 },
};

export class ZonesView {
  #router;
  #cameras;
  #camera = null;
  #visible = false;
  #version = 0;
  #drawn = false;
  #areas = empty();
  #changed = false;
  #selected = null; // {kind, name}
  #drawing = null; // {kind, points}
  #loading = false;
  #chooser = h("select", { id: "zones-camera" });
  #picture = h("img", { class: "zones-picture", alt: "", draggable: "false" });
  #svg = svg("svg", { class: "zones-canvas", preserveAspectRatio: "none", viewBox: "0 0 1 1", tabindex: "0", role: "application", "aria-label": "Picture to draw on" });
  #hint = h("p", { class: "hint", role: "status", id: "zones-hint" });
  #notice = h("p", { class: "notice", role: "alert", hidden: true, id: "zones-notice" });
  #list = h("ul", { class: "zone-list", id: "zone-list" });
  #save = h("button", { type: "button", class: "button primary", id: "zones-save", onclick: () => this.#put() }, "Save");
  #revert = h("button", { type: "button", class: "button", onclick: () => this.#load() }, "Discard changes");
  #reset = h("button", { type: "button", class: "button", onclick: () => this.#giveBack() }, "Use the configuration's");

  constructor(router, cameras) {
    this.#router = router;
    this.#cameras = cameras;
    const tools = Object.entries(KINDS).map(([kind, { name }]) =>
      h("button", { type: "button", class: "button", "data-draw": kind, onclick: () => this.#begin(kind) }, `Draw a ${name}`));
    document.getElementById("view-zones").append(
      h("h2", { id: "zones-title" }, "Zones"),
      h("div", { class: "filters" }, h("label", { class: "chooser" }, "Camera ", this.#chooser), h("div", { class: "actions" }, tools)),
      this.#notice,
      h("div", { class: "columns" },
        h("div", { class: "watch" }, h("div", { class: "zones-stage" }, this.#picture, this.#svg), this.#hint),
        h("section", { class: "panel", "aria-label": "Zones, lines and masks" }, this.#list,
          h("div", { class: "actions" }, this.#save, this.#revert, this.#reset))),
    );
    this.#chooser.addEventListener("change", () => router.go("zones", this.#chooser.value));
    cameras.addEventListener("change", () => {
      if (!this.#visible) return;
      if (this.#camera === null) this.show(router.current.camera);
      else this.#names();
    });
    this.#svg.addEventListener("pointerdown", (event) => this.#press(event));
    this.#svg.addEventListener("pointermove", (event) => this.#hover(event));
    this.#svg.addEventListener("dblclick", () => this.#finish());
    this.#svg.addEventListener("keydown", (event) => this.#key(event));
    this.#picture.addEventListener("load", () => {
      this.#loading = false;
      this.#picture.classList.remove("missing");
    });
    this.#picture.addEventListener("error", () => {
      this.#loading = false;
      this.#picture.classList.add("missing");
    });
    setInterval(() => this.#visible && !document.hidden && this.#refreshPicture(), PICTURE_MS);
    window.addEventListener("beforeunload", (event) => this.#changed && event.preventDefault());
  }

  show(camera) {
    this.#visible = true;
    const name = this.#cameras.get(camera) ? camera : this.#cameras.any();
    if (name === null) return;
    if (name !== camera) {
      this.#router.go("zones", name, null, { replace: true });
      return;
    }
    this.#names();
    this.#chooser.value = name;
    if (name !== this.#camera) {
      this.#camera = name;
      this.#load();
    }
    this.#refreshPicture();
  }

  hide() {
    this.#visible = false;
  }

  #names() {
    options(this.#chooser, this.#cameras.names);
    if (this.#camera) this.#chooser.value = this.#camera;
  }

  #refreshPicture() {
    if (this.#loading || this.#camera === null) return;
    this.#loading = true;
    this.#picture.src = `${cameraPath(this.#camera)}/snapshot.jpg?overlay=false&at=${Date.now()}`;
  }

  // ---- the gateway

  async #load() {
    try {
      this.#take(await ask(`${cameraPath(this.#camera)}/areas`));
      this.#said("");
    } catch (error) {
      this.#said(`The zones cannot be had: ${words(error)}`);
    }
  }

  async #put() {
    await this.#send(tell(`${cameraPath(this.#camera)}/areas`, this.#areas, "PUT", { "If-Match": `"${this.#version}"` }), "Saved; in force now.");
  }

  async #giveBack() {
    await this.#send(tell(`${cameraPath(this.#camera)}/areas`, null, "DELETE"), "The zones of the configuration are in force.");
  }

  async #send(answer, done) {
    try {
      this.#take(await answer);
      this.#said("");
      this.#hint.textContent = done;
    } catch (error) {
      this.#said(`Not saved: ${words(error)}`);
    }
  }

  #take({ zones, lines, masks, version, drawn }) {
    this.#areas = { zones, lines, masks };
    this.#version = version;
    this.#drawn = drawn;
    this.#changed = false;
    this.#selected = this.#drawing = null;
    this.#render();
  }

  #said(text) {
    this.#notice.textContent = text;
    this.#notice.hidden = text === "";
  }

  // ---- drawing

  #begin(kind) {
    this.#selected = null;
    this.#drawing = { kind, points: [], pointer: null };
    this.#svg.focus();
    this.#render();
  }

  #press(event) {
    const at = this.#at(event);
    if (!this.#drawing) return;
    event.preventDefault();
    const { kind, points } = this.#drawing;
    const [first] = points;
    if (first && kind !== "lines" && points.length >= 3 && near(first, at)) {
      this.#finish();
      return;
    }
    if (!points.length || !near(points.at(-1), at, 0.004)) points.push(at);
    if (points.length >= KINDS[kind].most) this.#finish();
    else this.#render();
  }

  #hover(event) {
    if (!this.#drawing) return;
    this.#drawing.pointer = this.#at(event);
    this.#shapes();
  }

  #key(event) {
    if (!this.#drawing) return;
    if (event.key === "Escape") this.#drawing = null;
    else if (event.key === "Enter") return void this.#finish();
    else if (event.key === "Backspace") this.#drawing.points.pop();
    else if (event.key === " ") {
      // Without a mouse: put in a shape to be moved by its corners.
      this.#drawing.points = this.#drawing.kind === "lines" ? [[0.3, 0.6], [0.7, 0.6]] : [[0.35, 0.4], [0.65, 0.4], [0.65, 0.8], [0.35, 0.8]];
      event.preventDefault();
      return void this.#finish();
    } else return;
    event.preventDefault();
    this.#render();
  }

  #finish() {
    if (!this.#drawing) return;
    const { kind, points } = this.#drawing;
    this.#drawing = null;
    if (points.length >= KINDS[kind].least) {
      const name = this.#freeName(KINDS[kind].name);
      const made = { points };
      if (kind === "zones") made.dwell_s = [];
      if (kind === "lines") made.directions = ["in", "out"];
      this.#areas[kind] = { ...this.#areas[kind], [name]: made };
      this.#selected = { kind, name };
      this.#changed = true;
    }
    this.#render();
    this.#list.querySelector("[data-selected=true] input")?.select();
  }

  #freeName(word) {
    const taken = Object.keys(KINDS).flatMap((kind) => Object.keys(this.#areas[kind]));
    for (let number = 1; ; number += 1) if (!taken.includes(`${word} ${number}`)) return `${word} ${number}`;
  }

  #move(kind, name, index, to) {
    this.#areas[kind][name].points[index] = to.map((value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4);
    this.#changed = true;
    this.#shapes();
    this.#buttons();
  }

  #remove(kind, name) {
    const { [name]: _gone, ...rest } = this.#areas[kind];
    this.#areas[kind] = rest;
    this.#selected = null;
    this.#changed = true;
    this.#render();
  }

  #rename(kind, name, to) {
    const wanted = to.trim();
    if (!wanted || wanted === name) return this.#render();
    if (Object.keys(KINDS).some((other) => wanted in this.#areas[other])) {
      this.#said(`There is a ${wanted} already.`);
      return this.#render();
    }
    this.#areas[kind] = Object.fromEntries(Object.entries(this.#areas[kind]).map(([key, value]) => [key === name ? wanted : key, value]));
    if (this.#selected?.name === name) this.#selected = { kind, name: wanted };
    this.#changed = true;
    this.#render();
  }

  #at(event) {
    const box = this.#svg.getBoundingClientRect();
    const clip = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;
    return [clip((event.clientX - box.left) / box.width), clip((event.clientY - box.top) / box.height)];
  }

  // ---- what is shown

  #render() {
    this.#shapes();
    this.#rows();
    this.#buttons();
    const { kind } = this.#drawing ?? {};
    if (kind === "lines") this.#hint.textContent = "Click both ends of the line. Space puts one in to be moved with the arrow keys; Escape gives up.";
    else if (kind) this.#hint.textContent = "Click corner after corner; the first one again, a double click or Enter closes it. Space puts one in to be moved with the arrow keys; Escape gives up.";
    else if (this.#selected) this.#hint.textContent = "Drag the corners, or go to one with Tab and move it with the arrow keys.";
    else this.#hint.textContent = this.#drawn ? "" : "These are the zones of the configuration; what you save here takes their place.";
  }

  #buttons() {
    this.#save.disabled = !this.#changed;
    this.#revert.disabled = !this.#changed;
    this.#reset.hidden = !this.#drawn;
    for (const button of document.querySelectorAll("[data-draw]")) {
      button.setAttribute("aria-pressed", String(this.#drawing?.kind === button.dataset.draw));
    }
  }

  #shapes() {
    const focused = document.activeElement?.dataset?.corner;
    const shapes = [];
    for (const kind of Object.keys(KINDS)) {
      for (const [name, { points }] of Object.entries(this.#areas[kind])) shapes.push(this.#shape(kind, name, points));
    }
    if (this.#selected) shapes.push(...this.#handles(this.#selected));
    if (this.#drawing) shapes.push(...this.#sketch(this.#drawing));
    this.#svg.replaceChildren(...shapes);
    if (focused !== undefined) this.#svg.querySelector(`[data-corner="${focused}"]`)?.focus();
  }

  #shape(kind, name, points) {
    const selected = this.#selected?.kind === kind && this.#selected.name === name;
    const attributes = { class: `area area-${kind}${selected ? " selected" : ""}`, "data-name": name, onclick: () => this.#drawing || this.#select(kind, name) };
    const group = svg("g", attributes, svg(kind === "lines" ? "polyline" : "polygon", { points: points.map(String).join(" ") }));
    if (kind === "lines") {
      const [[x0, y0], [x1, y1]] = points;
      const box = this.#svg.getBoundingClientRect();
      const aspect = box.width / Math.max(box.height, 1) || 1;
      const length = Math.hypot((x1 - x0) * aspect, y1 - y0) || 1;
      const [mx, my] = [(x0 + x1) / 2, (y0 + y1) / 2];
      // Over to the left, in units that are as long across as down.
      group.append(svg("line", { x1: mx, y1: my, x2: mx + ((y1 - y0) / length / aspect) * 0.07, y2: my - (((x1 - x0) * aspect) / length) * 0.07 }));
    }
    return group;
  }

  #handles({ kind, name }) {
    const box = this.#svg.getBoundingClientRect();
    const [rx, ry] = [9 / Math.max(box.width, 1), 9 / Math.max(box.height, 1)];
    return this.#areas[kind][name].points.map(([x, y], index) => {
      const corner = svg("ellipse", { class: "corner-handle", cx: x, cy: y, rx, ry, tabindex: "0", role: "button", "data-corner": index, "aria-label": `Corner ${index + 1} of ${name}` });
      corner.addEventListener("pointerdown", (event) => this.#drag(event, kind, name, index));
      corner.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!way) return;
        event.preventDefault();
        const [px, py] = this.#areas[kind][name].points[index];
        this.#move(kind, name, index, [px + way[0] * STEP, py + way[1] * STEP]);
      });
      return corner;
    });
  }

  #drag(event, kind, name, index) {
    event.preventDefault();
    event.stopPropagation();
    const move = (moved) => this.#move(kind, name, index, this.#at(moved));
    const stop = new AbortController();
    const { signal } = stop;
    window.addEventListener("pointermove", move, { signal });
    window.addEventListener("pointerup", () => stop.abort(), { signal });
    window.addEventListener("pointercancel", () => stop.abort(), { signal });
  }

  #sketch({ points, pointer }) {
    const all = pointer && points.length ? [...points, pointer] : points;
    const box = this.#svg.getBoundingClientRect();
    const [rx, ry] = [5 / Math.max(box.width, 1), 5 / Math.max(box.height, 1)];
    return [
      svg("polyline", { class: "sketch", points: all.map(String).join(" ") }),
      ...points.map(([x, y]) => svg("ellipse", { class: "sketch-point", cx: x, cy: y, rx, ry })),
    ];
  }

  #select(kind, name) {
    this.#selected = { kind, name };
    this.#render();
  }

  #rows() {
    const rows = [];
    for (const kind of Object.keys(KINDS)) {
      for (const [name, area] of Object.entries(this.#areas[kind])) rows.push(this.#row(kind, name, area));
    }
    this.#list.replaceChildren(...(rows.length ? rows : [h("li", { class: "empty" }, "None yet. Draw one on the picture.")]));
  }

  #row(kind, name, area) {
    const selected = this.#selected?.kind === kind && this.#selected.name === name;
    const field = (label, value, change, hint = null) => {
      const input = h("input", { type: "text", value, maxlength: 64, placeholder: hint, onchange: () => change(input.value) });
      return h("label", { class: "field" }, label, input);
    };
    const change = (key, value) => {
      area[key] = value;
      this.#changed = true;
      this.#buttons();
    };
    const fields = [field("Name", name, (to) => this.#rename(kind, name, to))];
    if (kind === "zones") {
      fields.push(field("Tell after (s)", (area.dwell_s ?? []).join(", "), (text) => change("dwell_s", text.split(/[\s,;]+/).map(Number).filter((value) => value > 0)), "30, 120"));
    }
    if (kind === "lines") {
      fields.push(field("Towards the arrow", area.directions[0], (text) => change("directions", [text.trim() || "in", area.directions[1]])));
      fields.push(field("The other way", area.directions[1], (text) => change("directions", [area.directions[0], text.trim() || "out"])));
    }
    return h("li", { class: `zone-row zone-row-${kind}`, "data-selected": String(selected) },
      h("div", { class: "zone-head" },
        h("span", { class: "zone-kind" }, KINDS[kind].name),
        h("button", { type: "button", class: "button small", "aria-pressed": String(selected), onclick: () => this.#select(kind, name) }, "Corners"),
        h("button", { type: "button", class: "button small", "aria-label": `Delete ${name}`, onclick: () => this.#remove(kind, name) }, "Delete")),
      fields);
  }
}

function empty() {
  return { zones: {}, lines: {}, masks: {} };
}

function near([x0, y0], [x1, y1], reach = NEAR) {
  return Math.hypot(x1 - x0, y1 - y0) < reach;
}
