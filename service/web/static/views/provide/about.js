// What stands in a file: how much, from when to when, and its first rows.

import { html } from "../../lib/html.js";
import { count, fullTime, number, span } from "../../lib/format.js";

const SHOWN = 60; // columns of the first rows

/** `other(part)`: read another array of the same NPZ. */
export function About({ file, about, other }) {
  const { count: points, names, arrays } = about;
  return html`<div>
    <div class="row apart"><h2>${file.name}</h2>
      ${arrays?.length > 1 && html`<label>array
        <select aria-label="array" value=${about.part} onChange=${(event) => other(event.target.value)}>
          ${arrays.map((one) => html`<option value=${one.name}>
            ${one.name} (${count(one.count)} x ${one.width})</option>`)}</select></label>`}
    </div>
    <p class="soft">${count(points)} ${points === 1 ? "point" : "points"}, ${count(names.length)}
      ${" "}${names.length === 1 ? "column" : "columns"} of numbers; ${timesIn(about)}; ${labelsIn(about)}.</p>
    <details><summary>First rows</summary><div class="scroll"><table class="small" aria-label="First rows of the file">
      <thead><tr>${names.slice(0, SHOWN).map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
      <tbody>${about.preview.map((row) => html`<tr>${row.slice(0, SHOWN).map((value) => html`<td class="number">
        ${Number.isNaN(value) ? "" : number(value)}</td>`)}</tr>`)}</tbody>
    </table></div></details>
  </div>`;
}

function timesIn({ hasTimes, firstMs, lastMs, stepMs }) {
  if (!hasTimes) return "no times: points are one period apart";
  return `${fullTime(firstMs)} to ${fullTime(lastMs)}, every ${span(stepMs)}`;
}

const labelsIn = ({ label, labelled }) => (label ? `labels: ${count(labelled)} points are anomalous` : "no labels");
