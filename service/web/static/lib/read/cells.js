// What the cells of a CSV file say: numbers, flags or moments, as the service reads them.

const MISSING = new Set(["", "na", "nan", "null", "none"]);
const FLAGS = new Map([
  ["0", 0],
  ["1", 1],
  ["0.0", 0],
  ["1.0", 1],
  ["false", 0],
  ["true", 1],
]);
const NOT_DECIMAL = /^\s*[+-]?0[xob]/i; // JavaScript reads these, nobody means them
const MOMENT =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i;

export const GREATEST = 1e30; // a value beyond it is refused
const FIRST_MS = 1e11; // read as seconds the year 5138, as milliseconds 1973
const END_MS = 1e14; // beyond are microseconds and nanoseconds, which we do not guess

/** A finite number, NaN where it is missing; undefined: neither. */
export function numeral(cell) {
  const value = Number(cell);
  if (value !== 0 && value === value) return cell.charCodeAt(1) > 97 && NOT_DECIMAL.test(cell) ? undefined : value;
  if (value === 0) return cell.trim() === "" ? NaN : NOT_DECIMAL.test(cell) ? undefined : 0;
  return MISSING.has(cell.trim().toLowerCase()) ? NaN : undefined;
}

/** 1 or 0; undefined: neither. */
export const flagIn = (cell) => FLAGS.get(cell.trim().toLowerCase());

/** Milliseconds of an ISO 8601 moment, UTC where it names no zone; undefined: it is none. */
export function momentIn(cell) {
  const found = MOMENT.exec(cell.trim());
  if (!found) return undefined;
  const [, year, month, day, hour = 0, minute = 0, second = 0, part = "0", zone] = found;
  const ms = Date.UTC(year, month - 1, day, hour, minute, second, Math.floor(Number(`0.${part}`) * 1000));
  const date = new Date(ms);
  if (date.getUTCDate() !== Number(day) || hour > 23 || minute > 59 || second > 59) return undefined;
  return ms - offsetMs(zone);
}

function offsetMs(zone) {
  if (!zone || zone.toUpperCase() === "Z") return 0;
  const digits = zone.slice(1).replace(":", "");
  const minutes = 60 * Number(digits.slice(0, 2)) + Number(digits.slice(2) || 0);
  return (zone[0] === "-" ? -1 : 1) * minutes * 60_000;
}

/** Milliseconds of Unix seconds or milliseconds, in place: their size tells which. */
export function unixToMs(stamps) {
  let greatest = 0;
  for (const stamp of stamps) greatest = Math.max(greatest, Math.abs(stamp));
  const factor = greatest >= FIRST_MS ? 1 : 1000;
  for (let at = 0; at < stamps.length; at++) stamps[at] = Math.round(stamps[at] * factor);
  return stamps;
}

/** Whether a number can be a Unix time. */
export const isUnix = (stamp) => Math.abs(stamp) < END_MS;

/** The first row whose time is not after that of the row before; -1: there is none. */
export function firstBack(timesMs) {
  for (let at = 1; at < timesMs.length; at++) if (!(timesMs[at] > timesMs[at - 1])) return at;
  return -1;
}
