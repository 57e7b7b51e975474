// The heat-map of contributions: dimensions by time, the most blamed on top.

import { html, useMemo, useRef, useState } from "../../lib/html.js";
import { HeatMap } from "../../lib/heat.js";
import { point } from "../../lib/chart.js";
import { number, percent, time } from "../../lib/format.js";
import { list, plain } from "../../lib/words.js";
import { Legend } from "../legend.js";
import { cells } from "./blame.js";
import { expectedAt } from "./expected.js";
import { useCursor } from "./frame.js";
import { MARGIN, SYNC, gutterOf } from "./charts.js";

const FIRST = 15; // dimensions shown at once
const KEYS = "Arrow keys move, Enter shows the values of a dimension.";
const ROW_HEIGHT = 20;

/** `order`: as `ranked` gives it; `picked`: dimensions whose values are shown; `onPick(dimension)`. */
export function Contributions({ frame, order, picked, known, cursor, isNarrow, onPick, onHold }) {
  const [isWhole, setWhole] = useState(false);
  const rows = isWhole ? order : order.slice(0, FIRST);
  const names = rows.map((one) => one.dimension).join("\n");
  const map = useMemo(() => cells(frame, rows.map((one) => one.dimension)), [frame, names]);
  const version = useRef(0);
  useMemo(() => (version.current += 1), [map]);
  const gutter = gutterOf(isNarrow);
  const instant = (column) => frame.startMs + (column + 0.5) * frame.binMs;
  const follow = (row, column) => {
    const found = column === null ? null : (map.rows[row * frame.columns + column]?.timestamp_ms ?? instant(column));
    onHold(column !== null);
    cursor.set(found);
    point(SYNC, found);
  };
  const describe = (row, column) =>
    inWords(rows[row], map.rows[row * frame.columns + column], instant(column), known);
  const blamed = rows.filter((one) => one.part >= 0.01).slice(0, 3);
  const most = list(blamed.map((one) => `${plain(one.dimension)} (${percent(one.part)})`));
  return html`<section class="card" aria-label="Contributions">
    <div class="row apart"><h2>Who is to blame</h2><${Legend} /></div>
    <p class="soft small">Dimensions by time, the most blamed on top: colour is the severity of the point,
      full where half of its blame or more lies on the dimension.
      ${most && ` Most of all ${most}.`}</p>
    <div class="blame" style=${{ gridTemplateColumns: `${gutter}px minmax(0, 1fr)`, paddingRight: `${MARGIN}px` }}>
      <div class="blame-names">
        ${rows.map(({ dimension, part }) => html`<button key=${dimension} class="plain"
          style=${{ height: `${ROW_HEIGHT}px` }} aria-pressed=${picked.includes(dimension)}
          onClick=${() => onPick(dimension)}
          title=${`${plain(dimension)}: ${percent(part)} of all blame shown. Show or hide its values.`}>
          <span>${plain(dimension)}</span>${!isNarrow && part > 0 && html`<small>${percent(part)}</small>`}</button>`)}
      </div>
      <div class="blame-map">
        <${HeatMap} levels=${map.levels} rows=${rows.length} columns=${frame.columns} rowHeight=${ROW_HEIGHT}
          version=${version.current} label=${`Contributions of ${rows.length} dimensions over time. ${KEYS}`}
          describe=${describe} onPoint=${follow} onPick=${(row) => rows[row] && onPick(rows[row].dimension)} />
        <${CursorLine} frame=${frame} cursor=${cursor} height=${rows.length * ROW_HEIGHT} />
      </div>
    </div>
    ${order.length > FIRST && html`<button class="small" onClick=${() => setWhole(!isWhole)}>
      ${isWhole ? `Only the ${FIRST} most blamed` : `All ${order.length} dimensions`}</button>`}
  </section>`;
}

/** Where the cursor of the charts is. */
function CursorLine({ frame, cursor, height }) {
  const at = useCursor(cursor);
  if (at === null) return null;
  const share = (at - frame.startMs) / (frame.columns * frame.binMs);
  if (share < 0 || share > 1) return null;
  return html`<div class="cursor-line" style=${{ left: `${100 * share}%`, height: `${height}px` }} />`;
}

function inWords({ dimension, place }, row, ms, known) {
  if (!row) return `${time(ms)}: no point`;
  const value = row.values[place], was = expectedAt(row, dimension, place, known);
  const parts = [`${plain(dimension)} ${value === null ? "has no value" : number(value)}`];
  if (was) parts.push(`expected ${number(was.expected)} ± ${number(was.band)}`);
  if (row.severity === null) parts.push("not scored");
  else if (was?.share) parts.push(`${percent(was.share)} of a severity of ${number(row.severity)} nats`);
  else parts.push("no part in the blame");
  return `${time(row.timestamp_ms)}: ${parts.join(", ")}`;
}
