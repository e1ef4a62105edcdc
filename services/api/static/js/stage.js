// Draws the newest update into a canvas: picture, zones, trails, boxes, skeletons, numbers.
//
// Everything of one update is drawn in one animation frame, so the overlay is never beside its
// picture.

import { duration } from "./format.js";

const LEAST_SCORE = 0.05;
const INK = "#12161b";
const TRAIL_MS = 4000;
const ANKLES = [10, 13];

export const LAYERS = [
  ["picture", "Picture"],
  ["skeletons", "Skeletons"],
  ["boxes", "Boxes"],
  ["numbers", "Numbers"],
  ["trails", "Trails"],
  ["zones", "Zones"],
];

export class Stage {
  layers = { picture: true, skeletons: true, boxes: true, numbers: true, trails: false, zones: true };
  /** Zones, lines and masks as /areas gives them. */
  areas = null;
  #canvas;
  #context;
  #skeleton;
  #shown = null;
  #scheduled = false;
  #trails = new Map();

  constructor(canvas, skeleton) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#skeleton = skeleton;
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  /** Show an update; what it replaces is let go. */
  show(overlay, bitmap) {
    const picture = bitmap ?? (this.#shown?.overlay.session === overlay.session ? this.#shown.bitmap : null);
    if (this.#shown?.bitmap && this.#shown.bitmap !== picture) this.#shown.bitmap.close();
    if (this.#shown?.overlay.session !== overlay.session) this.#trails.clear();
    this.#shown = { overlay, bitmap: picture };
    this.#follow(overlay);
    this.redraw();
  }

  /** Forget what is shown. */
  clear() {
    this.#shown?.bitmap?.close();
    this.#shown = null;
    this.#trails.clear();
    this.redraw();
  }

  /** Draw again in the next animation frame. */
  redraw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.draw();
    });
  }

