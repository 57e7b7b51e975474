// The promise of alarms: how many incidents may be false, beside how many people called false.

import { html } from "../lib/html.js";
import { Trouble, useAsked } from "../lib/asked.js";
import { path } from "../lib/api.js";
import { count, number } from "../lib/format.js";
import { href, put } from "../lib/route.js";

const DAYS = [7, 30, 90];
const LABELS = [
  ["labelled_true", "true", "true", "people called them true"],
  ["labelled_false", "false", "false", "people called them false"],
  ["labelled_new_normal", "new normal", "new-normal", "a change that is normal from now on"],
  ["unlabelled", "not labelled", "none", "nobody has said anything yet"],
];

export function Promised({ query }) {
  const days = DAYS.includes(Number(query.days)) ? Number(query.days) : DAYS[0];
  const { answer: models, problem } = useAsked(path("/v1/promise", { days }));
  return html`<div class="stack">
    <div class="row apart"><div><h1>Alarm promise</h1>
      <p class="soft">False incidents per entity and day: how many every model promises at most, and how many
        came.</p></div>
      <span class="choice" role="group" aria-label="Days">${DAYS.map((many) => html`
        <button aria-pressed=${many === days ? "true" : "false"} 
          onClick=${() => put({ days: many })}>${many} days</button>`)}</span></div>
    <${Trouble} problem=${problem} />
    ${!models && !problem && html`<p class="blank" role="status">Loading …</p>`}
    ${models && html`<${Report} models=${models} days=${days} />`}
  </div>`;
}

function Report({ models, days }) {
  const told = models.filter((one) => one.entity_days || one.incidents);
  const quiet = models.filter((one) => !told.includes(one));
  return html`
    ${told.map((one) => html`<${Model} one=${one} days=${days} key=${one.model} />`)}
    ${!told.length && html`<${Empty} days=${days} />`}
    ${told.length > 0 && quiet.length > 0 && html`<p class="soft">No point of the last ${days} days was scored
      by ${quiet.map((one, at) => html`${at > 0 && ", "}<code>${one.model}</code>`)}.</p>`}
    ${told.length > 0 && html`<${How} />`}`;
}

function Empty({ days }) {
  return html`<div class="card blank"><h2>No point was scored in the last ${days} days</h2>
    <p>The promise is measured in points of entities that a bundle was trained on. Post points of these days, or watch
      the demo:</p>
    <pre>gaugewatch demo</pre><${How} /></div>`;
}

function How() {
  return html`<p class="soft small">An incident is labelled in its story (open the entity from
    the <a href=${href("fleet")}>fleet</a>), or with <code>PUT /v1/incidents/{incident}/note</code>. Points and
    incidents belong to the day (UTC) of their own time. Silences, and entities that are calibrating, are not counted:
    nothing is promised of them.</p>`;
}

function Model({ one, days }) {
  const state = kept(one);
  return html`<article class="card stack" aria-labelledby=${`promise-${one.model}`}>
    <div class="row apart"><h2 id=${`promise-${one.model}`}>${one.model}</h2>
      <span class=${`tag ${state.tone}`}>${state.word}</span></div>
    <p class="say">${said(one, state)}</p>
    <${Interval} one=${one} tone=${state.tone} />
    <div class="row apart">
      <${Labels} one=${one} />
      ${one.unlabelled > 0 && html`<a class="button" 
        href=${href("fleet", "", { label: "none" })}>
        Label ${count(one.unlabelled)} ${one.unlabelled === 1 ? "incident" : "incidents"}</a>`}
    </div>
    <p class="small soft">${one.entity_days === null
      ? "No version of this bundle is in force, so nobody knows its period, and how many days of entities were scored."
      : `${number(one.entity_days)} entity-days were scored in the last ${days} days: one is one entity watched `
        + "for one day."}</p>
    ${!one.is_complete && html`<p class="note warn">Incidents of these days may be missing: more opened than are kept,
      or the days reach further back than incidents are kept. The true rate can only be higher; fewer days may be
      complete.</p>`}
  </article>`;
}

