// Score and severity over time, and the values of dimensions with what was expected of them.

import { html, useMemo } from "../../lib/html.js";
import { Chart, level, shade } from "../../lib/chart.js";
import { colour } from "../../lib/theme.js";
import { number, score as scored } from "../../lib/format.js";
import { plain } from "../../lib/words.js";
import { rowAt, show, useCursor } from "./frame.js";
import { expectedAt } from "./expected.js";
import { kindOf } from "./kinds.js";

export const SYNC = "entity";
export const MARGIN = 34; // pixels right of every plot
const GUTTER = 196, GUTTER_NARROW = 122;
const SCORES = [0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5];
const LEAST_TEXT = 56; // pixels a mark must be wide to hold its word

/** Pixels left of every plot, where names stand. */
export const gutterOf = (isNarrow) => (isNarrow ? GUTTER_NARROW : GUTTER);

/** Score with its threshold, and severity below; incidents shaded in both. */
export function Scores({ frame, incidents, chosen, cursor, isNarrow }) {
  const { score, severity, odd } = useMemo(() => series(frame), [frame]);
  const under = (chart, context) => shadeAll(chart, context, incidents, chosen);
  const shared = { frame, cursor, isNarrow, version: useVersion(incidents, chosen), under };
  const most = Math.max(0, ...frame.shown.map((row) => row.score || 0));
  const marks = (chart, context) => {
    level(chart, context, 1);
    dots(chart, context, odd);
    name(chart, context, incidents);
  };
  return html`<div class="plots">
    <${Plot} ...${shared} title="Score" unit="above 1 is anomalous" data=${score} height=${isNarrow ? 130 : 160} isBare
      marks=${marks} series=${[{ label: "score", colour: "series" }]}
      scales=${{ y: { distr: 4, asinh: 1, range: fromZero(2) } }}
      ticks=${(_, top) => spread(SCORES.filter((value) => value <= top))} told=${(row) => scored(row.score)}
      label=${`Score over time, at most ${scored(most)}; above 1 is anomalous`} />
    <${Plot} ...${shared} title="Severity" unit="nats, now or lately" data=${severity} height=${isNarrow ? 100 : 116}
      series=${[{ label: "severity", colour: "series" }]} scales=${{ y: { range: fromZero(10) } }}
      told=${(row) => number(row.severity)} label="Severity over time, in nats: how odd each point is" />
  </div>`;
}

/** From 0 to somewhat above the greatest, and at least to `least`. */
const fromZero = (least) => (_, __, greatest) => [0, Math.max(least, 1.15 * (greatest || 0))];

/** Of many ticks those that have room: up to 1, then decades. */
function spread(all) {
  return all.length > 7 ? all.filter((value) => value <= 1 || Math.log10(value) % 1 === 0) : all;
}

function series(frame) {
  const spaced = withGaps(frame);
  const xs = spaced.map((row) => row.timestamp_ms / 1000);
  return {
    score: [xs, spaced.map((row) => row.score ?? null)],
    severity: [xs, spaced.map((row) => row.severity ?? null)],
    odd: frame.shown.filter((row) => row.is_anomaly),
  };
}

/** Where points are missing a place without values, so that no line is drawn across. */
function withGaps({ shown, periodMs }) {
  const spaced = [];
  for (const row of shown) {
    const last = spaced.at(-1);
    const hasGap = last && row.timestamp_ms - last.timestamp_ms > 2.5 * periodMs;
    if (hasGap) spaced.push({ timestamp_ms: last.timestamp_ms + periodMs });
    spaced.push(row);
  }
  return spaced;
}

