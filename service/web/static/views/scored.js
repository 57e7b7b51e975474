// A scored series: score and severity over time, marks that follow a slider, how well they find the
// labels, and the incidents they make, with their causes. It grows while it is being scored.

import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { save } from "../lib/api.js";
import { put } from "../lib/route.js";
import { count, fullTime, number, percent, span, time } from "../lib/format.js";
import { Chart, level } from "../lib/chart.js";
import { LogSlider } from "../lib/logslider.js";
import { css, shareOf } from "../lib/palette.js";
import { colour } from "../lib/theme.js";
import { thin } from "../lib/thin.js";
import { list, plain, sentence } from "../lib/words.js";
import { LEAST_P, MOST_P, QUIET_POINTS, byBudget, byPercentile, incidentsOf, markedIn, measures, runs } from "../lib/decide.js";

const COLUMNS = 2400; // of a chart, at most: more than a wall screen has pixels
const LISTED = 50; // incidents at first
const CHARTS = 3; // of blamed dimensions
const MOST_DOTS = 6000;
const MOST_JSON_VALUES = 3_000_000;
const NOT_MARKED = { flags: new Uint8Array(0), thresholdP: NaN, factor: 1 };

/** `series`: lib/series.js, with its `version`; `name` for files; `query` of the address. */
export function Scored({ series, version, name, query, isRunning }) {
  const { verdicts, decided } = series;
  const [wish, setWish] = useState(() => wishOf(query));
  const sorted = useSorted(series, version, wish.percentile !== null);
  const budget = wish.budget ?? decided.budget;
  const decision = useMemo(() => {
    if (wish.percentile === null) return byBudget(verdicts, budget, decided);
    return sorted ? byPercentile(verdicts, wish.percentile, sorted) : NOT_MARKED;
  }, [series, version, budget, wish.percentile, sorted]);
  const episodes = useMemo(() => runs(decision.flags, QUIET_POINTS), [decision]);
  const isShare = wish.percentile !== null; // of whose marks alone incidents are made
  const incidents = useMemo(() => incidentsOf(episodes, isShare ? [] : series.lost), [episodes, version, isShare]);
  const view = viewOf(query, verdicts.count);
  const see = (from, to, more = {}) => put({ from: from > 0 ? from : null, to: to < verdicts.count ? to : null, incident: null, ...more });
  const change = (next, isLast) => {
    setWish(next);
    if (isLast) put({ budget: next.percentile === null && next.budget !== decided.budget ? next.budget : null, percentile: next.percentile });
  };
  return html`<div class="stack scored">
    <${Threshold} wish=${wish} budget=${budget} decided=${decided} decision=${decision} change=${change} />
    <${Numbers} series=${series} decision=${decision} episodes=${episodes} incidents=${incidents} />
    <${Charts} series=${series} version=${version} decision=${decision} incidents=${incidents} view=${view} see=${see} name=${name} />
    <div class="halves">
      <${Incidents} series=${series} decision=${decision} incidents=${incidents} query=${query} see=${see} isRunning=${isRunning} />
      <${Blamed} series=${series} version=${version} decision=${decision} view=${view} query=${query} see=${see} />
    </div>
    ${series.about.about?.length > 0 && html`<${Known} series=${series} decision=${decision} see=${see} />`}
    <${Download} series=${series} decision=${decision} name=${name} isRunning=${isRunning} />
  </div>`;
}

function wishOf(query) {
  const given = (text, most) => (Number(text) > 0 && Number(text) <= most ? Number(text) : null);
  return { budget: given(query.budget, 1e6), percentile: given(query.percentile, 50) };
}

function viewOf(query, all) {
  const from = Math.max(0, Math.min(all - 2, Math.floor(Number(query.from) || 0)));
  const to = Math.max(from + 2, Math.min(all, Math.floor(Number(query.to) || all)));
  return { from, to };
}

