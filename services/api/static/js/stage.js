// Draws the newest update into the canvas: picture, boxes, skeletons, a number on each person.

const LEAST_SCORE = 0.05;
const INK = "#12161b";

export class Stage {
  #canvas;
  #context;
  #skeleton;
  #shown = null;
  #scheduled = false;

  constructor(canvas, skeleton) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#skeleton = skeleton;
    new ResizeObserver(() => this.#schedule()).observe(canvas);
  }

  /** Show an update; what it replaces is let go. */
  show(overlay, bitmap) {
    const picture = bitmap ?? (this.#shown?.overlay.session === overlay.session ? this.#shown.bitmap : null);
    if (this.#shown?.bitmap && this.#shown.bitmap !== picture) this.#shown.bitmap.close();
    this.#shown = { overlay, bitmap: picture };
    this.#schedule();
  }

  /** Forget what is shown. */
  clear() {
    this.#shown?.bitmap?.close();
    this.#shown = null;
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
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
    if (this.#shown.bitmap) context.drawImage(this.#shown.bitmap, 0, 0, area.width, area.height);
    const unit = Math.max(ratio * 0.8, Math.min(area.width, area.height) / 480);
    // Nearer people, whose feet are lower, are drawn over farther ones.
    for (const person of [...overlay.persons].sort((a, b) => a.box[3] - b.box[3])) {
      this.#person(person, area, unit);
    }
    canvas.dataset.frame = `${overlay.session}/${overlay.seq}`;
  }

  #person(person, area, unit) {
    const context = this.#context;
    const colour = this.colour(person.track);
    const [x0, y0, x1, y1] = person.box;
    const confirmed = person.visit !== null;
    context.strokeStyle = colour;
    context.lineWidth = (confirmed ? 2 : 1.2) * unit;
    context.setLineDash(confirmed ? [] : [5 * unit, 4 * unit]);
    context.strokeRect(x0 * area.width, y0 * area.height, (x1 - x0) * area.width, (y1 - y0) * area.height);
    context.setLineDash([]);
    this.#bones(person.keypoints, area, unit, colour);
    this.#tag(String(person.track), x0 * area.width, y0 * area.height, area, unit, colour, confirmed);
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
    const size = 14 * unit;
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
