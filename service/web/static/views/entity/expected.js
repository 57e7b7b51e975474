// Expected values of every dimension. The service keeps those of causes alone; the others are
// computed anew from the points shown (`POST /v1/detect`), few at a time and not often.

import { useEffect, useRef, useState } from "../../lib/html.js";
import { ask, path } from "../../lib/api.js";

const MOST_ROWS = 400;
const EVERY_MS = 10_000;
const FIRST_MS = 300;
const LEAST_MARGIN = 32; // points before the first that is wanted: what the model must have seen

/** `{ expected: Map(timestamp_ms -> numbers | null), bands: Map(dimension -> number), problem }`. */
export function useExpected(entity, about, shown) {
  const [seen, setSeen] = useState({ expected: new Map(), bands: new Map(), problem: null });
  const latest = useRef(null);
  latest.current = { about, shown };
  useEffect(() => {
    const known = new Map(), bands = new Map(), stop = new AbortController();
    let timer = 0, model = null;
    const look = async () => {
      const { about, shown } = latest.current;
      if (about && about.model !== model) {
        model = about.model;
        known.clear();
      }
      const isWanted = about && document.visibilityState === "visible";
      const wanted = isWanted ? lacking(shown.slice(-MOST_ROWS), known, about.need) : [];
      let problem = null;
      if (wanted.length) {
        problem = await compute(entity, about, wanted, { known, bands, signal: stop.signal });
        if (stop.signal.aborted) return;
        setSeen({ expected: known, bands, problem });
      }
      timer = setTimeout(look, wanted.length ? EVERY_MS : EVERY_MS / 10);
    };
    timer = setTimeout(look, FIRST_MS);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [entity]);
  return seen;
}

/** The rows to compute: from some points before the first that is not known. */
function lacking(rows, known, need) {
  const first = rows.findIndex((row) => !known.has(row.timestamp_ms));
  return first < 0 ? [] : rows.slice(Math.max(0, first - Math.max(LEAST_MARGIN, 2 * need)));
}

async function compute(entity, about, rows, { known, bands, signal }) {
  const series = {
    timestamp_ms: rows.map((row) => row.timestamp_ms),
    dimensions: about.dimensions,
    values: rows.map((row) => row.values),
  };
  try {
    const query = { entity, bundle: about.model, contributions: "all" };
    const answer = await ask(path("/v1/detect", query), { method: "POST", json: series, signal });
    keep(answer.rows, about.dimensions, known, bands);
    for (const old of known.keys()) {
      if (known.size <= 5 * MOST_ROWS) break;
      known.delete(old);
    }
    return null;
  } catch (problem) {
    return problem;
  }
}

function keep(rows, dimensions, known, bands) {
  const places = new Map(dimensions.map((dimension, at) => [dimension, at]));
  for (const { timestamp_ms: at, causes } of rows) {
    if (known.get(at)) continue;
    const numbers = causes.length ? new Float64Array(dimensions.length).fill(NaN) : null;
    for (const cause of causes) {
      numbers[places.get(cause.dimension)] = cause.expected;
      bands.set(cause.dimension, cause.band);
    }
    known.set(at, numbers);
  }
}

/** What was expected of a dimension at a row: `{ expected, band, share }`, null where nobody knows. */
export function expectedAt(row, dimension, place, { expected, bands }) {
  const cause = row.causes.find((one) => one.dimension === dimension);
  if (cause && cause.expected !== null) return { expected: cause.expected, band: cause.band, share: cause.share };
  const value = expected.get(row.timestamp_ms)?.[place];
  if (value === undefined || Number.isNaN(value)) return null;
  return { expected: value, band: bands.get(dimension), share: cause ? cause.share : 0 };
}
