// How the entity is, in words and a few numbers, and what can be taken away from here.

import { html, useState } from "../../lib/html.js";
import { save } from "../../lib/api.js";
import { fleet, openedIn, useFleet } from "../../lib/fleet.js";
import { href } from "../../lib/route.js";
import { count, fullTime, number, score, span, time } from "../../lib/format.js";
import { STATUS } from "../../lib/words.js";
import { csv } from "./csv.js";
import { said } from "./kinds.js";
import { Mute } from "./mute.js";

const COPIED_MS = 3_000;
const CALIBRATING = `Quiet so far. Judged by the calibration of all entities, because no bundle was trained on this one;
  incidents open only where its policy asks for them.`;
const UNTOLD = `Its newest point is anomalous. No incident opens, because no bundle was trained on this entity and its
  policy does not ask for alerts of it.`;
const ODD = 0.5; // a score from which on a point is not called usual
const LATELY = 6; // nats: from where on the picture of severity is no longer pale
const LATE = "Below the threshold, so no incident is open; severity says that it is odd, or was lately.";
const TONES = { incident: "bad", warming: "warn", stale: "warn", calibrating: "warn", scored: "good" };
const NAMES = { incident: "in incident", scored: "no incident" };

export function Head({ entity, about, rows, incidents, frame, address }) {
  const stale = useFleet((all) => {
    const one = all.entities.get(entity);
    return one && all.status(one) === "stale" ? one.seenMs : 0;
  });
  const open = incidents.find((one) => one.isOpen);
  const status = open || about.incident ? "incident" : stale ? "stale" : about.status;
  const newest = rows.at(-1);
  return html`<div class="stack entity-head">
    <div class="row apart">
      <div class="row"><h1>${entity}</h1>
        <span class="tag ${TONES[status] || ""}" title=${STATUS[status] || ""}>${NAMES[status] || status}</span></div>
      <div class="row"><${Mute} entity=${entity} />
        <${Links} entity=${entity} about=${about} frame=${frame} address=${address} /></div>
    </div>
    <p class="said" role="status">${sentenceOf(status, { about, open, rows, stale })}</p>
    <div class="numbers">
      <div class=${newest?.is_anomaly ? "bad" : ""} title="Above 1 is anomalous, for every model and entity">
        <b>${score(newest?.score)}</b><span>score</span></div>
      <div title="How odd it is, now or over the last while, whichever is more; it has no threshold">
        <b>${number(newest?.severity)}</b><span>severity, nats</span></div>
      <div title=${newest ? fullTime(newest.timestamp_ms) : ""}>
        <b>${time(newest?.timestamp_ms)}</b><span>newest point</span></div>
      <div title="Accepted since the entity came"><b>${count(about.points)}</b><span>points</span></div>
      <div title="The model scores once it has seen so many points in a row">
        <b>${count(Math.min(about.have, about.need))} / ${count(about.need)}</b><span>points to warm up</span></div>
      <div><b class="model">${about.model || "–"}</b><span>model</span></div>
    </div>
  </div>`;
}

function sentenceOf(status, { about, open, rows, stale }) {
  if (open) return `In incident since ${time(open.openedMs)}: ${said(open, rows)}.`;
  if (status === "incident") return `In incident since ${time(openedIn(about.incident))}.`;
  if (status === "stale") return `No point has come for ${span(fleet.nowMs - stale)}.`;
  if (status === "warming") return `Warming up: ${about.have} of ${about.need} points. It is scored from then on.`;
  if (rows.at(-1)?.is_anomaly && status === "calibrating") return UNTOLD;
  if (rows.at(-1)?.is_anomaly) return "Its newest point is anomalous; no incident is open.";
  if (status === "scored" && rows.at(-1)?.score > ODD) return "Odd, but below the threshold: no incident is open.";
  if (status === "scored" && rows.at(-1)?.severity > LATELY) return LATE;
  if (status === "scored") return "Quiet: the newest point is as usual, no incident is open.";
  if (status === "calibrating") return CALIBRATING;
  return STATUS[status] || status;
}

function Links({ entity, about, frame, address }) {
  const [told, setTold] = useState(""); // a link that was copied, or one that could not be
  const link = new URL(href("entity", entity, address), location.href).href;
  const isCopied = told === "copied";
  const copy = async () => {
    const isTaken = await navigator.clipboard?.writeText(link).then(() => true, () => false);
    setTold(isTaken ? "copied" : link);
    if (isTaken) setTimeout(() => setTold(""), COPIED_MS);
  };
  const download = () => save(`${entity.replaceAll("/", "_")}.csv`, csv(frame.shown, about.dimensions), "text/csv");
  return html`<span class="row small">
    <span class="unseen" role="status">${isCopied ? "The link is copied" : ""}</span>
    ${told && !isCopied && html`<input readonly aria-label="Link to this view" value=${told}
      onFocus=${(event) => event.target.select()} />`}
    <button class="small" onClick=${copy} title="It reopens exactly what is shown now">
      ${isCopied ? "Copied" : "Copy link"}</button>
    <button class="small" onClick=${download} disabled=${!frame.shown.length}
      title=${`${count(frame.shown.length)} points with their verdicts`}>Download CSV</button>
  </span>`;
}
