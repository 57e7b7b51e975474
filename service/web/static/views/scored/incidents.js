// The incidents that marks make, worst first: a table in which each leads to its stretch.

import { html, useMemo, useState } from "../../lib/html.js";
import { count, fullTime } from "../../lib/format.js";
import { css, shareOf } from "../../lib/palette.js";
import { list, plain, sentence } from "../../lib/words.js";
import { around, placeText } from "./place.js";

const LISTED = 50, MORE = 200;
const NONE_YET = "None so far.";
const NONE = "No point is odder than the threshold. A larger budget would show more: move the slider to the right.";

export function Incidents({ series, decision, incidents, query, see, isRunning }) {
  const [order, setOrder] = useState("worst"), [most, setMost] = useState(LISTED);
  const { verdicts } = series;
  const all = useMemo(
    () => incidents.map((incident) => ({ ...incident, ...peakOf(verdicts, decision, incident) })),
    [decision, incidents],
  );
  const listed = useMemo(() => {
    const ordered = order === "worst" ? all.slice().sort((one, other) => other.peak - one.peak) : all;
    return ordered.slice(0, most);
  }, [all, order, most]);
  if (!all.length) {
    return html`<section class="card"><h2>Incidents</h2><p class="soft">${isRunning ? NONE_YET : NONE}</p></section>`;
  }
  return html`<section class="card">
    <div class="row apart">
      <h2>${count(all.length)} ${all.length === 1 ? "incident" : "incidents"}</h2>
      <div class="choice small" role="group" aria-label="Order">
        <button aria-pressed=${order === "worst"} onClick=${() => setOrder("worst")}>Worst first</button>
        <button aria-pressed=${order === "time"} onClick=${() => setOrder("time")}>In order</button>
      </div>
    </div>
    <div class="scroll found-list"><table aria-label="Incidents of the series">
      <${Head} about=${series.about} />
      <tbody>${listed.map((one) => html`<${Row} key=${one.start} one=${one} series=${series} see=${see}
        isChosen=${String(one.start) === query.incident} />`)}</tbody>
    </table></div>
    ${all.length > most && html`<p><button onClick=${() => setMost(most + MORE)}>
      Show ${count(Math.min(MORE, all.length - most))} more of ${count(all.length)}</button></p>`}
  </section>`;
}

const Head = ({ about }) => html`<thead><tr>
  <th scope="col">${about.hasTimes ? "Opened" : "Row"}</th>
  <th scope="col" class="number" title="marked points">Marks</th>
  <th scope="col" class="number" title="highest score, in thresholds">Peak</th>
  <th scope="col" class="number" title="highest severity, in nats">Severity</th>
  ${about.label && html`<th scope="col">Label</th>`}
  <th scope="col">What moved, at its peak</th>
</tr></thead>`;

function Row({ one, series, see, isChosen }) {
  const { about, verdicts } = series;
  const open = () => see(...around(series, one.start, one.end, 1.5), { incident: one.start });
  return html`<tr class=${isChosen ? "chosen" : ""}>
    <td class="nowrap"><button class="plain" aria-current=${isChosen ? "true" : null} onClick=${open}
      title=${about.hasTimes ? fullTime(series.timesMs[one.start]) : "look closer"}>
      ${placeText(series, one.start)}</button></td>
    <td class="number">${one.marks}</td>
    <td class="number">${one.marks ? one.peak.toFixed(2) : "–"}</td>
    <td class="number nowrap">${one.marks ? html`<i class="key" style=${{ background: css(shareOf(one.severity)) }}></i>
      ${one.severity.toFixed(1)}` : "–"}</td>
    ${about.label && html`<td>${isLabelled(about.label, one) ? html`<span class="tag good">event</span>`
      : html`<span class="tag warn">outside</span>`}</td>`}
    <td>${one.names.length ? lossOf(one.names) : sentence(verdicts.causes(one.at))}</td>
  </tr>`;
}

const isLabelled = (label, { start, end }) => label.subarray(start, end + 1).indexOf(1) >= 0;

function lossOf(names) {
  const told = names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;
  return `${list(told.map(plain))} ${names.length > 1 ? "have" : "has"} no value any more`;
}

function peakOf(verdicts, { flags, factor }, { start, end }) {
  let at = start, marks = 0, severity = 0;
  for (let point = start; point <= end; point++) {
    if (!flags[point]) continue;
    marks += 1;
    if (!(verdicts.score[point] <= verdicts.score[at])) at = point;
    if (verdicts.severity[point] > severity) severity = verdicts.severity[point];
  }
  return { at, marks, severity, peak: marks ? verdicts.score[at] * factor : 0 };
}
