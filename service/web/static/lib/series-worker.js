// The worker behind a series: reads a file, has it scored piece by piece, draws it short, writes it
// down. The page never holds the numbers of a series, only what was found in them.

import { Problem, ask, key, path } from "./api.js";
import { isClamped } from "./decide.js";
import { packed } from "./pack.js";
import { BadFile } from "./read/faults.js";
import { readCsv } from "./read/csv.js";
import { readNpz } from "./read/npz.js";
import { documentOf, madeOf, marked, readGraphs } from "./read/graphs.js";
import { Strided, block } from "./read/matrix.js";
import { thin } from "./thin.js";
import { CAUSES, NOBODY, STATUSES, Verdicts } from "./verdicts.js";

const FIRST_ROWS = 200,
  LEAST_ROWS = 50,
  MOST_ROWS = 5_000; // of a piece
const MOST_ROWS_UPLOADED = 20_000; // a bundle that comes along is opened anew for each
const MOST_BLOCK = 3_000_000; // bytes of the values of a piece
const AGAIN_MS = 1_000,
  MOST_AGAIN = 60; // where the service is busy or away
const SHIFTS = [0.1, 1e-3, 1e-5]; // of a budget, until its threshold is not clamped
const ROWS_OF_TEXT = 5_000;

let series = null,
  verdicts = null; // the one that is worked on
let file = null;
let stop = null; // ends the scoring
let resume = null; // while it is paused: goes on
let isPaused = false;

const WORK = { read, take, score, sorted, values, save };

onmessage = async ({ data: { id, work, wish } }) => {
  const tell = (told, moved = []) => postMessage({ id, told }, moved);
  if (work === "pause") return pause(wish);
  if (work === "stop") return stop?.abort();
  try {
    postMessage({ id, result: await WORK[work](wish, tell) });
  } catch (error) {
    postMessage({ id, failed: faultOf(error) });
  }
};

function faultOf(error) {
  if (error instanceof BadFile) return { code: "bad_file", message: error.message, faults: error.faults };
  if (error instanceof Problem) return { code: error.code, message: error.message, faults: error.faults };
  if (error.name === "AbortError") return { code: "stopped", message: "stopped", faults: [] };
  if (error instanceof RangeError)
    return { code: "too_large", message: "the file does not fit into the memory of this browser", faults: [] };
  return { code: "internal", message: `the file could not be worked on: ${error.message}`, faults: [] };
}

/** Read a file; what stands in it, but its numbers. */
async function read({ chosen, part }, tell) {
  file = chosen;
  const name = chosen.name.toLowerCase();
  const onProgress = throttled((bytes) => tell({ bytes }));
  if (!chosen.size) throw new BadFile("row 1: expected a header line, came an empty file");
  if (name.endsWith(".npz")) series = await readNpz(chosen, onProgress, part);
  else if (name.endsWith(".json")) series = await readGraphs(chosen);
  else if (/\.(csv|tsv|txt)$/.test(name)) series = await readCsv(chosen, onProgress);
  else throw new BadFile("expected a file whose name ends in .csv, .npz or .json");
  return told();
}

/** Take a series as the service tells an example: columns in JSON. */
async function take({ place }) {
  file = null;
  const answer = await ask(place.address, { headers: place.headers });
  const { values: rows, dimensions, timestamp_ms: timesMs, label } = answer;
  const width = dimensions.length,
    numbers = new Float64Array(rows.length * width);
  rows.forEach((row, at) => row.forEach((value, column) => (numbers[at * width + column] = value ?? NaN)));
  series = {
    kind: "example",
    names: dimensions,
    hasNames: true,
    matrix: new Strided(numbers, rows.length, width),
    timesMs: Float64Array.from(timesMs),
    timeName: "timestamp_ms",
    label: label?.length ? Uint8Array.from(label) : null,
    faults: [],
    faultCount: 0,
    faultsPerColumn: {},
    firstRow: 0,
    about: answer.faults ?? [],
  };
  return told();
}