/** One dimension: what came, what was expected, and how far values usually stray. */
export function Values({ frame, dimension, place, known, incidents, chosen, isBare, ...more }) {
  const made = useMemo(() => valuesOf(frame, dimension, place, known), [frame, dimension, place, known]);
  const told = (row) => {
    const was = expectedAt(row, dimension, place, known);
    const expected = was && html`<small>expected ${number(was.expected)} ± ${number(was.band)}</small>`;
    return html`${number(row.values[place])}${expected}`;
  };
  return html`<${Plot} ...${more} title=${plain(dimension)} isBare=${isBare} height=${isBare ? 104 : 124}
    data=${made.data} frame=${frame} told=${told}
    version=${useVersion(incidents, chosen)} under=${(chart, context) => shadeAll(chart, context, incidents, chosen)}
    series=${[
      { label: "least", colour: "band", width: 0 },
      { label: "most", colour: "band", width: 0 },
      { label: "expected", colour: "expected", width: 1.4, dash: [5, 4], points: !made.isComplete },
      { label: "value", colour: "series", width: 1.6 },
    ]}
    bands=${[{ series: [2, 1] }]} label=${`${plain(dimension)} over time, with its expected band`} />`;
}

function valuesOf(frame, dimension, place, known) {
  const spaced = withGaps(frame), columns = [[], [], [], [], []];
  let hits = 0;
  for (const row of spaced) {
    const was = row.values ? expectedAt(row, dimension, place, known) : null;
    if (was) hits += 1;
    columns[0].push(row.timestamp_ms / 1000);
    columns[1].push(was ? was.expected - was.band : null);
    columns[2].push(was ? was.expected + was.band : null);
    columns[3].push(was ? was.expected : null);
    columns[4].push(row.values ? row.values[place] : null);
  }
  return { data: columns, isComplete: hits > 0.5 * spaced.length };
}

/** A chart with its name and its newest or pointed value left of it. */
function Plot({ title, unit, told, frame, cursor, isNarrow, onRemove, ...chart }) {
  return html`<div class="plot">
    <div class="plot-name">
      <span class="strong">${title}</span>
      ${unit && html`<span class="soft small">${unit}</span>`}
      <${Told} told=${told} frame=${frame} cursor=${cursor} />
      ${onRemove && html`<button class="plain small" onClick=${onRemove} aria-label=${`Hide ${title}`}>hide</button>`}
    </div>
    <${Chart} ...${chart} range=${frame.range} gutter=${gutterOf(isNarrow)} margin=${MARGIN} sync=${SYNC}
      onCursor=${(at) => cursor.set(at === null ? null : Math.round(chart.data[0][at] * 1000))} onSelect=${show} />
  </div>`;
}

function Told({ told, frame, cursor }) {
  const at = useCursor(cursor);
  const row = at === null ? frame.shown.at(-1) : rowAt(frame.shown, at, frame.periodMs);
  return html`<span class="plot-told">${row ? told(row) : "–"}</span>`;
}

/** Another value whenever other incidents are to be shaded. */
const useVersion = (incidents, chosen) => useMemo(() => ({}), [incidents, chosen]);

function shadeAll(chart, context, incidents, chosen) {
  for (const one of incidents) {
    const { name, edge } = kindOf(one), isChosen = one.incident === chosen;
    const fill = `${colour(edge)}${isChosen ? "38" : "1c"}`;
    shade(chart, context, { fromMs: one.openedMs, toMs: one.endMs, fill, edge: name && colour(edge) });
  }
}

/** The kind of each incident, in a word, where it has room. */
function name(chart, context, incidents) {
  const ratio = devicePixelRatio, { left, top, width } = chart.bbox;
  context.save();
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textBaseline = "top";
  context.textAlign = "left";
  for (const one of incidents) {
    const from = Math.max(left, chart.valToPos(one.openedMs / 1000, "x", true));
    const to = Math.min(left + width, chart.valToPos(one.endMs / 1000, "x", true));
    if (to - from < LEAST_TEXT * ratio) continue;
    const kind = kindOf(one);
    context.fillStyle = colour(kind.edge);
    context.fillText(kind.name, from + 4 * ratio, top + 5 * ratio);
  }
  context.restore();
}

function dots(chart, context, rows) {
  context.save();
  context.fillStyle = colour("bad");
  for (const row of rows) {
    const x = chart.valToPos(row.timestamp_ms / 1000, "x", true), y = chart.valToPos(row.score, "y", true);
    context.beginPath();
    context.arc(x, y, 2.6 * devicePixelRatio, 0, 7);
    context.fill();
  }
  context.restore();
}
