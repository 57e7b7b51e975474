// Series from time-series JSON, and marks written back into it:
// {"dataSetName": "pump", "graphs": [{"label": "flow", "data": [{"x": 0, "y": 1.5}, ...]}]}.
//
// One graph a dimension; all graphs have the same x: periods, or Unix seconds or milliseconds.
// "outlier": true marks a point: a label where it is read, a verdict where it is written.

import { BadFile, quoted, some } from "./faults.js";
import { GREATEST, firstBack, isUnix, unixToMs } from "./cells.js";
import { Strided } from "./matrix.js";

const FIRST_SECONDS = 1e8; // in 1973; an x below it counts periods
const MOST_BYTES = 400_000_000; // of a text that JavaScript can hold as one

/** The document of a file. Throws BadFile. */
export async function documentOf(file) {
  if (file.size > MOST_BYTES) throw new BadFile("expected at most 400 MB of JSON; CSV and NPZ may be larger");
  try {
    return JSON.parse(await file.text());
  } catch (error) {
    throw new BadFile(`expected time-series JSON: ${String(error.message).slice(0, 120)}`);
  }
}

/** Read a file. Throws BadFile. */
export async function readGraphs(file) {
  const document = await documentOf(file),
    graphs = document?.graphs;
  if (!Array.isArray(graphs) || !graphs.length)
    throw new BadFile('expected time-series JSON: {"graphs": [{"label": …, "data": [{"x": …, "y": …}]}]}');
  graphs.forEach((graph, at) => {
    if (typeof graph?.label !== "string") throw new BadFile(`graph ${at} (from 0): expected a text as label`);
    if (!Array.isArray(graph.data) || !graph.data.length)
      throw new BadFile(`graph ${quoted(graph.label)}: expected at least one point in data`);
  });
  const names = graphs.map((graph) => graph.label);
  if (new Set(names).size < names.length)
    throw new BadFile(`expected graphs with different labels, came ${some(names)}`);
  const count = graphs[0].data.length,
    width = graphs.length;
  const numbers = new Float64Array(count * width),
    xs = new Float64Array(count),
    label = new Uint8Array(count);
  const hasMarks = graphs
    .map((graph, at) => takeGraph(graph, at, { numbers, xs, label, count, first: names[0] }))
    .some(Boolean);
  const { timesMs, periods } = timesOf(xs, names[0]);
  return {
    kind: "json",
    names,
    hasNames: true,
    matrix: new Strided(numbers, count, width, { isFortran: true }),
    timesMs,
    periods,
    timeName: "x",
    label: hasMarks ? label : null,
    faults: [],
    faultCount: 0,
    faultsPerColumn: {},
    firstRow: 0,
    title: typeof document.dataSetName === "string" ? document.dataSetName : "",
  };
}

/** Numbers of one graph; whether it says anything of outliers. */
function takeGraph(graph, column, { numbers, xs, label, count, first }) {
  const where = (at) => `graph ${quoted(graph.label)}, point ${at} (from 0)`;
  if (graph.data.length !== count)
    throw new BadFile(
      `graph ${quoted(graph.label)}: expected ${count} points as in ${quoted(first)}, came ${graph.data.length}`,
    );
  let isMarked = false;
  graph.data.forEach((point, at) => {
    const { x, y, outlier } = point ?? {};
    if (typeof x !== "number" || !isUnix(x))
      throw new BadFile(`${where(at)}: expected a number as x, came ${quoted(JSON.stringify(x))}`);
    if (column === 0) xs[at] = x;
    else if (xs[at] !== x) throw new BadFile(`${where(at)}: expected x ${xs[at]} as in ${quoted(first)}, came ${x}`);
    if (y !== null && (typeof y !== "number" || Math.abs(y) > GREATEST)) {
      throw new BadFile(
        `${where(at)}: expected a number within 1e30, or null, as y, came ${quoted(JSON.stringify(y))}`,
      );
    }
    numbers[column * count + at] = y ?? NaN;
    if (outlier === undefined || outlier === null) return;
    if (typeof outlier !== "boolean")
      throw new BadFile(`${where(at)}: expected true or false as outlier, came ${quoted(JSON.stringify(outlier))}`);
    isMarked = true;
    if (outlier) label[at] = 1;
  });
  return isMarked;
}

function timesOf(xs, first) {
  const back = firstBack(xs);
  if (back >= 0)
    throw new BadFile(
      `graph ${quoted(first)}, point ${back} (from 0): expected an x after ${xs[back - 1]}, came ${xs[back]}`,
    );
  const isPeriods = xs.every((x) => Math.abs(x) < FIRST_SECONDS);
  return isPeriods ? { timesMs: null, periods: xs } : { timesMs: unixToMs(xs), periods: null };
}

/** A document with `score` at every point and `outlier` at those that are marked. */
export function marked(document, flags, scores) {
  for (const graph of document.graphs) {
    graph.data.forEach((point, at) => {
      delete point.outlier;
      point.score = Number.isFinite(scores[at]) ? scores[at] : null;
      if (flags[at]) point.outlier = true;
    });
  }
  return document;
}

/** A document of numbers that did not come as one. */
export function madeOf(name, names, matrix, timesMs) {
  const graphs = names.map((label, column) => ({
    label,
    data: Array.from({ length: matrix.count }, (_, at) => {
      const y = matrix.at(at, column);
      return { x: timesMs[at], y: Number.isNaN(y) ? null : y };
    }),
  }));
  return { dataSetName: name, graphs };
}
