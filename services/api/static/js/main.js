// Puts the views together and shows the one that the address names.

import { ask } from "./api.js";
import { Cameras } from "./cameras.js";
import { CamerasView } from "./cameras-view.js";
import { EventsView } from "./events-view.js";
import { HealthView } from "./health-view.js";
import { InsightsView } from "./insights-view.js";
import { LiveView } from "./live-view.js";
import { Router } from "./router.js";
import { ZonesView } from "./zones-view.js";

const RETRY_MS = 2000;
const $ = (id) => document.getElementById(id);

async function skeleton() {
  for (;;) {
    try {
      return await ask("/api/v1/skeleton");
    } catch {
      $("link").dataset.state = "lost";
      $("link").textContent = "Disconnected, trying again";
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

const router = new Router();
const cameras = new Cameras();
const known = await skeleton();
const colour = (track) => {
  const [red, green, blue] = known.colours[track % known.colours.length];
  return `rgb(${red} ${green} ${blue})`;
};
const views = {
  live: new LiveView(router, cameras, known, colour),
  cameras: new CamerasView(router, cameras),
  events: new EventsView(router, cameras, colour),
  insights: new InsightsView(router, cameras),
  zones: new ZonesView(router, cameras),
  health: new HealthView(),
};
let shown = null;

router.addEventListener("route", ({ detail: { view, camera, filters } }) => {
  if (shown !== null && shown !== view) views[shown].hide();
  for (const name of Object.keys(views)) $(`view-${name}`).hidden = name !== view;
  for (const tab of document.querySelectorAll("[data-tab]")) {
    if (tab.dataset.tab === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  document.body.dataset.view = view;
  document.title = view === "live" ? "Posewire" : `${$(`view-${view}`).querySelector("h2")?.textContent ?? view} – Posewire`;
  shown = view;
  views[view].show(camera, filters);
});

// Other views need no live connection; what they ask for tells whether the gateway is there.
cameras.addEventListener("change", () => {
  if (shown === "live") return;
  $("link").dataset.state = "live";
  $("link").textContent = "Connected";
});
cameras.addEventListener("lost", () => {
  if (shown === "live") return;
  $("link").dataset.state = "lost";
  $("link").textContent = "Disconnected, trying again";
});

router.start();
await cameras.start();
