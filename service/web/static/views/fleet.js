// The fleet: how many are well, where and when it was odd, every entity, and what was told.

import { html, useEffect, useMemo, useState } from "../lib/html.js";
import { fleet, useFleet } from "../lib/fleet.js";
import { arranged, census, SORTS, STATUSES } from "../lib/order.js";
import { count, time } from "../lib/format.js";
import { put } from "../lib/route.js";
import { STATUS } from "../lib/words.js";
import { FleetMap } from "./fleet-map.js";
import { FleetList } from "./fleet-list.js";
import { Incidents } from "./incidents.js";

const OLD_MS = 4_000; // without an answer, from which on it is said
const SPANS = { hour: "Hour", "6h": "6 hours", day: "Day" };

export function Fleet({ query }) {
  const version = useFleet((all) => all.version);
  const [isHeld, setHeld] = useState(false); // rows stay in place while the pointer is among them
  useEffect(() => fleet.show(query.span in SPANS ? query.span : "hour"), [query.span]);
  const filter = { text: query.q, status: query.status, model: query.model, sort: query.sort || "worst" };
  const entities = useArranged(filter, version, isHeld);
  if (!fleet.isKnown) return html`<${Waiting} />`;
  if (fleet.entities.size === 0) return html`<${Empty} />`;
  return html`<div class="stack">
    <h1 class="unseen">Fleet</h1>
    <${Old} />
    <${Gap} />
    <${Numbers} status=${filter.status} />
    <div class="fleet">
      <div class="stack">
        <${Tools} filter=${filter} span=${fleet.span} shown=${entities.length} />
        <${FleetMap} entities=${entities} version=${version} />
        <div onPointerEnter=${() => setHeld(true)} onPointerLeave=${() => setHeld(false)}>
          <${FleetList} entities=${entities} version=${version} />
        </div>
      </div>
      <${Incidents} filter=${query.label} />
    </div>
  </div>`;
}

/** Entities in order; while held, those that are there keep their places. */
function useArranged(filter, version, isHeld) {
  const [kept] = useState({ names: [], key: "" });
  return useMemo(() => {
    const key = JSON.stringify(filter);
    if (isHeld && key === kept.key) return kept.names.map((name) => fleet.entities.get(name)).filter(Boolean);
    const entities = arranged(fleet, filter);
    Object.assign(kept, { names: entities.map((entity) => entity.name), key });
    return entities;
  }, [JSON.stringify(filter), version, isHeld]);
}

function Waiting() {
  const problem = fleet.problem;
  return html`<div class="blank" role="status">
    ${problem ? html`<h2>The fleet cannot be read</h2><p>${problem.message}</p>` : "Asking for the fleet …"}
  </div>`;
}

function Empty() {
  const example = `curl ${location.origin}/v1/points -H 'Content-Type: application/json' \\
  -d '{"points": [{"entity": "node-03", "timestamp_ms": ${Date.now()},
       "values": {"cpu_user": 45.5, "load_1": 4.2}}]}'`;
  return html`<div class="card blank stack">
    <div><h2>No points yet</h2>
    <p>Entities appear here with their first point. Send one:</p></div>
    <div><pre>${example}</pre></div>
    <p>or stream a file with <code>gaugewatch replay FILE --url ${location.origin}</code>,
      or see how it looks with <a href="#/example">an example</a> or <a href="#/provide">a file of yours</a>.</p>
  </div>`;
}

/** What is shown is no longer the newest, and why. */
function Old() {
  const problem = useFleet((all) => all.problem);
  if (!problem || Date.now() - fleet.takenMs < OLD_MS) return null;
  return html`<p class="note warn" role="status"><b>Not the newest:</b> ${problem.message}.
    What is shown came at ${time(fleet.takenMs)}; it is asked again every second.</p>`;
}

function Gap() {
  const gap = useFleet((all) => all.gap);
  if (gap === null) return null;
  const what = gap ? `${count(gap)} ${gap === 1 ? "alert" : "alerts"}` : "Some alerts";
  return html`<p class="note warn row apart" role="alert">
    <span><b>Gap:</b> ${what} came while this page was away and are no longer kept. Incidents that are still known are
      listed.</span>
    <button onClick=${() => fleet.forgive()}>Understood</button>
  </p>`;
}

function Numbers({ status }) {
  const counts = census(fleet);
  const pick = (name) => put({ status: status === name ? null : name });
  const { size } = fleet.entities, more = fleet.leftOff ? `, ${count(fleet.leftOff)} more are not shown` : "";
  return html`<div class="numbers card" role="group" aria-label="Entities by status">
    <div><b>${count(size)}</b><span>${size === 1 ? "entity" : "entities"}${more}</span></div>
    ${STATUSES.map((name) => html`
      <button class="figure ${name === "incident" && counts[name] ? "bad" : ""}" aria-pressed=${status === name}
        title=${STATUS[name]} onClick=${() => pick(name)}>
        <b>${count(counts[name])}</b><span>${name === "incident" ? "in incident" : name}</span>
      </button>`)}
  </div>`;
}

function Tools({ filter, span, shown }) {
  const models = fleet.models.map((one) => one.model);
  return html`<div class="row apart">
    <div class="row">
      <input type="search" placeholder="Find an entity" aria-label="Find an entity" value=${filter.text || ""}
        onInput=${(event) => put({ q: event.target.value })} />
      <select aria-label="Order" value=${filter.sort} onChange=${(event) => put({ sort: event.target.value })}>
        ${Object.entries(SORTS).map(([name, title]) => html`<option value=${name}>${title}</option>`)}
      </select>
      ${models.length > 1 && html`<select aria-label="Model" value=${filter.model || ""}
        onChange=${(event) => put({ model: event.target.value })}>
        <option value="">All models</option>${models.map((name) => html`<option value=${name}>${name}</option>`)}
      </select>`}
      ${shown < fleet.entities.size && html`<span class="soft small">${count(shown)} shown</span>`}
    </div>
    <div class="choice" role="group" aria-label="How far back">
      ${Object.entries(SPANS).map(([name, title]) => html`
        <button aria-pressed=${span === name} onClick=${() => put({ span: name })}>${title}</button>`)}
    </div>
  </div>`;
}