/** Sorted scores of what is known, from the worker; asked again only when the answer has come. */
function useSorted(series, version, isWanted) {
  const [sorted, setSorted] = useState(null), busy = useRef(false), wanted = useRef(-1);
  useEffect(() => {
    wanted.current = version;
    if (!isWanted || busy.current) return;
    busy.current = true;
    const ask = async () => {
      const asked = wanted.current;
      const found = await series.sorted().catch(() => null);
      if (found) setSorted(found);
      if (found && wanted.current !== asked) return ask();
      busy.current = false;
      return null;
    };
    ask();
  }, [series, version, isWanted]);
  return sorted;
}

function Threshold({ wish, budget, decided, decision, change }) {
  const isShare = wish.percentile !== null;
  const rate = `${number(budget)} false ${budget === 1 ? "incident" : "incidents"} per entity and day`;
  const sayBudget = (value) => `${number(value)} false incidents per entity and day${value === decided.budget ? ", as deployed" : ""}`;
  const bound = decision.thresholdP >= MOST_P ? `not above ${MOST_P}` : decision.thresholdP <= LEAST_P ? `not below ${LEAST_P}` : "";
  return html`<section class="card" aria-label="Threshold">
    <div class="row apart">
      <div class="choice" role="group" aria-label="What sets the threshold">
        <button aria-pressed=${!isShare} onClick=${() => change({ ...wish, percentile: null }, true)}>False-alarm budget</button>
        <button aria-pressed=${isShare} onClick=${() => change({ ...wish, percentile: wish.percentile ?? 1 }, true)}>Expected anomalies</button>
      </div>
      <output class="strong">${isShare ? `${number(wish.percentile)} % of the points of this series` : rate}</output>
      <span class="soft" title="a point whose p-value is smaller is marked">p below ${number(decision.thresholdP)}${!isShare && bound ? ` (${bound})` : ""}</span>
      <button disabled=${!isShare && budget === decided.budget} onClick=${() => change({ budget: null, percentile: null }, true)}>
        As deployed: ${number(decided.budget)} a day
      </button>
    </div>
    ${isShare
      ? html`<${LogSlider} label="Expected anomalies, percent of all points" least=${0.01} most=${10} value=${wish.percentile}
          say=${(value) => `${number(value)} percent of all points`}
          onInput=${(percentile) => change({ ...wish, percentile })} onChange=${(percentile) => change({ ...wish, percentile }, true)} />`
      : html`<${LogSlider} label="False-alarm budget, false incidents per entity and day" least=${0.01} most=${100} value=${budget}
          marked=${decided.budget} markedTitle="the budget in force" say=${sayBudget}
          onInput=${(value) => change({ ...wish, budget: value })} onChange=${(value) => change({ ...wish, budget: value }, true)} />`}
    <p class="soft small">${isShare
      ? "Marks the oddest share of this series, even if all of it is normal."
      : "How many incidents a day may be false: more finds more and sooner, less is quieter. Nothing is scored again."}</p>
  </section>`;
}

