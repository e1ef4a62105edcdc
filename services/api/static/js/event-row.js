// One event as a row of a list.

import { h } from "./dom.js";
import { dayUnlessToday, duration, people, time, whole } from "./format.js";

const KINDS = {
  entered: "Entered",
  exited: "Left",
  zone_entered: "Stepped into",
  zone_exited: "Stepped out of",
  dwelled: "Stayed in",
  line_crossed: "Crossed",
};
/** Short names for choosing kinds. */
export const CHOICES = {
  entered: "Entered",
  exited: "Left",
  zone_entered: "Into zone",
  zone_exited: "Out of zone",
  dwelled: "Stayed",
  line_crossed: "Line crossed",
};
const REASONS = {
  walked_in: "walked in",
  in_view_at_start: "there at the start",
  left_view: "out of view",
  source_ended: "source ended",
};

/** `colour`: CSS colour of a track; `camera`: whether to name it. */
export function eventRow(event, { colour, camera = false, isNew = false }) {
  const badge = h("span", { class: "event-number", title: `Person ${event.track}, visit ${event.visit_number}` }, String(event.track));
  badge.style.backgroundColor = colour(event.track);
  const details = [
    camera ? event.camera : null,
    REASONS[event.reason],
    event.direction,
    event.seconds === null || event.seconds === undefined ? null : duration(event.seconds),
    event.zone === null ? people(event.people) : null,
  ];
  const moment = event.snapshot
    ? h("img", { class: "event-moment", src: `/api/v1/events/${event.id}/snapshot.jpg`, alt: `Person ${event.track} at that moment`, loading: "lazy", width: 40, height: 56 })
    : null;
  const at = new Date(event.occurred_at);
  const day = dayUnlessToday(at);
  return h(
    "li",
    { class: isNew ? "event new" : "event" },
    h("span", { class: "event-who" }, moment, badge),
    h(
      "div",
      { class: "event-what" },
      h("span", { class: "event-kind" }, [KINDS[event.kind] ?? event.kind, event.zone].filter(Boolean).join(" ")),
      h("br"),
      h("span", { class: "event-more" }, details.filter(Boolean).join(" · ")),
    ),
    h("time", { class: "event-when", datetime: event.occurred_at, title: whole(at) }, time(at), day ? h("br") : null, day || null),
  );
}
