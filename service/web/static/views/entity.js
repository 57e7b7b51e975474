// One entity: how it is, its score and severity, which dimensions are to blame and when, their
// values, and its incidents. The address holds the time shown, the dimensions and the incident.

import { html, useMemo, useRef, useState } from "../lib/html.js";
import { decoded, put } from "../lib/route.js";
import { count, number, score, time } from "../lib/format.js";
import { plain, sentence } from "../lib/words.js";
import { ranked } from "./entity/blame.js";
import { Scores, Values } from "./entity/charts.js";
import { Contributions } from "./entity/contributions.js";
import { useExpected } from "./entity/expected.js";
import { cursorStore, frameOf, live, rowAt, shifted, useCursor, useNarrow } from "./entity/frame.js";
import { Head } from "./entity/head.js";
import { Incidents, useIncidents } from "./entity/incidents.js";
import { useRows, useWithIncident } from "./entity/rows.js";

const KEPT = "Expected values are shown where the service kept them: those of causes.";
const ANEW = "Expected values of causes are kept; the rest of the line is computed anew from the points shown.";
const FIRST_DIMENSIONS = 3; // whose values are shown where nobody chose

export function Entity({ name, query }) {
  const { about, rows, problem, again } = useRows(name);
  if (!about && problem) return html`<${Unread} name=${name} problem=${problem} again=${again} />`;
  if (!about) return html`<p class="blank" role="status">Asking for ${name} …</p>`;
  return html`<${Known} name=${name} query=${query} about=${about} rows=${rows} problem=${problem} />`;
}

function Unread({ name, problem, again }) {
  if (problem.code !== "unknown_entity") {
    return html`<div class="blank" role="alert"><h2>${name} cannot be read</h2><p>${problem.message}</p></div>`;
  }
  return html`<div class="card blank stack" role="alert">
    <div><h2>Nothing is known of ${name}</h2>
    <p>No point of an entity of this name is kept. It comes with its first point,
      and goes when none came for long.</p></div>
    <p class="row centred"><a class="button" href="#/fleet">Back to the fleet</a>
      <button onClick=${again}>Look again</button></p>
  </div>`;
}

function Known({ name, query, about, rows, problem }) {
  const isNarrow = useNarrow();
  const [cursor] = useState(cursorStore);
  const all = useWithIncident(rows, about.dimensions, query.incident);
  const seen = query.from ? all.rows : rows;
  const frame = useMemo(() => frameOf(seen, query), [seen, query.from, query.to]);
  const incidents = useIncidents(name, rows.at(-1)?.timestamp_ms ?? 0);
  const known = useExpected(name, about, frame.shown);
  const [order, hold] = useOrder(frame, about);
  const picked = query.dimensions === undefined
    ? order.slice(0, FIRST_DIMENSIONS).map((one) => one.dimension)
    : query.dimensions.split(",").map(decoded).filter((one) => about.dimensions.includes(one));
  const without = (dimension) => picked.filter((one) => one !== dimension);
  const pick = (dimension) => choose(picked.includes(dimension) ? without(dimension) : [...picked, dimension]);
  const isEmpty = frame.shown.length === 0;
  const isJudged = frame.shown.some((row) => row.severity !== null);
  const shared = { frame, cursor, isNarrow, known, incidents, chosen: query.incident };
  const address = { ...query, from: frame.fromMs, to: frame.toMs, dimensions: joined(picked) };
  return html`<div class="stack">
    <${Head} entity=${name} about=${about} rows=${rows} incidents=${incidents} frame=${frame}
      address=${address} />
    ${problem && html`<p class="note warn" role="alert">${problem.code === "unknown_entity"
      ? "The service has forgotten this entity; what is shown is what this page still holds."
      : `What is shown is not the newest: ${problem.message}.`}</p>`}
    <div class="entity-view">
      <div class="stack">
        <section class="card" aria-label="Score and severity">
          <${Time} frame=${frame} rows=${seen} />
          ${isEmpty ? html`<${NoRows} frame=${frame} rows=${rows} lack=${all.lack} />`
            : html`<${Pointed} frame=${frame} cursor=${cursor} /><${Scores} ...${shared} />`}
        </section>
        ${!isEmpty && html`
          ${isJudged && html`<${Contributions} ...${shared} order=${order} picked=${picked} onPick=${pick}
            onHold=${hold} />`}
          <${Picked} ...${shared} picked=${picked} dimensions=${about.dimensions}
            isChosen=${query.dimensions !== undefined} isBlamed=${order[0]?.part > 0} />`}
      </div>
      <${Incidents} incidents=${incidents} frame=${frame} rows=${all.rows} chosen=${query.incident} />
    </div>
  </div>`;
}

