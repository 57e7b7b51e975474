// A version that scores silently beside the active one: what both said of the same points.

import { html, useState } from "../lib/html.js";
import { ask, segment } from "../lib/api.js";
import { Trouble, useAsked } from "../lib/asked.js";
import { count, number, percent } from "../lib/format.js";
import { Confirm } from "../lib/confirm.js";

const EVERY_MS = 5_000;

export function Shadow({ name, version, onChange }) {
  const { answer: report, problem, again } = useAsked(`/v1/models/${segment(name)}/shadow`, { everyMs: EVERY_MS });
  const [isStopping, setStopping] = useState(false);
  const stop = async () => {
    await ask(`/v1/models/${segment(name)}/shadow`, { method: "DELETE" });
  };
  return html`<section class="card stack" aria-labelledby="shadow-title">
    <div class="row apart">
      <h2 id="shadow-title">Shadow: <code>${version}</code> scores silently</h2>
      <span class="row"><button onClick=${again}>Compare now</button>
        <button onClick=${() => setStopping(true)}>Stop the shadow</button></span>
    </div>
    <${Trouble} problem=${problem} />
    ${report && html`<${Comparison} report=${report} />`}
    ${isStopping && html`<${Confirm} title="Stop the shadow?" action="Stop it" act=${stop}
      onEnd=${(isDone) => { setStopping(false); if (isDone) onChange(); }}>
      <p>What was compared so far is forgotten. Entities notice nothing: a shadow only looks on.</p><//>`}
  </section>`;
}

function Comparison({ report }) {
  if (!report.is_comparable) {
    return html`<p class="note warn">It has other dimensions than the active version, so nothing is compared.</p>`;
  }
  if (!report.compared) {
    return html`<p>No point was scored by both yet: ${count(report.points)} points came, and the shadow warms up as a
      new entity would. Post points, and this page follows.</p>`;
  }
  return html`<ul class="plainly">${sentences(report).map((line) => html`<li>${line}</li>`)}</ul>
    <div class="scroll"><table aria-label="Active version and shadow">
      <caption class="unseen">Flagged points and opened incidents, by version</caption>
      <thead><tr><th scope="col">of the same points</th><th scope="col" class="number">active</th>
        <th scope="col" class="number">shadow</th><th scope="col" class="number">both</th></tr></thead>
      <tbody>
        <tr><th scope="row">points flagged</th><td class="number">${count(report.flagged_active)}</td>
          <td class="number">${count(report.flagged_shadow)}</td>
          <td class="number">${count(report.flagged_both)}</td></tr>
        <tr><th scope="row">incidents opened</th><td class="number">${count(report.incidents_active)}</td>
          <td class="number">${count(report.incidents_shadow)}</td>
          <td class="number">${count(report.incidents_together)}</td></tr>
      </tbody>
    </table></div>
    <p class="small soft">In the memory of the replica that answered, since the shadow began there or the process
      started. The shadow works by the plain rules, whatever the policies say.</p>`;
}

/** The comparison in words. */
export function sentences(report) {
  const entities = report.entities === 1 ? "1 entity" : `${count(report.entities)} entities`;
  const of = `${count(report.points)} points of ${entities}`;
  const said = [`Both scored ${count(report.compared)} of ${of}.`];
  const apart = report.score_difference;
  if (report.score_correlation !== null) {
    said.push(
      `Scores are ranked ${alike(report.score_correlation)} (rank correlation ${number(report.score_correlation)}), `
      + `severities ${alike(report.severity_correlation)} (${number(report.severity_correlation)}). Half of the scores `
      + `differ by at most ${number(apart.p50)}, 99 % by at most ${number(apart.p99)}; an anomaly begins at 1.`,
    );
  }
  if (report.flagged_overlap === null) said.push("Neither flagged a point.");
  else said.push(`Of all points that one of them flagged, both flagged ${percent(report.flagged_overlap)}.`);
  said.push(told(report));
  return said;
}

function alike(correlation) {
  if (correlation >= 0.99) return "all but alike";
  if (correlation >= 0.9) return "much alike";
  return correlation >= 0.6 ? "partly alike" : "differently";
}

function told(report) {
  const { incidents_active: active, incidents_shadow: shadow, incidents_together: together } = report;
  if (!active && !shadow) return "Neither opened an incident.";
  const more = shadow - active;
  const size = Math.abs(more);
  const apart = `${count(size)} ${size === 1 ? "incident" : "incidents"} ${more > 0 ? "more" : "fewer"}`;
  const change = size === 0 ? "as many incidents" : apart;
  return `In its place the shadow would have opened ${change}: ${count(shadow)} against ${count(active)}, `
    + `of which ${count(together)} at the same time.`;
}
