// Which entities are shown, and in what order.

import { openedIn } from "./fleet.js";

export const RECENT_CELLS = 10; // "worst" looks at so many of the newest cells

export const SORTS = { worst: "Worst first", name: "By name", model: "By model" };
export const STATUSES = ["incident", "scored", "calibrating", "warming", "stale"];

/** Entities that fit `{ text, status, model }`, in the order `sort`. */
export function arranged(fleet, { text = "", status = "", model = "", sort = "worst" }) {
  const wanted = text.toLowerCase();
  const found = [];
  for (const entity of fleet.entities.values()) {
    if (wanted && !entity.name.toLowerCase().includes(wanted)) continue;
    if (status && fleet.status(entity) !== status) continue;
    if (model && fleet.models[entity.model]?.model !== model) continue;
    found.push(entity);
  }
  if (sort === "worst") return byWorst(fleet, found);
  if (sort === "model") return found.sort((a, b) => a.model - b.model || compare(a.name, b.name));
  return found.sort((a, b) => compare(a.name, b.name));
}

/** Open incidents first, the last opened on top; then by the worst of the newest cells. */
function byWorst(fleet, entities) {
  const keys = new Map(entities.map((entity) => [entity, keyOf(fleet, entity)]));
  return entities.sort((a, b) => keys.get(b) - keys.get(a) || compare(a.name, b.name));
}

function keyOf(fleet, entity) {
  if (entity.incident) return 1e6 + openedIn(entity.incident);
  return worst(fleet, entity, RECENT_CELLS);
}

/** The highest level 0..127 among the newest `cells`. */
export function worst(fleet, entity, cells) {
  const shift = fleet.endCell - entity.endCell;
  let most = 0;
  for (let at = Math.max(0, entity.cells.length - cells + shift); at < entity.cells.length; at++) {
    most = Math.max(most, entity.cells[at] & 127);
  }
  return most;
}

/** How many entities have each status. */
export function census(fleet) {
  const counts = Object.fromEntries(STATUSES.map((status) => [status, 0]));
  for (const entity of fleet.entities.values()) counts[fleet.status(entity)] += 1;
  return counts;
}

const order = new Intl.Collator(undefined, { numeric: true });
const compare = order.compare;
