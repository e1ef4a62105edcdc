// Times and numbers as people of the browser's language write them.

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const SHORT = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const NUMBER = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
export const time = (date) => TIME.format(date);
export const clock = (date) => SHORT.format(date);
export const day = (date) => DAY.format(date);
export const whole = (date) => WHOLE.format(date);
export const number = (value) => NUMBER.format(value);

/** The day, unless it is today. */
export function dayUnlessToday(date) {
  return date.toDateString() === new Date().toDateString() ? "" : day(date);
}

/** 0:42, 3:12, 1:04:30. */
export function duration(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (value) => String(value).padStart(2, "0");
  return parts[0] ? `${parts[0]}:${two(parts[1])}:${two(parts[2])}` : `${parts[1]}:${two(parts[2])}`;
}

/** Weekday names, Monday first. */
export function weekdays() {
  const name = new Intl.DateTimeFormat(undefined, { weekday: "short", timeZone: "UTC" });
  return [1, 2, 3, 4, 5, 6, 7].map((n) => name.format(new Date(Date.UTC(2024, 0, n))));
}

export const people = (count) => (count === 1 ? "1 person" : `${count} people`);