/** Whether the promise is kept, as far as the labels tell. */
export function kept(one) {
  if (one.promised === null) return { tone: "", word: "no longer in force", kind: "old" };
  if (one.at_most === null) return { tone: "", word: "nothing scored", kind: "none" };
  if (one.at_most <= one.promised && one.is_complete) return { tone: "good", word: "kept", kind: "kept" };
  if (one.false_rate > one.promised) return { tone: "bad", word: "broken", kind: "broken" };
  if (one.at_most <= one.promised) return { tone: "warn", word: "not known", kind: "incomplete" };
  return { tone: "warn", word: "open: labels are missing", kind: "open" };
}

/** `The promise is kept: at most 0.39 false incidents per entity and day, 2 were promised; ...` */
export function said(one, { kind }) {
  const unit = "false incidents per entity and day";
  const left = one.unlabelled
    ? `${count(one.unlabelled)} of ${count(one.incidents)} incidents ${one.unlabelled === 1 ? "is" : "are"} `
      + "not labelled yet"
    : one.incidents ? `all ${count(one.incidents)} incidents are labelled` : "no incident opened";
  const were = one.promised === 1 ? "was" : "were";
  const most = number(one.at_most), promised = number(one.promised), least = number(one.false_rate);
  if (kind === "old") {
    const rate = one.at_most === null ? `${count(one.incidents)} incidents opened` : `at most ${most} ${unit}`;
    return `This version is no longer in force, so nothing is promised of it: ${rate}; ${left}.`;
  }
  if (kind === "none") return `No point was scored, so there is no rate; ${left}.`;
  if (kind === "kept") return `The promise is kept: at most ${most} ${unit}, ${promised} ${were} promised; ${left}.`;
  const end = `${promised} ${were} promised; ${left}.`;
  if (kind === "broken") return `The promise is broken: at least ${least} ${unit}, ${end}`;
  if (kind === "incomplete") return `At most ${most} ${unit} of those that are kept, ${end}`;
  const known = one.is_complete ? "" : " of those that are kept";
  return `Nobody knows yet: between ${least} and ${most} ${unit}${known}, ${end}`;
}

/** From what people called false to what they did not call true, with a mark for the promise. */
function Interval({ one, tone }) {
  if (one.at_most === null) return null;
  const most = scaleOf(Math.max(one.at_most, one.promised || 0));
  const at = (value) => `${Math.min(100, (100 * value) / most)}%`;
  const width = Math.max(0.6, (100 * (one.at_most - one.false_rate)) / most);
  const words = `Between ${number(one.false_rate)} and ${number(one.at_most)} false incidents per entity and day`
    + (one.promised === null ? "" : `; ${number(one.promised)} promised`);
  return html`<div class="interval" role="img" aria-label=${words}>
    <div class="lane">
      ${one.promised !== null && html`<span class="allowed" style=${{ width: at(one.promised) }} />`}
      <span class=${`observed ${tone}`} style=${{ left: at(one.false_rate), width: `${width}%` }} title=${words} />
      ${one.promised !== null && html`<span class="promise" style=${{ left: at(one.promised) }}
        title=${`promised: at most ${number(one.promised)}`}>
        <span class=${one.promised / most > 0.6 ? "before" : ""}>promised ${number(one.promised)}</span></span>`}
    </div>
    <div class="ticks">${[0, 0.25, 0.5, 0.75, 1].map((share) => html`
      <span style=${{ left: `${100 * share}%` }}>${number(share * most)}</span>`)}</div>
    <p class="legend"><span class="item"><span class=${`swatch observed ${tone}`} /> observed: from those called false
      to all not called true</span>
      ${one.promised !== null && html`<span class="item"><span class="swatch allowed" /> within the promise</span>`}
      <span>false incidents per entity and day</span></p>
  </div>`;
}

/** A round number that holds the value, with some room. */
function scaleOf(value) {
  if (!(value > 0)) return 1;
  const wanted = 1.15 * value, power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].find((step) => step * power >= wanted) * power;
}

function Labels({ one }) {
  return html`<dl class="labels" aria-label="Incidents by label">
    <div><dt>incidents</dt><dd>${count(one.incidents)}</dd></div>
    ${LABELS.map(([name, title, kind, meaning]) => html`<div title=${meaning}><dt>
      <span class=${`dot ${kind}`} />${title}</dt><dd>${count(one[name])}</dd></div>`)}
  </dl>`;
}