function Numbers({ series, decision, episodes, incidents }) {
  const { label } = series.about, { flags } = decision, { verdicts } = series;
  const found = useMemo(() => (label ? measures(label, flags, episodes) : null), [label, decision, episodes]);
  const marked = useMemo(() => markedIn(flags), [decision]);
  const delay = found?.median_delay_points;
  const period = verdicts.have > 1 && series.about.hasTimes ? (series.timesMs[verdicts.have - 1] - series.timesMs[0]) / (verdicts.have - 1) : 0;
  const delayText = delay === null || delay === undefined ? "–" : `${number(delay)} ${delay === 1 ? "point" : "points"}`;
  const one = (key, value, text, title) => html`<div data-measure=${key} title=${title}><b>${value}</b><span>${text}</span></div>`;
  return html`<section class="card" aria-label="What was found">
    <div class="numbers">
      ${one("marked", count(marked), `marked of ${count(verdicts.scored)} scored points`, "points with a p-value below the threshold")}
      ${one("incidents", count(incidents.length), incidents.length === 1 ? "incident" : "incidents", `marks with up to ${QUIET_POINTS} quiet points between them are one incident; so is a dimension that has no value any more`)}
      ${found && [
        one("precision", percent(found.precision), "precision", "share of the marked points that are labelled"),
        one("recall", percent(found.recall), "recall", "share of the labelled points that are marked"),
        one("f1", percent(found.f1), "F1", "harmonic mean of precision and recall of points"),
        one("composite_f1", percent(found.composite_f1), "composite F1", "harmonic mean of precision and the share of events found"),
        one("events_found", `${found.events_found} of ${found.events}`, "events found", "labelled stretches with at least one mark"),
        one("false_incidents", count(found.false_incidents), "false incidents", "incidents that touch no labelled stretch"),
        one("median_delay_points", delayText, period && delay > 0 ? `median delay (${span(delay * period)})` : "median delay", "from the start of a labelled stretch that was found to its first mark"),
      ]}
    </div>
    ${!found && html`<p class="soft small">The series has no labels, so nobody can say here which marks are right. A column <code>label</code> of 0 and 1 would.</p>`}
    ${found && found.events === 0 && html`<p class="soft small">No point of this stretch is labelled.</p>`}
  </section>`;
}

function Charts({ series, version, decision, incidents, view, see, name }) {
  const { verdicts, about } = series, { from, to } = view;
  const end = Math.min(to, Math.max(verdicts.have, from + 1));
  const events = useMemo(() => (about.label ? runs(about.label) : []), [about]);
  const drawn = useMemo(
    () => thin((at) => series.axisMs(at), [verdicts.score, verdicts.severity], from, end, COLUMNS),
    [series, version, from, end],
  );
  const [score, severity] = useMemo(() => [[drawn[0], drawn[1]], [drawn[0], drawn[2]]], [drawn, decision]);
  const range = [series.axisMs(from) / 1000, series.axisMs(to - 1) / 1000];
  const asinh = { distr: 4, asinh: 1, range: spread };
  const shadeEvents = (chart, context) => shaded(chart, context, series, events, view);
  const markScores = (chart, context) => {
    shadeEvents(chart, context);
    level(chart, context, 1 / decision.factor);
    dots(chart, context, series, decision.flags, view);
  };
  const pick = (fromMs, toMs) => see(series.pointAt(fromMs), Math.max(series.pointAt(fromMs) + 2, series.pointAt(toMs)));
  const isWhole = from === 0 && to === verdicts.count, width = to - from;
  const move = (by) => {
    const start = Math.max(0, Math.min(verdicts.count - width, Math.round(from + by * width)));
    see(start, start + width);
  };
  const shown = (at) => placeText(series, at);
  const said = `${count(incidents.length)} incidents at this threshold`;
  return html`<section class="card" aria-label="Score over time">
    <div class="row apart">
      <h2>Score of ${name}</h2>
      <div class="row small">
        <span class="soft">${shown(from)} to ${shown(to - 1)}</span>
        <button aria-label="Earlier" title="Earlier" disabled=${from === 0} onClick=${() => move(-0.5)}>←</button>
        <button aria-label="Later" title="Later" disabled=${to === verdicts.count} onClick=${() => move(0.5)}>→</button>
        <button aria-label="Closer" title="Closer" disabled=${width < 20} onClick=${() => see(from + Math.floor(width / 4), to - Math.floor(width / 4))}>+</button>
        <button disabled=${isWhole} onClick=${() => see(0, verdicts.count)}>Whole series</button>
      </div>
    </div>
    <${Chart} data=${score} series=${[{ label: "score", colour: "series", width: 1.1 }]} height=${220} scales=${{ y: asinh }} byRow=${!about.hasTimes} range=${range} marks=${markScores}
      sync="scored" onSelect=${pick} label=${`Score of ${name}, ${shown(from)} to ${shown(to - 1)}: ${said}`} />
    <div class="legend">
      <span><i class="key dot"></i>marked point</span>
      <span><i class="key dash"></i>threshold</span>
      ${events.length > 0 && html`<span><i class="key event"></i>labelled as anomalous</span>`}
      <span>a score counts in thresholds of the deployed budget; drag over a chart to look closer</span>
    </div>
    <h3>Severity, nats</h3>
    <${Chart} data=${severity} series=${[{ label: "severity", colour: "expected", width: 1.1 }]} height=${110} byRow=${!about.hasTimes} range=${range} marks=${shadeEvents}
      sync="scored" onSelect=${pick} label=${`Severity of ${name}, in nats`} />
  </section>`;
}

