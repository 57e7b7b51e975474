// Causes in words: which dimensions moved, where to, and by how many of their usual bands.

import { number } from "./format.js";

const LEAST_SHARE = 0.12; // a cause with less is not worth a word
const MOST_NAMED = 3;

/** `cache_hit_ratio` -> `cache hit ratio`. */
export const plain = (dimension) => dimension.replaceAll("_", " ");

/** By how many of its usual bands a cause is away from what was expected; null: nobody knows. */
export function bands(cause) {
  if (!cause.band || cause.deviation === null || cause.deviation === undefined) return null;
  return Math.abs(cause.deviation) / cause.band;
}

/** `memory and page faults rose together, 4.1 times their usual band`. */
export function sentence(causes) {
  const named = causes.filter((cause, at) => at === 0 || cause.share >= LEAST_SHARE).slice(0, MOST_NAMED);
  if (!named.length) return "";
  const gone = named.filter((cause) => cause.value === null);
  if (gone.length === named.length) {
    return `${list(gone.map((cause) => plain(cause.dimension)))} ${gone.length > 1 ? "have" : "has"} no value`;
  }
  const moved = named.filter((cause) => cause.value !== null);
  const rose = phrase(moved.filter((cause) => cause.deviation >= 0), "rose");
  const fell = phrase(moved.filter((cause) => cause.deviation < 0), "fell");
  const parts = moved[0].deviation < 0 ? [fell, rose] : [rose, fell]; // the most blamed comes first
  return parts.filter(Boolean).join("; ");
}

function phrase(causes, verb) {
  if (!causes.length) return "";
  const names = list(causes.map((cause) => plain(cause.dimension)));
  const times = Math.max(...causes.map((cause) => bands(cause) ?? 0));
  const together = causes.length > 1 ? " together" : "";
  const whose = causes.length > 1 ? "their" : "its";
  if (times < 1.05) return `${names} ${verb}${together}, within ${whose} usual band: the combination is odd`;
  const most = causes.length > 1 ? "up to " : "";
  const told = times < 10 ? times.toFixed(1) : number(Math.round(times));
  return `${names} ${verb}${together}, ${most}${told} times ${whose} usual band`;
}

/** `a, b and c`. */
export function list(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** What a status means, for a title. */
export const STATUS = {
  scored: "every point is judged",
  calibrating: "judged by the calibration of all entities, because no bundle was trained on this one",
  warming: "too few points yet to be judged",
  stale: "no point came for several periods",
  incident: "an incident is open",
  odd: "severity is high, but no point is anomalous: no incident is open",
};