  /** Remember where feet were. */
  #follow(overlay) {
    const now = performance.now();
    for (const person of overlay.persons) {
      const trail = this.#trails.get(person.track) ?? [];
      trail.push([now, ...feet(person)]);
      this.#trails.set(person.track, trail);
    }
    for (const [track, trail] of this.#trails) {
      while (trail.length && now - trail[0][0] > TRAIL_MS) trail.shift();
      if (!trail.length) this.#trails.delete(track);
    }
  }

  /** Draw now. */
  draw() {
    const canvas = this.#canvas;
    const overlay = this.#shown?.overlay;
    if (overlay) canvas.style.aspectRatio = `${overlay.width} / ${overlay.height}`;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#05080b";
    context.fillRect(0, 0, width, height);
    if (!overlay) {
      canvas.dataset.frame = "";
      return;
    }
    // The canvas may be flatter than the picture (max-height): fit it inside, centred.
    const scale = Math.min(width / overlay.width, height / overlay.height);
    const area = { width: overlay.width * scale, height: overlay.height * scale };
    context.translate(Math.round((width - area.width) / 2), Math.round((height - area.height) / 2));
    const bitmap = this.layers.picture ? this.#shown.bitmap : null;
    if (bitmap) context.drawImage(bitmap, 0, 0, area.width, area.height);
    const unit = Math.max(ratio * 0.8, Math.min(area.width, area.height) / 480);
    if (this.layers.zones && this.areas) this.#areas(overlay.zones ?? {}, area, unit);
    if (this.layers.trails) this.#paths(area, unit);
    // Nearer people, whose feet are lower, are drawn over farther ones.
    for (const person of [...overlay.persons].sort((a, b) => a.box[3] - b.box[3])) {
      this.#person(person, area, unit);
    }
    canvas.dataset.frame = `${overlay.session}/${overlay.seq}`;
  }

  #areas(people, area, unit) {
    const context = this.#context;
    const at = ([x, y]) => [x * area.width, y * area.height];
    for (const { points } of Object.values(this.areas.masks)) {
      this.#outline(points.map(at));
      context.fillStyle = "rgb(5 8 11 / 72%)";
      context.fill();
    }
    Object.entries(this.areas.zones).forEach(([name, { points }], index) => {
      const colour = this.colour(index + 3);
      this.#outline(points.map(at));
      context.fillStyle = colour.replace(")", " / 12%)");
      context.fill();
      context.strokeStyle = colour;
      context.lineWidth = 1.5 * unit;
      context.stroke();
      const left = Math.min(...points.map(([x]) => x)) * area.width;
      const low = Math.max(...points.map(([, y]) => y)) * area.height;
      this.#label(`${name} ${people[name] ?? 0}`, left + 6 * unit, low - 12 * unit, unit, colour);
    });
    Object.entries(this.areas.lines).forEach(([name, { points, directions }], index) => {
      const colour = this.colour(index + 6);
      const [[x0, y0], [x1, y1]] = points.map(at);
      const length = Math.hypot(x1 - x0, y1 - y0) || 1;
      const [mx, my] = [(x0 + x1) / 2, (y0 + y1) / 2];
      // The first way is over to the left, looking from the first end to the second.
      const [tx, ty] = [mx + ((y1 - y0) / length) * 24 * unit, my - ((x1 - x0) / length) * 24 * unit];
      context.strokeStyle = colour;
      context.lineWidth = 2.5 * unit;
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      context.moveTo(mx, my);
      context.lineTo(tx, ty);
      context.stroke();
      context.beginPath();
      context.arc(tx, ty, 3.5 * unit, 0, 2 * Math.PI);
      context.fillStyle = colour;
      context.fill();
      this.#label(`${name}: ${directions[0]}`, tx + 7 * unit, ty, unit, colour);
    });
  }

  #outline(points) {
    this.#context.beginPath();
    points.forEach(([x, y], i) => (i ? this.#context.lineTo(x, y) : this.#context.moveTo(x, y)));
    this.#context.closePath();
  }

  #label(text, x, y, unit, colour) {
    const context = this.#context;
    context.font = `600 ${12 * unit}px system-ui, sans-serif`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.lineWidth = 3 * unit;
    context.strokeStyle = INK;
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  #paths(area, unit) {
    const context = this.#context;
    context.lineWidth = 2.5 * unit;
    context.lineCap = context.lineJoin = "round";
    for (const [track, trail] of this.#trails) {
      context.strokeStyle = this.colour(track).replace(")", " / 65%)");
      context.beginPath();
      trail.forEach(([, x, y], i) => {
        if (i) context.lineTo(x * area.width, y * area.height);
        else context.moveTo(x * area.width, y * area.height);
      });
      context.stroke();
    }
  }

  #person(person, area, unit) {
    const context = this.#context;
    const colour = this.colour(person.track);
    const [x0, y0, x1, y1] = person.box;
    const confirmed = person.visit !== null;
    if (this.layers.boxes) {
      context.strokeStyle = colour;
      context.lineWidth = (confirmed ? 2 : 1.2) * unit;
      context.setLineDash(confirmed ? [] : [5 * unit, 4 * unit]);
      context.strokeRect(x0 * area.width, y0 * area.height, (x1 - x0) * area.width, (y1 - y0) * area.height);
      context.setLineDash([]);
    }
    if (this.layers.skeletons) this.#bones(person.keypoints, area, unit, colour);
    if (!this.layers.numbers) return;
    const text = confirmed ? `${person.track}  ${duration(person.dwell_s)}` : String(person.track);
    this.#tag(text, x0 * area.width, y0 * area.height, area, unit, colour, confirmed);
  }

  #bones(keypoints, area, unit, colour) {
    if (keypoints.length === 0) return;
    const context = this.#context;
    const limbs = new Path2D();
    for (const [a, b] of this.#skeleton.limbs) {
      if (keypoints[a][2] < LEAST_SCORE || keypoints[b][2] < LEAST_SCORE) continue;
      limbs.moveTo(keypoints[a][0] * area.width, keypoints[a][1] * area.height);
      limbs.lineTo(keypoints[b][0] * area.width, keypoints[b][1] * area.height);
    }
    const joints = new Path2D();
    for (const [x, y, score] of keypoints) {
      if (score < LEAST_SCORE) continue;
      joints.moveTo(x * area.width + 2.6 * unit, y * area.height);
      joints.arc(x * area.width, y * area.height, 2.6 * unit, 0, 2 * Math.PI);
    }
    context.lineCap = "round";
    // A dark line below the coloured one keeps it readable on any background.
    context.strokeStyle = INK;
    context.lineWidth = 4.2 * unit;
    context.stroke(limbs);
    context.lineWidth = 1.6 * unit;
    context.stroke(joints);
    context.strokeStyle = colour;
    context.lineWidth = 2.4 * unit;
    context.stroke(limbs);
    context.fillStyle = "#fff";
    context.fill(joints);
  }

  #tag(text, x, y, area, unit, colour, confirmed) {
    const context = this.#context;
    const size = 13 * unit;
    context.font = `700 ${size}px system-ui, sans-serif`;
    const width = context.measureText(text).width + 11 * unit;
    const height = size + 7 * unit;
    const left = Math.max(0, Math.min(x - unit, area.width - width));
    const top = y >= height ? y - height : Math.max(0, y);
    context.beginPath();
    context.roundRect(left, top, width, height, 4 * unit);
    context.fillStyle = confirmed ? colour : INK;
    context.fill();
    context.fillStyle = confirmed ? INK : colour;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(text, left + width / 2, top + height / 2 + 0.5 * unit);
  }

  /** CSS colour of a track. */
  colour(track) {
    const colours = this.#skeleton.colours;
    const [red, green, blue] = colours[track % colours.length];
    return `rgb(${red} ${green} ${blue})`;
  }
}

/** Where a person stands, relative: between the ankles, else the box's bottom middle. */
function feet({ box, keypoints }) {
  const [a, b] = ANKLES.map((index) => keypoints[index]);
  if (a?.[2] > 0 && b?.[2] > 0) return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  return [(box[0] + box[2]) / 2, box[3]];
}