/** The labelled stretches in view; those that touch in pixels are drawn as one. */
function shaded(chart, context, series, events, { from, to }) {
  const { left, width, top, height } = chart.bbox, fill = colour("band"), edge = colour("accent");
  const placeOf = (at) => Math.max(left, Math.min(left + width, chart.valToPos(series.axisMs(at) / 1000, "x", true)));
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

/** From 0 up to a little more than the greatest, and never less than the threshold. */
const spread = (_, least, greatest) => [Math.min(0, least ?? 0), Math.max(1.3, 1.1 * (greatest ?? 1))];

/** Marked points on the line; of many in one column of pixels the highest. */
function dots(chart, context, series, flags, { from, to }) {
  const { verdicts } = series, size = 2.6 * devicePixelRatio, { left, width, top, height } = chart.bbox;
  context.save();
  context.fillStyle = colour("bad");
  let column = -1, highest = -1, drawn = 0;
  const draw = (at) => {
    const x = chart.valToPos(series.axisMs(at) / 1000, "x", true), y = chart.valToPos(verdicts.score[at], "y", true);
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
      drawn += 1;
      highest = -1;
    }
    column = own;
    if (highest < 0 || verdicts.score[at] > verdicts.score[highest]) highest = at;
  }
  if (highest >= 0) draw(highest);
  context.restore();
  return drawn;
}

/** When a point was, or which row it is. */
export const placeText = (series, at) => (series.about.hasTimes ? time(series.timesMs[at]) : `row ${count(at + series.about.firstRow)}`);

function Incidents({ series, decision, incidents, query, see, isRunning }) {
  const [order, setOrder] = useState("worst"), [most, setMost] = useState(LISTED);
  const { verdicts, about } = series;
  const all = useMemo(() => incidents.map((incident) => ({ ...incident, ...peakOf(verdicts, decision, incident) })), [decision, incidents]);
  const listed = useMemo(() => (order === "worst" ? all.slice().sort((one, other) => other.peak - one.peak) : all).slice(0, most), [all, order, most]);
  const open = ({ start, end }) => {
    const room = Math.max(30, Math.round(1.5 * (end - start)));
    see(Math.max(0, start - room), Math.min(verdicts.count, end + room), { incident: start });
  };
  const touches = ({ start, end }) => about.label.subarray(start, end + 1).indexOf(1) >= 0;
  if (!all.length) {
    return html`<section class="card"><h2>Incidents</h2><p class="soft">${isRunning
      ? "None so far."
      : "No point is odder than the threshold. A larger budget would show more: move the slider to the right."}</p></section>`;
  }
  return html`<section class="card">
    <div class="row apart">
      <h2>${count(all.length)} ${all.length === 1 ? "incident" : "incidents"}</h2>
      <div class="choice small" role="group" aria-label="Order">
        <button aria-pressed=${order === "worst"} onClick=${() => setOrder("worst")}>Worst first</button>
        <button aria-pressed=${order === "time"} onClick=${() => setOrder("time")}>In order</button>
      </div>
    </div>
    <div class="scroll found-list"><table>
      <thead><tr>
        <th scope="col">${about.hasTimes ? "Opened" : "Row"}</th><th scope="col" class="number" title="marked points">Marks</th>
        <th scope="col" class="number" title="highest score, in thresholds">Peak</th><th scope="col" class="number" title="highest severity, in nats">Severity</th>
        ${about.label && html`<th scope="col">Label</th>`}<th scope="col">What moved, at its peak</th>
      </tr></thead>
      <tbody>${listed.map((one) => html`<tr key=${one.start} class=${String(one.start) === query.incident ? "chosen" : ""}>
        <td class="nowrap"><button class="plain" title=${about.hasTimes ? fullTime(series.timesMs[one.start]) : "look closer"} aria-current=${String(one.start) === query.incident ? "true" : null}
          onClick=${() => open(one)}>${placeText(series, one.start)}</button></td>
        <td class="number">${one.marks}</td><td class="number">${Number.isNaN(one.peak) ? "–" : one.peak.toFixed(2)}</td>
        <td class="number nowrap"><i class="key" style=${{ background: css(shareOf(one.severity)) }}></i>${one.severity.toFixed(1)}</td>
        ${about.label && html`<td>${touches(one) ? html`<span class="tag good">event</span>` : html`<span class="tag warn">outside</span>`}</td>`}
        <td>${one.names.length ? `${list(one.names.slice(0, 4).map(plain))}${one.names.length > 4 ? " and more" : ""} ${one.names.length > 1 ? "have" : "has"} no value any more` : sentence(verdicts.causes(one.at))}</td>
      </tr>`)}</tbody>
    </table></div>
    ${all.length > most && html`<p><button onClick=${() => setMost(most + 200)}>Show ${count(Math.min(200, all.length - most))} more of ${count(all.length)}</button></p>`}
  </section>`;
}

