// Numbers and times as people read them. Times are shown in the time zone of the browser.

const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayOf = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"]];

/** Four digits; from ten million on with a prefix, `7.716 G`; a dash where there is no number. */
export const number = (value) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e15)) return value.toExponential(2);
  if (size >= 1e7) {
    const [unit, prefix] = PREFIXES.find(([least]) => size >= least);
    return `${digits.format(value / unit)} ${prefix}`;
  }
  return digits.format(value);
};

/** A score: above 1 is anomalous, so two decimals tell. */
export const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(value < 100 ? 2 : 0));

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

/** `Nov 26`. */
export const day = (ms) => dayOf.format(ms);

/** Time of day to the minute, with the date at midnight. */
export function minute(ms) {
  const text = hour.format(ms);
  return text === "00:00" ? dayOf.format(ms) : text;
}

/** Date and time with its zone, for titles. */
export const fullTime = (ms) => full.format(ms);

/** `40 s`, `12 min`, `1 h 39 min`, `2 d 3 h`: of what is long, two units. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60), hours = Math.round(seconds / 3600);
  if (minutes < 90) return `${minutes} min`;
  if (hours < 36) return parted(minutes, 60, "h", "min");
  return parted(hours, 24, "d", "h");
}

/** So many parts as wholes and what is left of them. */
function parted(parts, size, whole, part) {
  const left = parts % size;
  return `${Math.floor(parts / size)} ${whole}${left ? ` ${left} ${part}` : ""}`;
}
