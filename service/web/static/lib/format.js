// Numbers and times as people read them. Times are shown in the time zone of the browser.

const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dayOf = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** Four digits; a dash where there is no number. */
export const number = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return digits.format(value);
};

/** How many. */
export const count = (value) => whole.format(value);

/** A share as a percentage. */
export const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);

/** Time of day, with the date where it is not today. */
export function time(ms) {
  if (!ms) return "–";
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? clock.format(date) : `${dayOf.format(date)}, ${clock.format(date)}`;
}

/** Date and time, for titles. */
export const fullTime = (ms) => `${day.format(ms)}, ${clock.format(ms)}`;

/** `40 s`, `12 min`, `3 h`, `2 d`. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
