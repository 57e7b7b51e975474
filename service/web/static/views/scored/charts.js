// Score with its threshold and its marks, and severity, over time; labelled stretches are shaded.

import { html, useMemo } from "../../lib/html.js";
import { Chart, level } from "../../lib/chart.js";
import { runs } from "../../lib/decide.js";
import { count } from "../../lib/format.js";
import { colour } from "../../lib/theme.js";
import { thin } from "../../lib/thin.js";
import { GUTTER, picked, placeText, rangeOf } from "./place.js";

const COLUMNS = 2400; // of a chart, at most: more than a wall screen has pixels
const MOST_DOTS = 6000;
const SCORE = [{ label: "score", colour: "series", width: 1.1 }];
const SEVERITY = [{ label: "severity", colour: "expected", width: 1.1 }];
const SCALES = { y: { distr: 4, asinh: 1, range: spread } }; // high scores do not flatten the threshold

export function Charts({ series, version, decision, incidents, view, see, name }) {
  const { verdicts, about } = series, { from, to } = view;
  const end = Math.min(to, Math.max(verdicts.have, from + 1));
  const events = useMemo(() => (about.label ? runs(about.label) : []), [about]);
  const drawn = useMemo(
    () => thin((at) => series.axisMs(at), [verdicts.score, verdicts.severity], from, end, COLUMNS),
    [series, version, from, end],
  );
  const [score, severity] = useMemo(
    () => [[drawn[0], drawn[1]], [drawn[0], drawn[2]]],
    [drawn, decision, to], // where nothing is scored yet, another end is another axis alone
  );
  const shadeEvents = (chart, context) => shaded(chart, context, series, events, view);
  const markScores = (chart, context) => {
    shadeEvents(chart, context);
    level(chart, context, 1 / decision.factor);
    dots(chart, context, series, decision.flags, view);
  };
  const pick = (fromMs, toMs) => see(...picked(series, fromMs, toMs));
  const shared = { gutter: GUTTER, byRow: !about.hasTimes, range: rangeOf(series, view),
    sync: "scored", onSelect: pick };
  const stretch = `${placeText(series, from)} to ${placeText(series, to - 1)}`;
  return html`<section class="card" aria-label="Score over time">
    <div class="row apart"><h2>Score of ${name}</h2>
      <${Moves} series=${series} view=${view} see=${see} stretch=${stretch} /></div>
    <${Chart} ...${shared} data=${score} series=${SCORE} height=${220} scales=${SCALES} marks=${markScores}
      label=${`Score of ${name}, ${stretch}: ${count(incidents.length)} incidents at this threshold`} />
    <div class="legend">
      <span><i class="key dot"></i>marked point</span>
      <span><i class="key dash"></i>threshold</span>
      ${events.length > 0 && html`<span><i class="key event"></i>labelled as anomalous</span>`}
      <span>a score counts in thresholds of the deployed budget; drag over a chart to look closer</span>
    </div>
    <h3>Severity, nats</h3>
    <${Chart} ...${shared} data=${severity} series=${SEVERITY} height=${110} marks=${shadeEvents}
      label=${`Severity of ${name}, in nats`} />
  </section>`;
}

function Moves({ series, view: { from, to }, see, stretch }) {
  const all = series.verdicts.count, width = to - from, quarter = Math.floor(width / 4);
  const move = (by) => {
    const start = Math.max(0, Math.min(all - width, Math.round(from + by * width)));
    see(start, start + width);
  };
  const isWhole = from === 0 && to === all;
  return html`<div class="row small">
    <span class="soft">${stretch}</span>
    <button aria-label="Earlier" title="Earlier" disabled=${from === 0} onClick=${() => move(-0.5)}>←</button>
    <button aria-label="Later" title="Later" disabled=${to === all} onClick=${() => move(0.5)}>→</button>
    <button aria-label="Closer" title="Closer" disabled=${width < 20}
      onClick=${() => see(from + quarter, to - quarter)}>+</button>
    <button aria-label="Farther" title="Farther" disabled=${isWhole}
      onClick=${() => see(Math.max(0, from - 2 * quarter), Math.min(all, to + 2 * quarter))}>−</button>
    <button disabled=${isWhole} onClick=${() => see(0, all)}>Whole series</button>
  </div>`;
}

/** From 0 up to a little more than the greatest, and never less than the threshold. */
function spread(_, least, greatest) {
  return [Math.min(0, least ?? 0), Math.max(1.3, 1.1 * (greatest ?? 1))];
}

/** The labelled stretches in view; those that touch in pixels are drawn as one. */
function shaded(chart, context, series, events, { from, to }) {
  const { left, width, top, height } = chart.bbox, fill = colour("band"), edge = colour("accent");
  const placeOf = (at) => {
    const x = chart.valToPos(series.axisMs(at) / 1000, "x", true);
    return Math.max(left, Math.min(left + width, x));
  };
  const draw = (start, end) => {
    context.fillStyle = fill;
    context.fillRect(start, top, end - start, height);
    context.fillStyle = edge;
    context.fillRect(start, top, end - start, 3 * devicePixelRatio);
  };
  context.save();
  let open = null;
  for (const [start, last] of events) {
    if (last < from || start >= to) continue;
    const a = placeOf(start), b = Math.max(a + 2, placeOf(last));
    if (open && a <= open[1] + 1) open[1] = Math.max(open[1], b);
    else {
      if (open) draw(...open);
      open = [a, b];
    }
  }
  if (open) draw(...open);
  context.restore();
}

/** Marked points on the line; of many in one column of pixels the highest. */
function dots(chart, context, series, flags, { from, to }) {
  const { verdicts } = series, size = 2.6 * devicePixelRatio, { left, width, top, height } = chart.bbox;
  context.save();
  context.fillStyle = colour("bad");
  let column = -1, highest = -1;
  const draw = (at) => {
    const x = chart.valToPos(series.axisMs(at) / 1000, "x", true);
    const y = chart.valToPos(verdicts.score[at], "y", true);
    if (x < left || x > left + width || y < top - size || y > top + height) return;
    context.beginPath();
    context.arc(x, y, size, 0, 2 * Math.PI);
    context.fill();
  };
  const step = (to - from) / MOST_DOTS;
  for (let at = from; at < Math.min(to, flags.length); at++) {
    if (!flags[at]) continue;
    const own = step > 1 ? Math.floor((at - from) / step) : at;
    if (own !== column && highest >= 0) {
      draw(highest);
      highest = -1;
    }
    column = own;
    if (highest < 0 || verdicts.score[at] > verdicts.score[highest]) highest = at;
  }
  if (highest >= 0) draw(highest);
  context.restore();
}
