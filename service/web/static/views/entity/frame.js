// Which stretch of time is shown, and the cursor that runs through everything that shows it.

import { useEffect, useState } from "../../lib/html.js";
import { put } from "../../lib/route.js";

const MOST_COLUMNS = 600; // of the heat-map; beyond it a column holds several points
const DEFAULT_PERIOD_MS = 60_000;
const MOST_MS = 1e14; // of an address: in the year 5138

/**
 * `{ fromMs, toMs, isLive, periodMs, shown, range, binMs, columns }`: `shown` are the rows inside,
 * `range` is half a period wider on both sides, so that columns and charts lie above each other.
 */
export function frameOf(rows, query) {
  const periodMs = periodOf(rows);
  const asked = [Number(query.from), Number(query.to)];
  const isLive = !(asked[0] > 0 && asked[1] >= asked[0] && asked[1] <= MOST_MS);
  const newest = rows.at(-1)?.timestamp_ms ?? Date.now();
  const oldest = rows.length > 1 ? rows[0].timestamp_ms : newest - 10 * periodMs;
  const [fromMs, toMs] = isLive ? [oldest, newest] : asked;
  const shown = isLive ? rows : rows.filter((row) => row.timestamp_ms >= fromMs && row.timestamp_ms <= toMs);
  const wide = toMs - fromMs + periodMs;
  const binMs = periodMs * Math.max(1, Math.ceil(wide / periodMs / MOST_COLUMNS));
  const columns = Math.max(1, Math.ceil(wide / binMs));
  const startMs = fromMs - periodMs / 2;
  return {
    fromMs, toMs, isLive, periodMs, shown, binMs, columns, startMs,
    range: [startMs / 1000, (startMs + columns * binMs) / 1000],
  };
}

function periodOf(rows) {
  const steps = rows.slice(-100).map((row, at, all) => (at ? row.timestamp_ms - all[at - 1].timestamp_ms : 0)).slice(1);
  return steps.sort((a, b) => a - b)[steps.length >> 1] || DEFAULT_PERIOD_MS;
}

/** Show what lies between two instants. */
export const show = (fromMs, toMs) => put({ from: Math.round(fromMs), to: Math.round(toMs) });

/** Follow what comes. */
export const live = () => put({ from: null, to: null });

/** Move by a share of what is shown, or make it wider (`grow` > 1) or narrower about its middle. */
export function shifted(frame, rows, { by = 0, grow = 1 }) {
  const wide = Math.max(4 * frame.periodMs, (frame.toMs - frame.fromMs) * grow);
  const middle = (frame.fromMs + frame.toMs) / 2 + by * (frame.toMs - frame.fromMs);
  const first = rows[0]?.timestamp_ms ?? frame.fromMs, last = rows.at(-1)?.timestamp_ms ?? frame.toMs;
  if (wide >= last - first) return live();
  const from = Math.max(first, Math.min(last - wide, middle - wide / 2));
  return show(from, from + wide);
}

/** The row nearest to an instant; null: none within a period and a half. */
export function rowAt(rows, ms, periodMs) {
  let low = 0, high = rows.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].timestamp_ms < ms) low = middle + 1;
    else high = middle;
  }
  const near = [rows[low - 1], rows[low]].filter(Boolean);
  const best = near.sort((a, b) => Math.abs(a.timestamp_ms - ms) - Math.abs(b.timestamp_ms - ms))[0];
  return best && Math.abs(best.timestamp_ms - ms) <= 1.5 * periodMs ? best : null;
}

/** A place for the instant under the pointer, which changes too often to draw the whole view again. */
export function cursorStore() {
  const listeners = new Set();
  const store = {
    at: null,
    set(ms) {
      if (ms === store.at) return;
      store.at = ms;
      for (const listener of listeners) listener(ms);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  return store;
}

/** The instant under the pointer, or null. */
export function useCursor(cursor) {
  const [at, setAt] = useState(cursor.at);
  useEffect(() => cursor.subscribe(setAt), [cursor]);
  return at;
}

/** Whether there is little room. */
export function useNarrow() {
  const query = matchMedia("(max-width: 640px)");
  const [isNarrow, setNarrow] = useState(query.matches);
  useEffect(() => {
    const follow = () => setNarrow(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return isNarrow;
}
