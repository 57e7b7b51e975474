// Entities by time: the whole fleet in one picture. Where rows are fewer than entities, a row shows
// the worst of several, so that nothing odd is lost.

import { html, useMemo, useRef } from "../lib/html.js";
import { CELLS, fleet } from "../lib/fleet.js";
import { HeatMap } from "../lib/heat.js";
import { levelOf } from "../lib/palette.js";
import { Legend } from "./legend.js";
import { go, href } from "../lib/route.js";
import { day, fullTime, minute, number, time } from "../lib/format.js";

const MOST_ROWS = 240;
const TALLEST = 240, NAMED = 14; // CSS pixels: of the map, of a row that has its name beside it
const SHARE = 0.28; // of the height of the window that the map may take, where that is more

export function FleetMap({ entities, version }) {
  const size = Math.max(1, Math.ceil(entities.length / MOST_ROWS)); // entities of a row
  const rows = Math.ceil(entities.length / size);
  const tallest = Math.max(TALLEST, innerHeight * SHARE);
  const rowHeight = Math.max(1, Math.min(20, Math.floor(tallest / Math.max(1, rows))));
  const kept = useRef({ nats: new Uint8Array(0), levels: new Uint8Array(0) });
  const filled = useMemo(() => {
    if (kept.current.nats.length !== rows * CELLS) {
      kept.current = { nats: new Uint8Array(rows * CELLS), levels: new Uint8Array(rows * CELLS) };
    }
    return fill(kept.current, entities, size);
  }, [entities, version, size]);
  const { nats, levels } = filled;
  if (!entities.length) return html`<p class="card blank">No entity fits. <a href="#/fleet">Show all</a></p>`;

  const group = (row) => entities.slice(row * size, (row + 1) * size);
  const describe = (row, column) => tell(group(row), column, nats[row * CELLS + column]);
  const pick = (row) => go(href("entity", group(row)[0].name));
  const isNamed = rowHeight >= NAMED;
  return html`<section class="card" aria-label="Severity of every entity by time">
    <div class="row apart"><h2>When and where it was odd</h2><${Legend} /></div>
    <div class=${isNamed ? "map named" : "map"}>
      ${isNamed && html`<div class="names">${entities.map((entity) => html`
        <a key=${entity.name} href=${href("entity", entity.name)} style=${{ height: `${rowHeight}px` }}
          title=${entity.name}>${entity.name}</a>`)}</div>`}
      <div>
        <${HeatMap} levels=${levels} rows=${rows} columns=${CELLS} rowHeight=${rowHeight} version=${filled}
          label="Severity by entity and time; arrows move, Enter opens the entity"
          describe=${describe} onPick=${pick} />
        <${Ticks} />
      </div>
    </div>
    ${size > 1 && html`<p class="small soft">Each line is the worst of ${size} entities, in the order of the list.</p>`}
  </section>`;
}

/** The worst of every group in quarter nats, as the service has them, and as places on the ramp. */
function fill({ nats, levels }, entities, size) {
  const one = new Uint8Array(CELLS);
  nats.fill(0);
  entities.forEach((entity, at) => {
    const start = Math.floor(at / size) * CELLS;
    fleet.cells(entity, one);
    for (let cell = 0; cell < CELLS; cell++) {
      nats[start + cell] = Math.max(nats[start + cell], one[cell] & 127);
    }
  });
  for (let at = 0; at < nats.length; at++) levels[at] = PLACES[nats[at]];
  return { nats, levels };
}

const PLACES = Uint8Array.from({ length: 128 }, (_, quarters) => (quarters ? levelOf((quarters - 1) / 4) : 0));
const MOST = 31.5; // nats that a cell can hold

function tell(group, column, quarters) {
  const endMs = (fleet.endCell - (CELLS - 1 - column) + 1) * fleet.cellSeconds * 1000;
  const who = group.length > 1 ? `${group[0].name} and ${group.length - 1} more` : group[0].name;
  if (!quarters) return `${who}, until ${time(endMs)}: no point`;
  const worst = (quarters - 1) / 4;
  return `${who}, until ${time(endMs)}: severity ${worst >= MOST ? `${MOST} or more` : number(worst)} nats`;
}

function Ticks() {
  const back = CELLS * fleet.cellSeconds * 1000;
  const endMs = (fleet.endCell + 1) * fleet.cellSeconds * 1000;
  const places = [0, 0.25, 0.5, 0.75, 1];
  const at = places.map((part) => endMs - back * (1 - part));
  const isLong = day(at[0]) !== day(at.at(-1)); // without dates both ends of a day would read alike
  const isDated = (i) => isLong && (i === 0 || i === at.length - 1) && minute(at[i]) !== day(at[i]);
  return html`<div class="hours" aria-hidden="true">${at.map((ms, i) => html`
    <span title=${fullTime(ms)}>${isDated(i) ? `${day(ms)}, ` : ""}${minute(ms)}</span>`)}</div>`;
}
