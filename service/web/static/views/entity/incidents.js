// The incidents of one entity: open ones first, what they were, and what people say of them.

import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { ask, path, save, segment } from "../../lib/api.js";
import { UNHEARD, fleet, incidentOf, useFleet, worstOf } from "../../lib/fleet.js";
import { put } from "../../lib/route.js";
import { fullTime, score, span, time } from "../../lib/format.js";
import { around } from "../incidents.js";
import { endOf, heights, kindOf, said } from "./kinds.js";
import { Accept, Remark } from "./dialogs.js";

const ASKED = 100;
const SHOWN = 20;
const LABELS = [
  ["true", "True", "It was a true alarm"],
  ["false", "False", "It was a false alarm"],
  ["new_normal", "New normal", "A change that is normal from now on"],
];

/** All that is known of them, the last opened first; `endMs` is when each ended, or the newest time. */
export function useIncidents(entity, newestMs) {
  const [asked, setAsked] = useState([]);
  const isLive = useFleet((all) => all.line === "live");
  const told = useFleet((all) => [...all.incidents.values()].filter((one) => one.entity === entity));
  useEffect(() => {
    let isOver = false;
    const take = ({ incidents }) => {
      if (isOver) return;
      fleet.learn(incidents); // somebody else may have labelled them
      setAsked(incidents);
    };
    ask(path("/v1/incidents", { entity, limit: ASKED })).then(take, () => {});
    return () => (isOver = true);
  }, [entity, isLive]);
  return useMemo(() => {
    const all = new Map(asked.map((one) => [one.incident, incidentOf(one)]));
    for (const one of told) all.set(one.incident, newer(all.get(one.incident), one));
    return [...all.values()]
      .sort((a, b) => b.openedMs - a.openedMs)
      .map((one) => ({ ...one, endMs: endOf(one, newestMs) }));
  }, [asked, told, newestMs]);
}

/** The fleet knows the newest alert, and the note unless it only heard of the incident. */
function newer(before, told) {
  if (!before) return told;
  const note = told.note === UNHEARD ? before.note : told.note;
  return { ...told, worst: worstOf(before.worst, told.worst), note };
}

export function Incidents({ incidents, frame, rows, chosen }) {
  const [isWhole, setWhole] = useState(false);
  const ordered = [...incidents.filter((one) => one.isOpen), ...incidents.filter((one) => !one.isOpen)];
  const shown = ordered.filter((one, at) => isWhole || at < SHOWN || one.incident === chosen);
  return html`<section class="card incidents" aria-label="Incidents">
    <div class="row apart"><h2>Incidents</h2>
      <span class="soft small">${ordered.length ? `${ordered.length} known` : ""}</span></div>
    ${ordered.length === 0 && html`<p class="soft">None so far.</p>`}
    <ul class="told">${shown.map((one) => html`
      <${Incident} key=${one.incident} one=${one} words=${said(one, rows)} peak=${heights(one, rows)}
        periodMs=${frame.periodMs} isChosen=${one.incident === chosen} />`)}</ul>
    ${ordered.length > shown.length && html`
      <button class="small" onClick=${() => setWhole(true)}>All ${ordered.length}</button>`}
  </section>`;
}

function Incident({ one, words, peak, periodMs, isChosen }) {
  const [problem, setProblem] = useState(null);
  const [asking, setAsking] = useState(null);
  const { note, isOpen } = one;
  const close = () => setAsking(null);
  const attempt = (done) => done.then(() => setProblem(null), setProblem);
  const say = (change) => attempt(fleet.note(one.incident, change));
  const kind = kindOf(one);
  const classes = ["incident", isOpen && "open", isChosen && "chosen"].filter(Boolean).join(" ");
  return html`<li class=${classes} aria-current=${isChosen ? "true" : null}>
    <div class="row apart">
      <button class="plain strong" title=${`${fullTime(one.openedMs)}: show it in the charts`}
        onClick=${() => look(one, periodMs)}>${time(one.openedMs)}</button>
      <span class="tag ${isOpen ? "bad" : TAGS[kind.edge]}">${isOpen ? "open" : ENDED[kind.name] || kind.name}</span>
    </div>
    <p>${words}</p>
    <p class="soft small">${[spanOf(one), ...heightOf(peak)].join(", ")}</p>
    <${Said} note=${note} />
    <div class="row small says">
      <button class="small" aria-pressed=${!!note.is_acknowledged}
        onClick=${() => say({ is_acknowledged: !note.is_acknowledged })}>
        ${note.is_acknowledged ? "Acknowledged" : "Acknowledge"}</button>
      <${Labels} label=${note.label} onLabel=${(label) => say({ label })} onNormal=${() => setAsking("normal")} />
    </div>
    <div class="row small">
      <button class="small plain" onClick=${() => setAsking("remark")}>Remark</button>
      <button class="small plain" title="All that is kept of it, for gaugewatch replay-incident"
        onClick=${() => attempt(take(one.incident))}>Incident file</button>
    </div>
    ${problem && html`<p class="note bad small" role="alert">${problem.message}</p>`}
    ${asking === "normal" && html`<${Accept} one=${one} words=${words} onClose=${close}
      onAccept=${() => say({ label: "new_normal" })} />`}
    ${asking === "remark" && html`<${Remark} note=${note} onClose=${close} onSay=${say} />`}
  </li>`;
}

function Said({ note: { text, by } }) {
  if (!text && !by) return null;
  return html`<p class="small">${text ? `“${text}” ` : ""}${by && html`<span class="soft">${by}</span>`}</p>`;
}

/** One of three, or none: what is pressed again is taken back. */
function Labels({ label, onLabel, onNormal }) {
  return html`<div class="choice" role="group" aria-label="Label">
    ${LABELS.map(([name, title, about]) => {
      const isSaid = label === name;
      const press = () => (name === "new_normal" && !isSaid ? onNormal() : onLabel(isSaid ? null : name));
      return html`<button class="small" aria-pressed=${isSaid} title=${about} onClick=${press}>${title}</button>`;
    })}
  </div>`;
}

function heightOf({ score: peak, anomalies, points }) {
  const parts = [];
  if (peak) parts.push(`peak score ${score(peak)}`);
  if (anomalies) parts.push(`${anomalies} of ${points} points anomalous`);
  return parts;
}

const ENDED = { incident: "resolved" };
const TAGS = { bad: "", warn: "warn", accent: "good", soft: "" };

function spanOf({ isOpen, openedMs, endMs }) {
  if (isOpen) return `open for ${span(endMs - openedMs)}`;
  return endMs > openedMs ? `lasted ${span(endMs - openedMs)}` : "one point";
}

const look = (one, periodMs) => put({ incident: one.incident, ...around(one.openedMs, one.endMs, periodMs) });

/** Hand over the file of an incident. */
export async function take(incident) {
  const answer = await ask(`/v1/incidents/${segment(incident)}/file`, { raw: true });
  save(`${incident.replaceAll("/", "_")}.npz`, await answer.blob());
}