function told() {
  const { matrix, ...rest } = series;
  const preview = Array.from({ length: Math.min(5, matrix.count) }, (_, row) =>
    rest.names.map((_, column) => matrix.at(row, column)),
  );
  const { timesMs } = rest,
    last = matrix.count - 1;
  const times = timesMs
    ? { firstMs: timesMs[0], lastMs: timesMs[last], stepMs: last ? (timesMs[last] - timesMs[0]) / last : 0 }
    : {};
  return {
    ...rest,
    ...times,
    labelled: rest.label?.reduce((sum, one) => sum + one, 0) ?? 0,
    timesMs: null,
    periods: null,
    hasTimes: Boolean(timesMs),
    count: matrix.count,
    bytes: matrix.bytes,
    preview,
  };
}

function throttled(call, ms = 100) {
  let last = 0;
  return (...all) => {
    const now = performance.now();
    if (now - last < ms) return;
    last = now;
    call(...all);
  };
}

/** Have it scored piece by piece; parts of the verdicts are told as they come. */
async function score(wish, tell) {
  stop = new AbortController();
  isPaused = false;
  key.lend(wish.key);
  const { matrix } = series,
    timesMs = timesOf(series, wish.periodSeconds);
  series.shownMs = timesMs;
  series.chosen = wish.columns;
  verdicts = new Verdicts(matrix.count, wish.dimensions);
  tell({ timesMs, count: matrix.count });
  const mostRows = wish.upload ? MOST_ROWS_UPLOADED : MOST_ROWS;
  const most = Math.max(LEAST_ROWS, Math.min(mostRows, Math.floor(MOST_BLOCK / (8 * wish.columns.length))));
  const lost = new Map();
  let state,
    from = 0,
    rows = FIRST_ROWS,
    decided = null;
  while (from < matrix.count) {
    if (isPaused) await new Promise((go) => (resume = go));
    const to = Math.min(matrix.count, from + rows),
      begun = performance.now();
    const answer = await piece(wish, { from, to, state, timesMs }, tell);
    state = answer.state;
    decided ??= await decision(wish, answer, timesMs, tell);
    verdicts.takeRows(answer.rows);
    findLost(lost, answer, { from, columns: wish.columns, dimensions: wish.dimensions });
    const part = verdicts.part(from, to);
    tell({ part, decided, lost: [...lost.values()] }, movable(part));
    const pace = (to - from) / (performance.now() - begun);
    rows = Math.max(LEAST_ROWS, Math.min(most, Math.round(pace * wish.pieceMs)));
    from = to;
  }
  return {};
}

/** Incidents that no mark opened: dimensions that have no value any more. Kept by their opening. */
function findLost(lost, { incidents, rows }, { from, columns, dimensions }) {
  for (const { opened_ms: opened, row, points } of incidents) {
    if (lost.has(opened)) lost.get(opened).points = points;
    else if (row >= from && !rows[row - from].is_anomaly) {
      const names = dimensions.filter((_, at) => Number.isNaN(series.matrix.at(row, columns[at])));
      lost.set(opened, { row, points, names });
    }
  }
}

const movable = (part) =>
  Object.values(part)
    .filter((one) => ArrayBuffer.isView(one))
    .map((one) => one.buffer);

function timesOf({ timesMs, periods, matrix }, periodSeconds) {
  if (timesMs) return timesMs;
  return Float64Array.from({ length: matrix.count }, (_, at) =>
    Math.round(1000 * periodSeconds * (periods ? periods[at] : at)),
  );
}

function piece(wish, { from, to, state, timesMs, budget }, tell) {
  const query = { bundle: wish.bundle, entity: wish.entity || null, contributions: "top", budget };
  const body = packed({
    values: block(series.matrix, wish.columns, from, to),
    timestamp_ms: BigInt64Array.from(timesMs.subarray(from, to), BigInt),
    dimensions: wish.dimensions,
    state,
    bundle: wish.upload ?? undefined, // its files by name
  });
  return patient(path("/v1/detect", { ...query, state: budget ? null : "return" }), body, tell);
}

/** Ask, and again while the service is busy with another series or away. */
async function patient(address, body, tell) {
  for (let time = 1; ; time++) {
    try {
      const headers = { "Content-Type": "application/msgpack" };
      return await ask(address, { method: "POST", body, headers, signal: stop.signal });
    } catch (error) {
      const isBusy = error.code === "overloaded" || error.code === "unreachable";
      if (!isBusy || time >= MOST_AGAIN) throw error;
      tell({ waits: error.code });
      await new Promise((go) => setTimeout(go, AGAIN_MS));
      stop.signal.throwIfAborted();
    }
  }
}

