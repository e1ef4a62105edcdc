// Puts the parts together.

import { ask } from "./api.js";
import { Cameras } from "./cameras.js";
import { EventList } from "./events.js";
import { clearFigures, showFigures } from "./figures.js";
import { LiveFeed } from "./live.js";
import { Stage } from "./stage.js";

const RETRY_MS = 2000;
const $ = (id) => document.getElementById(id);

async function skeleton() {
  for (;;) {
    try {
      return await ask("/api/v1/skeleton");
    } catch {
      showLink("lost", "Disconnected, trying again");
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

function showLink(state, text) {
  $("link").dataset.state = state;
  $("link").textContent = text;
  $("stage").dataset.fresh = String(state === "live");
  $("veil").textContent = text;
}

const stage = new Stage($("picture"), await skeleton());
const events = new EventList((track) => stage.colour(track));
const cameras = new Cameras();
const feed = new LiveFeed();

cameras.addEventListener("camera", ({ detail: name }) => {
  stage.clear();
  clearFigures();
  events.watch(name);
  feed.watch(name);
});
feed.addEventListener("link", ({ detail }) => showLink(detail.state, detail.text));
feed.addEventListener("update", ({ detail }) => stage.show(detail.overlay, detail.bitmap));
feed.addEventListener("overlay", ({ detail: overlay }) => {
  showFigures(overlay, cameras.current?.policy);
  if (overlay.events.length > 0) events.soon();
});
feed.addEventListener("end", () => events.soon());
setInterval(() => {
  $("picture").setAttribute("aria-label", `Live picture, ${$("people").textContent} people in view`);
}, 5000);

await cameras.start();
