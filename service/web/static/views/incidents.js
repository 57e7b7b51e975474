// Incidents as they open and resolve, with their causes in words, and what people say of them.

import { html, useEffect, useState } from "../lib/html.js";
import { fleet, useFleet } from "../lib/fleet.js";
import { href, put } from "../lib/route.js";
import { percent, score, span, time } from "../lib/format.js";
import { list, plain, sentence } from "../lib/words.js";

const SHOWN = 40;
const FILTERS = { "": "All", open: "Open", none: "Unlabelled" };
const LABELS = { true: "true alarm", false: "false alarm", new_normal: "new normal" };

export function Incidents({ filter = "" }) {
  const version = useFleet((all) => all.version), [isWhole, setWhole] = useState(false);
  const told = [...fleet.incidents.values()].reverse().filter((one) => fits(one, filter));
  const isWanting = filter === "none" && !told.length;
  useEffect(() => {
    if (isWanting) fleet.recallUnlabelled(); // there may be some older than those that are known here
  }, [isWanting]);
  const ordered = [...told.filter((one) => one.isOpen), ...told.filter((one) => !one.isOpen)];
  const shown = isWhole ? ordered : ordered.slice(0, SHOWN);
  return html`<section class="card incidents" aria-label="Incidents">
    <div class="row apart">
      <h2>Incidents</h2>
      <div class="choice" role="group" aria-label="Which incidents">
        ${Object.entries(FILTERS).map(([name, title]) => html`
          <button class="small" aria-pressed=${filter === name}
            onClick=${() => put({ label: name })}>${title}</button>`)}
      </div>
    </div>
    <${Newest} />
    ${ordered.length === 0 && html`<p class="soft">${EMPTY[filter] || EMPTY[""]}</p>`}
    <ul class="told">${shown.map((one) => html`
      <${Incident} key=${one.incident} one=${one} version=${version} />`)}</ul>
    ${ordered.length > shown.length && html`
      <button class="small" onClick=${() => setWhole(true)}>All ${ordered.length}</button>`}
  </section>`;
}

const EMPTY = {
  "": "None so far. One opens when points are anomalous of an entity that a bundle was trained on, or whose policy "
    + "asks for it; it comes here at once.",
  open: "None is open.",
  none: "All are labelled. Labels tell how many alarms were false: see Alarm promise.",
};

const fits = (one, filter) => (filter === "open" ? one.isOpen : filter === "none" ? !one.note.label : true);

/** For screen readers: the newest that was told, in one sentence. */
function Newest() {
  const newest = useFleet((all) => [...all.incidents.values()].at(-1));
  if (!newest) return null;
  const kind = newest.isOpen ? "Incident open" : "Incident resolved";
  return html`<p class="unseen" aria-live="polite">${`${kind}: ${newest.entity}, ${words(newest.worst)}`}</p>`;
}

export function Incident({ one }) {
  const { alert, note, isOpen } = one;
  const newest = isOpen ? fleet.entities.get(one.entity)?.timestampMs || 0 : 0; // an open one is seldom told
  const live = isOpen ? fleet.entities.get(one.entity)?.score || 0 : 0; // it is told again at double the peak
  const peak = Math.max(alert.peak_score || 0, live);
  const lasted = Math.max(alert.timestamp_ms, newest) - one.openedMs;
  const told = [
    time(one.openedMs),
    lasted > 0 && `${isOpen ? "for" : "lasted"} ${span(lasted)}`,
    peak && `peak score ${score(peak)}`,
  ];
  return html`<li class="incident ${isOpen ? "open" : ""}">
    <div class="row apart">
      <a class="strong" href=${href("entity", one.entity, address(one))}>${one.entity}</a>
      <span class="tag ${isOpen ? "bad" : ""}">${isOpen ? "open" : "resolved"}</span>
    </div>
    <p>${words(one.worst)}</p>
    <p class="soft small">${told.filter(Boolean).join(", ")}</p>
    <${Say} one=${one} note=${note} />
  </li>`;
}

/** An open one is followed; one that has ended is shown where it was. */
function address({ incident, entity, isOpen, openedMs, alert }) {
  const model = fleet.models[fleet.entities.get(entity)?.model];
  const periodMs = 1000 * (model?.period_seconds || 60);
  return { incident, ...(isOpen ? {} : around(openedMs, alert.timestamp_ms, periodMs)) };
}

/** An incident with as much time on both sides as it lasted, and ten points at least. */
export function around(openedMs, endMs, periodMs) {
  const more = Math.max(10 * periodMs, endMs - openedMs);
  return { from: openedMs - more, to: endMs + more };
}

const REASONS = {
  no_data: "no point comes any more",
  silence: "no point came any more",
  data_again: "points come again",
  points_lost: "points that were taken were lost",
  lost_dimension: "a dimension without values",
  new_normal: "this is the new normal",
  abandoned: "nothing can follow it any more",
};

/** What an alert says, in a sentence. */
export function words(alert) {
  const causes = alert.kind === "resolved" ? mostly(alert.causes) : sentence(alert.causes);
  const gone = alert.causes.filter((cause) => cause.value === null).map((cause) => plain(cause.dimension));
  if (alert.reason === "lost_dimension" && gone.length) return `${list(gone)}: no values`;
  return causes || REASONS[alert.reason] || alert.summary;
}

/** Causes of a whole incident: their values are those of its end, when all was well again. */
function mostly(causes) {
  const named = causes.filter((cause, at) => at === 0 || cause.share >= 0.2).slice(0, 3);
  const shares = named.map((cause) => `${plain(cause.dimension)} (${percent(cause.share)})`);
  return shares.length ? `mostly ${list(shares)}` : "";
}

/** Acknowledge and label; what cannot be kept is said. */
export function Say({ one, note }) {
  const [problem, setProblem] = useState(null);
  const say = (change) => fleet.note(one.incident, change).then(() => setProblem(null), setProblem);
  return html`<div class="row small">
    <button class="small" aria-pressed=${!!note.is_acknowledged}
      onClick=${() => say({ is_acknowledged: !note.is_acknowledged })}>
      ${note.is_acknowledged ? "Acknowledged" : "Acknowledge"}</button>
    <select class="small" aria-label=${`Label of ${one.entity}`} value=${note.label || ""}
      onChange=${(event) => say({ label: event.target.value || null })}>
      <option value="">no label</option>
      ${Object.entries(LABELS).map(([name, title]) => html`<option value=${name}>${title}</option>`)}
    </select>
    ${note.by && html`<span class="soft">by ${note.by}</span>`}
    ${problem && html`<span class="tag bad">${problem.message}</span>`}
  </div>`;
}
