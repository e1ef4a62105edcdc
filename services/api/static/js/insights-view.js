// Over time: people and entries per minute, hour or day; today against the usual; busy hours.

import { ask, words } from "./api.js";
import { Chart } from "./chart.js";
import { h, options } from "./dom.js";
import { clock, day, duration, number, weekdays, ZONE } from "./format.js";

const POLL_MS = 10_000;
const ALL = "all cameras";
const RANGES = {
  hour: { name: "Last hour", bucket: "minute", label: clock },
  day: { name: "Last 24 hours", bucket: "hour", label: clock },
  month: { name: "Last 30 days", bucket: "day", label: day },
};
const HOURS = [...Array(24).keys()];

export class InsightsView {
  #router;
  #cameras;
  #filters = new URLSearchParams();
  #visible = false;
  #camera = h("select", { id: "insights-camera" });
  #ranges = new Map();
  #notice = h("p", { class: "notice", role: "status", hidden: true });
  #figures = h("dl", { class: "tiles figures" });
  #entries = new Chart("People who entered");
  #people = new Chart("Most people at once");
  #today = new Chart("Entries today, and usually on this weekday");
  #heat = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Busy hours" });

  constructor(router, cameras) {
    this.#router = router;
    this.#cameras = cameras;
    const ranges = h("div", { class: "layers", role: "group", "aria-label": "Time" });
    for (const [key, { name }] of Object.entries(RANGES)) {
      const button = h("button", { type: "button", class: "toggle", onclick: () => this.#go({ range: key }) }, name);
      this.#ranges.set(key, button);
      ranges.append(button);
    }
    this.#camera.addEventListener("change", () => this.#go({ camera: this.#camera.value === ALL ? null : this.#camera.value }));
    document.getElementById("view-insights").append(
      h("h2", { id: "insights-title" }, "Insights"),
      h("div", { class: "filters" }, h("label", { class: "chooser" }, "Camera ", this.#camera), ranges),
      this.#notice,
      this.#figures,
      h("section", { class: "panel", "aria-label": "Over time" }, h("h3", {}, "Over time"),
        h("div", { class: "chart-pair" }, this.#entries.element, this.#people.element)),
      h("div", { class: "halves" },
        h("section", { class: "panel", "aria-label": "Today" }, h("h3", {}, "Today against the usual"), this.#today.element),
        h("section", { class: "panel", "aria-label": "Busy hours" }, h("h3", {}, "Busy hours"),
          h("p", { class: "hint" }, "Mean number of people who enter in each hour, over the last 8 weeks."), this.#heat)),
    );
    setInterval(() => this.#visible && !document.hidden && this.#refresh(), POLL_MS);
    cameras.addEventListener("change", () => this.#visible && this.#names());
  }

  show(_camera, filters) {
    this.#visible = true;
    this.#filters = filters;
    this.#names();
    for (const [key, button] of this.#ranges) button.setAttribute("aria-pressed", String(key === this.#range()));
    this.#refresh();
  }

  hide() {
    this.#visible = false;
  }

  #names() {
    options(this.#camera, [ALL, ...this.#cameras.names]);
    this.#camera.value = this.#filters.get("camera") ?? ALL;
  }

  #range() {
    const range = this.#filters.get("range");
    return range in RANGES ? range : "day";
  }

  #go(changes) {
    const filters = new URLSearchParams(this.#filters);
    for (const [key, value] of Object.entries(changes)) {
      if (value === null) filters.delete(key);
      else filters.set(key, value);
    }
    this.#router.go("insights", null, filters);
  }

  async #refresh() {
    const camera = this.#filters.get("camera");
    const asked = camera ? `camera=${encodeURIComponent(camera)}&` : "";
    const range = RANGES[this.#range()];
    const filters = this.#filters;
    try {
      const [occupancy, patterns] = await Promise.all([
        ask(`/api/v1/occupancy?${asked}bucket=${range.bucket}`),
        ask(`/api/v1/patterns?${asked}tz=${encodeURIComponent(ZONE)}`),
      ]);
      if (filters !== this.#filters) return;
      this.#notice.hidden = true;
      this.#tiles(occupancy.buckets, patterns);
      this.#overTime(occupancy.buckets, range);
      this.#usual(patterns);
      this.#busy(patterns);
    } catch (error) {
      this.#notice.textContent = `The history cannot be had: ${words(error)}`;
      this.#notice.hidden = false;
    }
  }

  #tiles(buckets, patterns) {
    const sum = (key) => buckets.reduce((all, bucket) => all + bucket[key], 0);
    const most = Math.max(0, ...buckets.map((bucket) => bucket.max_people ?? 0));
    const seconds = (value) => (value === null ? "–" : duration(value));
    const tiles = [
      ["Entered", sum("entered")], ["Left", sum("exited")], ["Most at once", most],
      ["Stay, mean", seconds(patterns.mean_dwell_s)], ["Stay, median", seconds(patterns.median_dwell_s)],
    ];
    this.#figures.replaceChildren(...tiles.map(([name, value]) => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, String(value)))));
  }

  #overTime(buckets, range) {
    const labels = buckets.map((bucket) => range.label(new Date(bucket.start)));
    // Of their own scales: many may enter, one at a time.
    this.#entries.show({ labels, series: [{ name: "Entered", kind: "bars", values: buckets.map((bucket) => bucket.entered) }] });
    this.#people.show({
      labels,
      series: [{ name: "Most people at once", kind: "steps", values: buckets.map((bucket) => bucket.max_people) }],
    });
  }

  #usual({ hours, weekday }) {
    const mine = new Map(hours.filter((hour) => hour.weekday === weekday).map((hour) => [hour.hour, hour]));
    const known = [...mine.values()].some((hour) => hour.usual !== null);
    this.#today.show({
      labels: HOURS.map((hour) => clock(new Date(2024, 0, 1, hour))),
      series: [
        { name: "Today", kind: "bars", values: HOURS.map((hour) => mine.get(hour)?.today ?? 0) },
        { name: known ? "Usually" : "Usually (no such day yet)", kind: "steps", values: HOURS.map((hour) => (known ? mine.get(hour)?.usual ?? 0 : null)) },
      ],
    });
  }

  #busy({ hours, weekday }) {
    const usual = new Map(hours.map((hour) => [`${hour.weekday}/${hour.hour}`, hour.usual ?? (hour.weekday === weekday ? hour.today : 0)]));
    const most = Math.max(0.001, ...usual.values());
    const head = h("tr", {}, h("td"), HOURS.map((hour) => h("th", { scope: "col" }, hour % 3 ? h("span", { class: "unseen" }, String(hour)) : String(hour))));
    const rows = weekdays().map((name, index) =>
      h("tr", {}, h("th", { scope: "row" }, name), HOURS.map((hour) => {
        const value = usual.get(`${index + 1}/${hour}`) ?? 0;
        const cell = h("td", { class: "heat", title: `${name} ${clock(new Date(2024, 0, 1, hour))}: ${number(value)}` }, h("span", { class: "unseen" }, number(value)));
        cell.style.setProperty("--heat", `${Math.round((100 * value) / most)}%`);
        return cell;
      })));
    this.#heat.replaceChildren(h("table", { class: "heat-map" }, h("caption", { class: "unseen" }, "Mean entries by weekday and hour"), h("thead", {}, head), h("tbody", {}, rows)));
  }
}
