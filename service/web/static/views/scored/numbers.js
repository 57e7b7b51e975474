// What was found, in numbers: marks and incidents, and how good they are where labels exist.

import { html, useMemo } from "../../lib/html.js";
import { QUIET_POINTS, markedIn, measures } from "../../lib/decide.js";
import { count, number, percent, span } from "../../lib/format.js";

const INCIDENT = `marks with up to ${QUIET_POINTS} quiet points between them are one incident; ` +
  "so is a dimension that has no value any more";

export function Numbers({ series, decision, episodes, incidents }) {
  const { label } = series.about, { flags } = decision, { verdicts } = series;
  const found = useMemo(() => (label ? measures(label, flags, episodes) : null), [label, decision, episodes]);
  const marked = useMemo(() => markedIn(flags), [decision]);
  return html`<section class="card" aria-label="What was found">
    <div class="numbers">
      <${One} name="marked" value=${count(marked)} text=${`marked of ${count(verdicts.scored)} scored points`}
        title="points with a p-value below the threshold" />
      <${One} name="incidents" value=${count(incidents.length)} title=${INCIDENT}
        text=${incidents.length === 1 ? "incident" : "incidents"} />
      ${found && html`<${Quality} found=${found} series=${series} />`}
    </div>
    ${!found && html`<p class="soft small">The series has no labels, so nobody can say here which marks are right.
      A column <code>label</code> of 0 and 1 would.</p>`}
    ${found?.events === 0 && html`<p class="soft small">No point of this stretch is labelled.</p>`}
  </section>`;
}

const One = ({ name, value, text, title }) =>
  html`<div data-measure=${name} title=${title}><b>${value}</b><span>${text}</span></div>`;

function Quality({ found, series }) {
  const delay = found.median_delay_points, period = series.about.hasTimes ? series.about.stepMs : 0;
  const delayed = delay === null ? "–" : `${number(delay)} ${delay === 1 ? "point" : "points"}`;
  return html`
    <${One} name="precision" value=${percent(found.precision)} text="precision"
      title="share of the marked points that are labelled" />
    <${One} name="recall" value=${percent(found.recall)} text="recall"
      title="share of the labelled points that are marked" />
    <${One} name="f1" value=${percent(found.f1)} text="F1" title="harmonic mean of precision and recall of points" />
    <${One} name="composite_f1" value=${percent(found.composite_f1)} text="composite F1"
      title="harmonic mean of precision and the share of events found" />
    <${One} name="events_found" value=${`${found.events_found} of ${found.events}`} text="events found"
      title="labelled stretches with at least one mark" />
    <${One} name="false_incidents" value=${count(found.false_incidents)} text="false incidents"
      title="incidents of marks that touch no labelled stretch" />
    <${One} name="median_delay_points" value=${delayed}
      text=${period && delay > 0 ? `median delay (${span(delay * period)})` : "median delay"}
      title="from the start of a labelled stretch that was found to its first mark" />`;
}
