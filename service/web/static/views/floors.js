// Measures of a bundle beside their floors: what chance, the input itself, PCA, and the same bundle
// around an untrained network reach. A model that is not above them is not worth its cost.

import { html } from "../lib/html.js";
import { list } from "../lib/words.js";

const FLOORS = [
  ["random", "random", "scores drawn by chance"],
  ["input", "input", "the scaled values themselves"],
  ["pca", "PCA", "the squared error of a PCA"],
  ["untrained", "untrained", "the same bundle around a network with its initial weights"],
];
// measures of which more is better, 0 to 1
const MEASURES = [
  ["average_precision", "Ranks odd points first", "average precision: are labelled points ranked before others"],
  ["vus_pr", "… also near their edges", "VUS-PR: the same, with tolerance around the edges of events"],
  ["oracle_composite_f1", "Best possible decision",
    "composite F1 with a threshold chosen on the labels: a ceiling, not a result"],
  ["event_recall", "Events found",
    "share of labelled events in which a point was flagged, at the threshold that serves"],
  ["hit_rate_100", "Blames the right dimensions",
    "HitRate@100: share of the guilty dimensions among as many first ones"],
  ["rc_top_3", "… one of them among three", "RC-Top3: share of events with a guilty dimension among the first three"],
];
const EQUAL = 0.005; // closer than this is no difference

/** Lines of the picture: what the bundle has, its floors, and how they compare. */
export function compared(metrics) {
  const own = metrics.bundle || {};
  return MEASURES.filter(([name]) => own[name] !== undefined).map(([name, title, meaning]) => {
    const floors = FLOORS.map(([row, floor]) => ({ row, floor, value: metrics[row]?.[name] }));
    return { name, title, meaning, value: own[name], ...ranked(own[name], floors.filter((one) => one.value !==
      undefined)) };
  });
}

function ranked(value, floors) {
  const above = floors.filter((one) => one.value > value + EQUAL);
  const equal = floors.filter((one) => Math.abs(one.value - value) <= EQUAL);
  if (!floors.length) return { floors, tone: "", verdict: "nothing to compare" };
  if (above.length) return { floors, tone: "bad", verdict: `below ${list(above.map((one) => one.floor))}` };
  if (equal.length) return { floors, tone: "warn", verdict: `equal to ${list(equal.map((one) => one.floor))}` };
  return { floors, tone: "good", verdict: floors.length === 1 ? `above ${floors[0].floor}` : "above all floors" };
}

/** `above all its floors in 3 of 6 measures, equal to one in 3`. */
export function summary(lines) {
  const of = (tone) => lines.filter((line) => line.tone === tone).length;
  const parts = [`above its floors in ${of("good")} of ${lines.length} measures`];
  if (of("warn")) parts.push(`no better than a floor in ${of("warn")}`);
  if (of("bad")) parts.push(`below a floor in ${of("bad")}`);
  return list(parts);
}

/** The picture, with a legend; `most` measures at most. */
export function Floors({ metrics, most = MEASURES.length }) {
  const lines = compared(metrics).slice(0, most);
  if (!lines.length) return html`<p class="soft">This version was measured on no labelled points; its report says what
    else is known.</p>`;
  return html`<div class="floors">
    <div class="legend">
      <span class="item"><${Mark} kind="bundle" /> this bundle</span>
      ${FLOORS.map(([row, floor, meaning]) => html`<span class="item" title=${meaning}><${Mark} kind=${row}
        /> ${floor}</span>`)}
    </div>
    <ul>${lines.map((line) => html`<${Line} line=${line} />`)}</ul>
  </div>`;
}

function Line({ line }) {
  const said = line.floors.map((one) => `${one.floor} ${short(one.value)}`).join(", ");
  return html`<li aria-label=${`${line.title}: ${short(line.value)}, ${line.verdict}. Floors: ${said}`}>
    <span class="what" title=${line.meaning}>${line.title}</span>
    <span class="track" aria-hidden="true" title=${`${short(line.value)}; ${said}`}>
      <span class=${`bar ${line.tone}`} style=${{ width: `${100 * line.value}%` }} />
      ${line.floors.map((one) => html`<${Mark} kind=${one.row} at=${one.value} />`)}
      <${Mark} kind="bundle" at=${line.value} />
    </span>
    <b aria-hidden="true">${short(line.value)}</b>
    <span class=${`verdict ${line.tone}`} aria-hidden="true">${line.verdict}</span>
  </li>`;
}

const SHAPES = {
  bundle: html`<circle cx="6" cy="6" r="5" />`,
  random: html`<circle cx="6" cy="6" r="4" />`,
  input: html`<path d="M6 1.5 10.5 10h-9z" />`,
  pca: html`<path d="M6 1 11 6 6 11 1 6z" />`,
  untrained: html`<path d="M1 1h10v10H1z" />`,
};

function Mark({ kind, at }) {
  const place = at === undefined ? null : { left: `${100 * Math.max(0, Math.min(1, at))}%` };
  return html`<svg class=${`mark ${kind}`} style=${place} viewBox="0 0 12 12" width="12" height="12"
    aria-hidden="true">${SHAPES[kind]}</svg>`;
}

/** Two digits; a dash where it was not measured. */
export const short = (value) => (value === undefined ? "–" : value.toFixed(2));

/** All numbers, for those who want them. */
export function Numbers({ metrics }) {
  const rows = ["bundle", "score", ...FLOORS.map(([row]) => row)].filter((row) => metrics[row]);
  const titles = { bundle: "bundle", score: "by its score", ...Object.fromEntries(FLOORS) };
  const names = [...new Set(rows.flatMap((row) => Object.keys(metrics[row])))];
  if (!rows.length) return null;
  return html`<details><summary>All measures as numbers</summary><div class="scroll">
    <table aria-label="Measures beside floors">
    <caption class="unseen">Measures of the evaluation, by row</caption>
    <thead><tr><th scope="col">measure</th>${rows.map((row) => html`<th scope="col"
      class="number">${titles[row]}</th>`)}</tr></thead>
    <tbody>${names.map((name) => html`<tr><th scope="row">${name.replaceAll("_", " ")}</th>
      ${rows.map((row) => html`<td class="number">${cell(metrics[row][name])}</td>`)}</tr>`)}</tbody>
  </table></div></details>`;
}

const cell = (value) => (value === undefined ? "–" : value < 10 ? value.toFixed(3) : value.toFixed(1));
