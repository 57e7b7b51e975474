// What is known to be wrong with an example, and what became of it at this threshold.

import { html } from "../../lib/html.js";
import { count } from "../../lib/format.js";
import { list, plain } from "../../lib/words.js";
import { around, placeText } from "./place.js";

export function Known({ series, decision, see }) {
  const rows = series.about.about.map((fault) => {
    const start = series.pointAt(fault.start_ms), end = Math.max(start, series.pointAt(fault.end_ms));
    return { ...fault, start, end, delay: decision.flags.subarray(start, end + 1).indexOf(1) };
  });
  return html`<section class="card">
    <h2>What is known to be wrong</h2>
    <div class="scroll"><table aria-label="What was done to the series">
      <thead><tr><th scope="col">From</th><th scope="col" class="number">Points</th><th scope="col">Fault</th>
        <th scope="col">Guilty dimensions</th><th scope="col">At this threshold</th></tr></thead>
      <tbody>${rows.map((one) => html`<tr>
        <td class="nowrap"><button class="plain" onClick=${() => see(...around(series, one.start, one.end, 1))}>
          ${placeText(series, one.start)}</button></td>
        <td class="number">${count(one.end - one.start + 1)}</td>
        <td>${one.kind ? plain(one.kind) : "–"}</td>
        <td>${list(one.culprits.map(plain)) || "–"}</td>
        <td>${fate(one, series.verdicts.have)}</td></tr>`)}</tbody>
    </table></div>
  </section>`;
}

function fate({ start, end, delay }, have) {
  if (start >= have) return html`<span class="soft">not scored yet</span>`;
  if (delay < 0 && end >= have) return html`<span class="soft">not found so far</span>`;
  if (delay < 0) return html`<span class="tag warn">not found</span>`;
  const when = delay === 0 ? "at once" : `after ${count(delay)} ${delay === 1 ? "point" : "points"}`;
  return html`<span class="tag good">found</span> ${when}`;
}