/** What decided the marks of an answer, and which threshold a budget of 1 would set. */
async function decision(wish, answer, timesMs, tell) {
  const { budget, threshold_p: thresholdP, model } = answer;
  const decided = { budget, thresholdP, model, perBudget: thresholdP / budget };
  if (!isClamped(thresholdP)) return decided;
  for (const shift of SHIFTS) {
    // a threshold at its bound does not tell
    const other = thresholdP > 1e-3 ? budget * shift : Math.min(1e6, budget / shift);
    const asked = await piece(wish, { from: 0, to: 1, timesMs, budget: other }, tell);
    if (!isClamped(asked.threshold_p)) return { ...decided, perBudget: asked.threshold_p / other };
  }
  return decided;
}

function pause(isOn) {
  isPaused = isOn;
  if (isOn) return;
  resume?.();
  resume = null;
}

/** Scores that are numbers, ascending. */
function sorted() {
  return verdicts.score
    .subarray(0, verdicts.have)
    .filter((score) => !Number.isNaN(score))
    .sort();
}

/** A dimension of the bundle between two points, drawn short: [seconds, value, expected, low, high]. */
function values({ dimension, from, to, most, byRow }) {
  const { matrix, chosen, shownMs } = series,
    band = verdicts.band[dimension];
  const expected = (at) => {
    const place = at < verdicts.have ? verdicts.placeOf(at, dimension) : -1;
    return place < 0 ? NaN : verdicts.expected[place];
  };
  const reads = [
    (at) => matrix.at(at, chosen[dimension]),
    expected,
    (at) => expected(at) - band,
    (at) => expected(at) + band,
  ];
  return thin(byRow ? (at) => 1000 * at : shownMs, reads, from, to, most, 1);
}

/** The result as a file: a Blob. `flags` and `factor` are of the threshold that is chosen. */
async function save({ form, flags, factor, name }) {
  if (form === "csv") return new Blob(csvOf(flags, factor), { type: "text/csv" });
  const scores = verdicts.score.map((score) => score * factor);
  const isOurs = series.kind === "json" && file;
  const document = isOurs ? await documentOf(file) : madeOf(name, series.names, series.matrix, series.shownMs);
  return new Blob([JSON.stringify(marked(document, flags, scores)), "\n"], { type: "application/json" });
}

/** Rows as `POST /v1/detect` answers them where CSV is asked for. */
function* csvOf(flags, factor) {
  const ranks = Array.from({ length: Math.min(CAUSES, verdicts.dimensions.length) }, (_, at) => at + 1);
  const causes = ranks.flatMap((rank) =>
    ["cause", "share", "value", "expected", "band"].map((field) => `${field}_${rank}`),
  );
  yield `${["timestamp_ms", "status", "score", "severity", "p_value", "is_anomaly", ...causes].join(",")}\n`;
  for (let start = 0; start < verdicts.have; start += ROWS_OF_TEXT) {
    const lines = [];
    for (let at = start; at < Math.min(verdicts.have, start + ROWS_OF_TEXT); at++) {
      const own = [
        series.shownMs[at],
        STATUSES[verdicts.status[at]],
        shown(verdicts.score[at] * factor),
        shown(verdicts.severity[at]),
        shown(verdicts.p[at]),
        flags[at],
      ];
      for (const rank of ranks) own.push(...causeCells(CAUSES * at + rank - 1));
      lines.push(own.join(","));
    }
    yield `${lines.join("\n")}\n`;
  }
}

function causeCells(place) {
  const dimension = verdicts.dimension[place];
  if (dimension === NOBODY) return ["", "", "", "", ""];
  const name = verdicts.dimensions[dimension];
  const cell = /[",\n\r]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name;
  return [
    cell,
    shown(verdicts.share[place]),
    shown(verdicts.value[place]),
    shown(verdicts.expected[place]),
    shown(verdicts.band[dimension]),
  ];
}

const shown = (value) => (Number.isNaN(value) ? "" : String(value));
