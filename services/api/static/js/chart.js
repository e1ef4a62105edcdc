// Bars and step lines over time, as SVG; the same figures as a table for those who cannot see them.

import { h, svg } from "./dom.js";
import { number } from "./format.js";

const HEIGHT = 220;
const LEFT = 34;
const BELOW = 24;
const ABOVE = 8;
const LABEL_PX = 64;

export class Chart {
  element;
  #title;
  #box = h("div", { class: "chart" });
  #legend = h("ul", { class: "legend" });
  #table = h("table", { class: "table" });
  #data = null;
  #drawn = "";

  constructor(title) {
    this.#title = title;
    this.element = h("div", {}, this.#legend, this.#box,
      h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, table` }, this.#table)));
    new ResizeObserver(() => this.#draw()).observe(this.#box);
  }

  /** `series`: [{name, kind: "bars" | "steps", values}], null for unknown; as long as `labels`. */
  show(data) {
    this.#data = data;
    this.#draw();
  }

  #draw() {
    const width = Math.floor(this.#box.clientWidth);
    if (!this.#data || width < 60) return;
    const key = JSON.stringify([width, this.#data]);
    if (key === this.#drawn) return; // drawn anew, it would flicker and lose the pointer
    this.#drawn = key;
    const { labels, series } = this.#data;
    const top = nice(Math.max(1, ...series.flatMap(({ values }) => values.filter((value) => value !== null))));
    const step = (width - LEFT) / labels.length;
    const y = (value) => ABOVE + (HEIGHT - ABOVE - BELOW) * (1 - value / top);
    const lines = [0, top / 2, top].map((value) => [
      svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      svg("text", { class: "tick", x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
    ]);
    const every = Math.max(1, Math.ceil(LABEL_PX / step));
    const ticks = labels.map((label, i) =>
      i % every || (i + 0.5) * step + LEFT + LABEL_PX / 2 > width + 12 ? null
        : svg("text", { class: "tick", x: LEFT + (i + 0.5) * step, y: HEIGHT - 6, "text-anchor": "middle" }, label));
    const shapes = series.map(({ kind, values }, index) =>
      kind === "bars" ? values.map((value, i) => this.#bar(value, i, step, y, index)) : this.#steps(values, step, y, index));
    const hovers = labels.map((label, i) =>
      svg("rect", { class: "hover", x: LEFT + i * step, y: ABOVE, width: step, height: HEIGHT - ABOVE - BELOW },
        svg("title", {}, [label, ...series.map(({ name, values }) => `${name}: ${values[i] === null ? "–" : number(values[i])}`)].join("\n"))));
    const sums = series.map(({ name, kind, values }) => `${name}: ${kind === "bars" ? `${number(values.reduce((a, b) => a + (b ?? 0), 0))} in all` : `at most ${number(Math.max(0, ...values))}`}`);
    this.#box.replaceChildren(
      svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": `${this.#title}. ${sums.join(". ")}.` }, lines, ticks, shapes, hovers));
    this.#legend.replaceChildren(...series.map(({ name, kind }, index) => h("li", { class: `key key-${kind} series-${index}` }, name)));
    this.#table.replaceChildren(
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), series.map(({ name }) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, labels.map((label, i) => h("tr", {}, h("th", { scope: "row" }, label), series.map(({ values }) => h("td", {}, values[i] === null ? "–" : number(values[i])))))));
  }

  #bar(value, i, step, y, index) {
    if (!value) return null;
    const width = Math.max(step * 0.7, 1);
    return svg("rect", { class: `bar-shape series-${index}`, x: LEFT + i * step + (step - width) / 2, y: y(value), width, height: y(0) - y(value), rx: Math.min(3, width / 4) });
  }

  #steps(values, step, y, index) {
    let path = "";
    values.forEach((value, i) => {
      if (value === null) return;
      const [from, to] = [LEFT + i * step, LEFT + (i + 1) * step];
      path += `${path && values[i - 1] !== null ? "L" : "M"}${from} ${y(value)}L${to} ${y(value)}`;
    });
    return path ? svg("path", { class: `step-shape series-${index}`, d: path }) : null;
  }
}

/** The least of 1, 2, 4, 5, 10, 20 ... that is not below. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((digit) => digit * power).find((candidate) => candidate >= value - 1e-9);
}
