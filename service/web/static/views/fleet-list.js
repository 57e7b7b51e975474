// Every entity as a row; only rows in sight are in the document, however many there are.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { CELLS, fleet } from "../lib/fleet.js";
import { css, MOST_NATS, shareOf } from "../lib/palette.js";
import { colour, onTheme } from "../lib/theme.js";
import { href } from "../lib/route.js";
import { number, score, span } from "../lib/format.js";
import { RECENT_CELLS } from "../lib/order.js";
import { list, plain, STATUS } from "../lib/words.js";
import { words } from "./incidents.js";

const ROW = 46; // CSS pixels
const LEAST_ROWS = 14; // in sight; more on a tall screen
const SHARE = 0.55; // of the height of the window
const SPARE = 6; // rows beyond the edges
const ODD_NATS = 8; // a severity that is seldom without a reason
const ABOUT = { Severity: "over the time of the picture above", Score: "above 1 is anomalous" };

export function FleetList({ entities, version }) {
  const [top, setTop] = useState(0);
  const first = Math.max(0, Math.min(Math.floor(top / ROW) - SPARE, entities.length - 1));
  const inSight = Math.max(LEAST_ROWS, Math.floor((innerHeight * SHARE) / ROW));
  const last = Math.min(entities.length, first + inSight + 2 * SPARE);
  if (!entities.length) return null;
  return html`<section class="card list" role="table" aria-label="Entities" aria-rowcount=${entities.length + 1}>
    <p class="soft small caption" role="caption">A score above 1 is anomalous. Worst first: open incidents, then the most
      severe of the ten newest columns of the picture.</p>
    <div class="entity head" role="row">
      ${["Entity", "Status", "Severity", "Score", "Blamed most", "Newest"].map((title) => html`
        <span role="columnheader" class=${title.toLowerCase().replace(" ", "-")} title=${ABOUT[title]}>
          ${title}</span>`)}
    </div>
    <div class="rows" style=${{ maxHeight: `${inSight * ROW}px` }}
      onScroll=${(event) => setTop(event.currentTarget.scrollTop)}
      tabindex=${entities.length > inSight ? 0 : null} role="rowgroup" aria-label="Entities in order">
      <div style=${{ height: `${entities.length * ROW}px`, position: "relative" }}>
        ${entities.slice(first, last).map((entity, at) => html`
          <${Row} key=${entity.name} entity=${entity} place=${first + at} version=${version} />`)}
      </div>
    </div>
  </section>`;
}

function Row({ entity, place, version }) {
  const status = fleet.status(entity);
  return html`<div class="entity" role="row" aria-rowindex=${place + 2} style=${{ top: `${place * ROW}px` }}>
    <span role="cell" class="entity-name">
      <a href=${href("entity", entity.name)} title=${entity.name}>${entity.name}</a></span>
    <span role="cell" class="status"><${Status} entity=${entity} status=${status} /></span>
    <span role="cell" class="severity"><${Spark} entity=${entity} version=${version} /></span>
    <span role="cell" class="score ${entity.score > 1 ? "strong" : ""}"
      title="above 1 is anomalous">${score(entity.score)}</span>
    <span role="cell" class="blamed-most soft small">${blamed(entity, status)}</span>
    <span role="cell" class="newest soft small"
      title="since its newest point came">${span(fleet.nowMs - entity.seenMs)} ago</span>
  </div>`;
}

const TAGS = { incident: "bad", stale: "warn", warming: "", calibrating: "", scored: "good" };

export function Status({ entity, status }) {
  const texts = { incident: "in incident", warming: `warming ${entity.have}/${entity.need}` };
  const isOdd = status === "scored" && entity.severity >= ODD_NATS;
  if (isOdd) return html`<span class="tag warn" title=${STATUS.odd}>scored, odd</span>`;
  return html`<span class="tag ${TAGS[status]}" title=${STATUS[status]}>${texts[status] || status}</span>`;
}

function blamed(entity, status) {
  const told = fleet.incidents.get(entity.incident)?.worst;
  if (told?.reason === "lost_dimension") return words(told); // no point is anomalous: the causes are of one before
  const isLate = entity.causedMs < fleet.endMs - 1000 * RECENT_CELLS * fleet.cellSeconds;
  if (!entity.causes.length || (status !== "incident" && isLate)) return "";
  return list(entity.causes.map(([dimension, share]) => `${plain(dimension)} (${Math.round(100 * share)}\u00a0%)`));
}

/** Severity of the span as bars: height and colour both say how odd. */
function Spark({ entity, version }) {
  const canvas = useRef(null);
  const draw = () => paint(canvas.current, fleet.cells(entity));
  useEffect(draw, [version, entity]);
  useEffect(() => onTheme(draw), [entity]);
  const told = `severity ${number(entity.severity)} nats`;
  return html`<canvas ref=${canvas} class="spark" width="180" height="28" role="img"
    aria-label=${told} title=${told} />`;
}

function paint(canvas, cells) {
  const context = canvas.getContext("2d"), width = canvas.width / CELLS, { height } = canvas;
  context.clearRect(0, 0, canvas.width, height);
  context.fillStyle = colour("line");
  context.fillRect(0, height - 1, canvas.width, 1);
  for (let at = 0; at < CELLS; at++) {
    const level = cells[at] & 127;
    if (!level) continue;
    const share = shareOf((level - 1) / 4);
    const tall = Math.max(2, share * (height - 2));
    context.fillStyle = css(share);
    context.fillRect(at * width, height - tall, width - 0.5, tall);
  }
}