function peakOf(verdicts, { flags, factor }, { start, end }) {
  let at = start, marks = 0, severity = 0;
  for (let point = start; point <= end; point++) {
    if (!flags[point]) continue;
    marks += 1;
    if (!(verdicts.score[point] <= verdicts.score[at])) at = point;
    if (verdicts.severity[point] > severity) severity = verdicts.severity[point];
  }
  return { at, marks, severity, peak: verdicts.score[at] * factor };
}

/** What is known to be wrong with an example, and what became of it. */
function Known({ series, decision, see }) {
  const rows = series.about.about.map((fault) => {
    const start = series.pointAt(fault.start_ms), end = Math.max(start, series.pointAt(fault.end_ms));
    return { ...fault, start, end, delay: decision.flags.subarray(start, end + 1).indexOf(1) };
  });
  const room = ({ start, end }) => Math.max(30, end - start);
  const found = ({ start, delay }) => {
    if (start >= series.verdicts.have) return html`<span class="soft">not scored yet</span>`;
    if (delay < 0) return html`<span class="tag warn">not found</span>`;
    return html`<span class="tag good">found</span> ${delay === 0 ? "at once" : `after ${count(delay)} ${delay === 1 ? "point" : "points"}`}`;
  };
  return html`<section class="card">
    <h2>What is known to be wrong</h2>
    <div class="scroll"><table>
      <thead><tr><th scope="col">From</th><th scope="col" class="number">Points</th><th scope="col">Fault</th><th scope="col">Guilty dimensions</th><th scope="col">At this threshold</th></tr></thead>
      <tbody>${rows.map((one) => html`<tr>
        <td class="nowrap"><button class="plain" onClick=${() => see(Math.max(0, one.start - room(one)), Math.min(series.verdicts.count, one.end + room(one)))}>${placeText(series, one.start)}</button></td>
        <td class="number">${count(one.end - one.start + 1)}</td><td>${one.kind ? plain(one.kind) : "–"}</td><td>${list(one.culprits.map(plain)) || "–"}</td><td>${found(one)}</td></tr>`)}</tbody>
    </table></div>
  </section>`;
}