/** Dimensions, the most blamed first; while the pointer is among them they keep their places. */
function useOrder(frame, about) {
  const isHeld = useRef(false), kept = useRef([]);
  const key = about.dimensions.join("\n");
  const order = useMemo(() => {
    const isOther = kept.current.length !== about.dimensions.length;
    if (isOther || !isHeld.current) kept.current = ranked(frame.shown, about.dimensions);
    return kept.current;
  }, [frame, key]);
  return [order, (is) => (isHeld.current = is)];
}

const joined = (dimensions) => dimensions.map(encodeURIComponent).join(",");
const choose = (dimensions) => put({ dimensions: dimensions.length ? joined(dimensions) : null });

/** Which time is shown, and how to see another. */
function Time({ frame, rows }) {
  const move = (name, sign, title, change) => html`<button class="small" aria-label=${name} title=${title}
    disabled=${frame.isLive && name !== "Closer"} onClick=${() => shifted(frame, rows, change)}>${sign}</button>`;
  return html`<div class="row apart">
    <h2>Score and severity</h2>
    <div class="row small">
      <span class="soft shown">${time(frame.fromMs)} – ${time(frame.toMs)}, ${count(frame.shown.length)} points</span>
      <div class="choice" role="group" aria-label="Time">
        ${move("Earlier", "←", "Earlier", { by: -0.5 })}
        ${move("Later", "→", "Later", { by: 0.5 })}
        ${move("Wider", "−", "More time", { grow: 2 })}
        ${move("Closer", "+", "Less time; or drag across a chart", { grow: 0.5 })}
        <button class="small" aria-pressed=${frame.isLive} title="Follow what comes" onClick=${live}>Live</button>
      </div>
    </div>
  </div>`;
}

/** The point under the pointer, in words; else the newest. */
function Pointed({ frame, cursor }) {
  const at = useCursor(cursor);
  const row = at === null ? frame.shown.at(-1) : rowAt(frame.shown, at, frame.periodMs);
  if (!row) return html`<p class="pointed soft">${at === null ? "" : `${time(at)}: no point`}</p>`;
  const causes = row.score > 0.5 || row.is_anomaly ? sentence(row.causes) : "";
  return html`<p class="pointed"><b>${time(row.timestamp_ms)}</b> ${judged(row)}${causes && `: ${causes}`}</p>`;
}

function judged({ status, score: value, severity, is_anomaly: isAnomaly }) {
  if (value === null) return `${status}, not scored`;
  return `score ${score(value)}${isAnomaly ? ", anomalous" : ""}, severity ${number(severity)} nats`;
}

function NoRows({ frame, rows, lack }) {
  const [first, last] = [rows[0]?.timestamp_ms, rows.at(-1)?.timestamp_ms];
  const reach = first ? ` Those that are reach from ${time(first)} to ${time(last)}.` : "";
  return html`<div class="stack pointed">
    <p>${`No point of this time is kept any more.${reach}`}</p>
    ${lack && html`<p role="alert">${`Of the incident: ${lack}`}</p>`}
    ${!frame.isLive && rows.length > 0 && html`<div><button onClick=${live}>Show what is kept</button></div>`}
  </div>`;
}

/** The values of chosen dimensions. */
function Picked({ picked, dimensions, isChosen, isBlamed, known, ...shared }) {
  const others = dimensions.filter((one) => !picked.includes(one));
  const add = (event) => event.target.value && choose([...picked, event.target.value]);
  return html`<section class="card" aria-label="Values">
    <div class="row apart">
      <h2>${isChosen || !isBlamed ? "Values" : "Values of the most blamed"}</h2>
      <div class="row small">
        ${isChosen && html`<button class="small" onClick=${() => choose([])}>The most blamed</button>`}
        <select class="small" aria-label="Show values of" value="" onChange=${add}>
          <option value="">Add a dimension …</option>
          ${others.map((one) => html`<option value=${one}>${plain(one)}</option>`)}
        </select>
      </div>
    </div>
    <p class="legend"><span class="stroke value">value</span><span class="stroke expected">expected</span>
      <span class="stroke band">usual band</span><span>${known.problem ? KEPT : ANEW}</span></p>
    <div class="plots">
      ${picked.map((dimension, at) => html`<${Values} key=${dimension} ...${shared} known=${known}
        dimension=${dimension} place=${dimensions.indexOf(dimension)} isBare=${at < picked.length - 1}
        onRemove=${() => choose(picked.filter((one) => one !== dimension))} />`)}
      ${picked.length === 0 && html`<p class="soft">Choose dimensions in the map above.</p>`}
    </div>
  </section>`;
}
