// Entities by time: the whole fleet in one picture. Where rows are fewer than entities, a row shows
// the worst of several, so that nothing odd is lost.

import { html, useMemo, useRef } from "../lib/html.js";
import { CELLS, fleet } from "../lib/fleet.js";
import { HeatMap } from "../lib/heat.js";
import { Legend } from "./legend.js";
import { go, href } from "../lib/route.js";
import { fullTime, number, time } from "../lib/format.js";

const MOST_ROWS = 240;
const TALLEST = 240, NAMED = 14; // CSS pixels: of the map, of a row that has its name beside it

export function FleetMap({ entities, version }) {
  const size = Math.max(1, Math.ceil(entities.length / MOST_ROWS)); // entities of a row
  const rows = Math.ceil(entities.length / size);
  const rowHeight = Math.max(1, Math.min(20, Math.floor(TALLEST / Math.max(1, rows))));
  const buffer = useRef(new Uint8Array(0));
  const levels = useMemo(() => {
    if (buffer.current.length !== rows * CELLS) buffer.current = new Uint8Array(rows * CELLS);
    return fill(buffer.current, entities, size);
  }, [entities, version, size]);
  if (!entities.length) return html`<p class="card blank">No entity fits. <a href="#/fleet">Show all</a></p>`;

  const group = (row) => entities.slice(row * size, (row + 1) * size);
  const describe = (row, column) => tell(group(row), column, levels[row * CELLS + column]);
  const pick = (row) => go(href("entity", group(row)[0].name));
  const isNamed = rowHeight >= NAMED;
  return html`<section class="card" aria-label="Severity of every entity by time">
    <div class="row apart"><h2>When and where it was odd</h2><${Legend} /></div>
    <div class=${isNamed ? "map named" : "map"}>
      ${isNamed && html`<div class="names">${entities.map((entity) => html`
        <a href=${href("entity", entity.name)} style=${{ height: `${rowHeight}px` }} title=${entity.name}>${entity.name}</a>`)}</div>`}
      <div>
        <${HeatMap} levels=${levels} rows=${rows} columns=${CELLS} rowHeight=${rowHeight} version=${version}
          label="Severity by entity and time; arrows move, Enter opens the entity" describe=${describe} onPick=${pick} />
        <${Ticks} />
      </div>
    </div>
    ${size > 1 && html`<p class="small soft">Each line is the worst of ${size} entities, in the order of the list.</p>`}
  </section>`;
}

function fill(levels, entities, size) {
  const one = new Uint8Array(CELLS);
  levels.fill(0);
  entities.forEach((entity, at) => {
    const start = Math.floor(at / size) * CELLS;
    fleet.cells(entity, one);
    for (let cell = 0; cell < CELLS; cell++) {
      const level = one[cell] & 127;
      if (level > levels[start + cell]) levels[start + cell] = level;
    }
  });
  recoloured(levels);
  return levels;
}

/** Quarter nats, as the service has them, to places on the ramp of the page. */
const PLACES = Uint8Array.from({ length: 128 }, (_, level) => {
  if (level === 0) return 0;
  return 1 + Math.round(126 * Math.sqrt(Math.min(1, (level - 1) / 4 / 24)));
});

function recoloured(levels) {
  for (let at = 0; at < levels.length; at++) levels[at] = PLACES[levels[at]];
}

function tell(group, column, level) {
  const endMs = (fleet.endCell - (CELLS - 1 - column) + 1) * fleet.cellSeconds * 1000;
  const when = `until ${time(endMs)}`;
  const who = group.length > 1 ? `${group[0].name} and ${group.length - 1} more` : group[0].name;
  if (!level) return `${who}, ${when}: no point`;
  const nats = 24 * ((level - 1) / 126) ** 2;
  return `${who}, ${when}: severity ${nats >= 23.9 ? "24 or more" : number(nats)} nats`;
}

function Ticks() {
  const back = CELLS * fleet.cellSeconds * 1000;
  const endMs = (fleet.endCell + 1) * fleet.cellSeconds * 1000;
  const places = [0, 0.25, 0.5, 0.75, 1];
  return html`<div class="ticks" aria-hidden="true">${places.map((part) => html`
    <span title=${fullTime(endMs - back * (1 - part))}>${time(endMs - back * (1 - part))}</span>`)}</div>`;
}
