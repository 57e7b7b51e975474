// Where points stand, in words, and what is seen when one looks closer.

import { count, time } from "../../lib/format.js";

export const GUTTER = 66; // pixels left of a plot, wide enough for 1.00e+8

/** When a point was, or which row it is. */
export function placeText(series, at) {
  const { hasTimes, firstRow } = series.about;
  return hasTimes ? time(series.timesMs[at]) : `row ${count(at + firstRow)}`;
}

/** From where to where one sees points start..end with room around them. */
export function around(series, start, end, factor) {
  const room = Math.max(30, Math.round(factor * (end - start)));
  return [Math.max(0, start - room), Math.min(series.verdicts.count, end + room)];
}

/** The points between two places of an axis, at least two. */
export function picked(series, fromMs, toMs) {
  const from = series.pointAt(fromMs);
  return [from, Math.max(from + 2, series.pointAt(toMs))];
}

/** Seconds of both ends of an axis; a single point stands at its start. */
export function rangeOf(series, { from, to }) {
  const [first, last] = [series.axisMs(from) / 1000, series.axisMs(to - 1) / 1000];
  return [first, last > first ? last : first + 1];
}
