// Who is to blame: contributions of dimensions over the time shown, as sums and as cells.

import { levelOf } from "../../lib/palette.js";

const FULL_SHARE = 0.5; // of the blame of a point: from here on a cell has its whole severity

const fullness = (share) => Math.min(1, share / FULL_SHARE);

/** Every dimension with its part of all blame, the most blamed first: `{ dimension, place, part }`. */
export function ranked(rows, dimensions) {
  const sums = new Map(dimensions.map((dimension) => [dimension, 0]));
  let all = 0;
  for (const row of rows) {
    for (const cause of row.causes) {
      const nats = cause.share * (row.severity || 0);
      sums.set(cause.dimension, (sums.get(cause.dimension) || 0) + nats);
      all += nats;
    }
  }
  return dimensions
    .map((dimension, place) => ({ dimension, place, part: all ? sums.get(dimension) / all : 0 }))
    .sort((a, b) => b.part - a.part || a.place - b.place);
}

/**
 * `{ levels, rows }` for a heat-map of `dimensions` by the columns of the frame.
 *
 * A cell is the severity of the point as far as the dimension is to blame, and where a column holds
 * several points the most of them; `rows` has the row behind each cell, null where no point is.
 */
export function cells(frame, dimensions) {
  const places = new Map(dimensions.map((dimension, at) => [dimension, at]));
  const size = dimensions.length * frame.columns;
  const nats = new Float32Array(size).fill(-1), rows = new Array(size).fill(null), levels = new Uint8Array(size);
  const offer = (cell, row, amount) => {
    if (amount <= nats[cell]) return;
    nats[cell] = amount;
    rows[cell] = row;
    levels[cell] = levelOf(amount);
  };
  for (const row of frame.shown) {
    const column = columnAt(frame, row.timestamp_ms);
    for (let at = 0; at < dimensions.length; at++) offer(at * frame.columns + column, row, 0);
    for (const cause of row.causes) {
      const at = places.get(cause.dimension);
      if (at !== undefined) offer(at * frame.columns + column, row, fullness(cause.share) * (row.severity || 0));
    }
  }
  return { levels, rows };
}

/** Which column an instant lies in. */
export function columnAt({ startMs, binMs, columns }, ms) {
  return Math.max(0, Math.min(columns - 1, Math.floor((ms - startMs) / binMs)));
}
