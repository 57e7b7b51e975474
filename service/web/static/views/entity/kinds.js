// What kind an incident is, in a word and a colour; when it ended; and what it was, in a sentence.

import { sentence } from "../../lib/words.js";
import { words } from "../incidents.js";

/** `{ name, edge }`: a word, and the name of a colour. */
export function kindOf({ incident, isOpen, alert, note }) {
  if (incident.endsWith("~silence")) return { name: "silence", edge: "warn" };
  if (incident.endsWith("~gap")) return { name: "points lost", edge: "warn" };
  if (note.label === "false") return { name: "false alarm", edge: "soft" };
  if (note.label === "new_normal" || alert.reason === "new_normal") return { name: "new normal", edge: "accent" };
  if (note.label === "true") return { name: "true alarm", edge: "bad" };
  return { name: isOpen ? "open" : "incident", edge: "bad" };
}

/** When it ended, or the newest that is known of one that is open. */
export function endOf({ isOpen, openedMs, alert }, newestMs) {
  return Math.max(openedMs, isOpen ? newestMs : alert.timestamp_ms);
}

/** `{ score, anomalies, points }`; an open one is told again when its peak has doubled, so the rows know more. */
export function heights(one, rows) {
  const { peak_score, anomalies, points } = one.alert;
  const told = { score: peak_score, anomalies, points };
  if (!one.isOpen || !rows.length || rows[0].timestamp_ms > one.openedMs) return told;
  const own = rows.filter((row) => row.timestamp_ms >= one.openedMs);
  const score = own.reduce((most, row) => Math.max(most, row.score || 0), peak_score || 0);
  return { score, anomalies: own.filter((row) => row.is_anomaly).length, points: own.length };
}

/** Its causes at its worst point, where that is among the rows; else as it was told. */
export function said(one, rows) {
  let worst = null;
  for (const row of rows) {
    const isInside = row.timestamp_ms >= one.openedMs && row.timestamp_ms <= one.endMs;
    if (isInside && row.causes.length && (!worst || (row.score || 0) > (worst.score || 0))) worst = row;
  }
  const isOfPoints = !/~(silence|gap)$/.test(one.incident) && one.worst.reason !== "lost_dimension";
  return isOfPoints && worst ? sentence(worst.causes) : words(one.worst);
}