function Blamed({ series, version, decision, view, query, see }) {
  const { verdicts } = series, { from, to } = view;
  const own = verdicts.dimensions.indexOf(query.dimension);
  const blamed = useMemo(() => verdicts.blame(decision.flags, from, Math.min(to, decision.flags.length) - 1), [decision, from, to]);
  const shown = [...new Set([...(own >= 0 ? [own] : []), ...blamed.slice(0, CHARTS).map(([dimension]) => dimension)])];
  const share = new Map(blamed);
  return html`<section class="card stack">
    <div class="row apart">
      <h2>${blamed.length ? "Most blamed in this stretch" : "Nothing is marked in this stretch"}</h2>
      <select aria-label="Also show a dimension" value=${own >= 0 ? query.dimension : ""} onChange=${(event) => put({ dimension: event.target.value || null })}>
        <option value="">also show …</option>
        ${verdicts.dimensions.map((name) => html`<option value=${name}>${plain(name)}</option>`)}
      </select>
    </div>
    ${!blamed.length && own < 0 && html`<p class="soft">Move the slider, look at another stretch, or choose a dimension to see its values.</p>`}
    ${shown.map((dimension) => html`<${Dimension} key=${dimension} series=${series} version=${version} dimension=${dimension}
      share=${share.get(dimension)} view=${view} see=${see} />`)}
  </section>`;
}

function Dimension({ series, version, dimension, share, view, see }) {
  const [data, setData] = useState(null), { from, to } = view;
  const name = series.verdicts.dimensions[dimension];
  const range = [series.axisMs(from) / 1000, series.axisMs(to - 1) / 1000];
  const busy = useRef(false), wanted = useRef(null);
  useEffect(() => {
    wanted.current = [from, to, version];
    if (busy.current) return;
    const ask = async () => {
      const asked = wanted.current;
      const found = await series.values(dimension, asked[0], asked[1], 1500).catch(() => null);
      if (found) setData(found);
      if (found && wanted.current !== asked) return ask();
      busy.current = false;
      return null;
    };
    busy.current = true;
    ask();
  }, [series, version, dimension, from, to]);
  const pick = (fromMs, toMs) => see(series.pointAt(fromMs), Math.max(series.pointAt(fromMs) + 2, series.pointAt(toMs)));
  if (!data) return html`<p class="soft">Loading ${plain(name)} …</p>`;
  const lines = [
    { label: "value", colour: "series", width: 1.3 }, { label: "expected", colour: "expected", width: 1.6, points: to - from < 400 },
    { label: "high", colour: "band", width: 1 }, { label: "low", colour: "band", width: 1 },
  ];
  const [seconds, value, expected, low, high] = data;
  return html`<div>
    <h3>${plain(name)} ${share !== undefined && html`<span class="soft">${percent(share)} of the blame</span>`}</h3>
    <${Chart} data=${[seconds, value, expected, high, low]} series=${lines} bands=${[{ series: [3, 4] }]} height=${120} byRow=${!series.about.hasTimes} range=${range} sync="scored" onSelect=${pick}
      label=${`Values of ${plain(name)}, and what was expected where it is among the causes`} />
  </div>`;
}

function Download({ series, decision, name, isRunning }) {
  const [state, setState] = useState(null);
  const { about } = series, values = about.count * about.names.length;
  const make = async (form) => {
    setState("busy");
    try {
      save(`${name}-scored.${form}`, await series.save(form, { ...decision, name }));
      setState(null);
    } catch (fault) {
      setState(fault.message);
    }
  };
  const isReady = !isRunning && state !== "busy" && series.verdicts.have > 0;
  const isLong = about.kind !== "json" && values > MOST_JSON_VALUES;
  const hasStopped = series.verdicts.have < series.verdicts.count;
  return html`<section class="card row" aria-label="Download">
    <h2>Download</h2>
    <button disabled=${!isReady} onClick=${() => make("csv")}>Verdicts and causes, CSV</button>
    <button disabled=${!isReady || isLong || hasStopped} title=${isLong ? "too long for JSON: take the CSV" : hasStopped ? "only of a series that was scored to its end" : null}
      onClick=${() => make("json")}>Marked series, JSON</button>
    <span class="soft small">${state === "busy" ? "Writing …" : state ?? "With the marks of the threshold above; a score of more than 1 is marked."}</span>
  </section>`;
}
