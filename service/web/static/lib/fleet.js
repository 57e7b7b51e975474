// What the page knows of the fleet: every entity with its cells of the last hour, kept up to date
// by `/v1/fleet?since=`, and the incidents, kept up to date by the socket of alerts.

import { useEffect, useRef, useState } from "./html.js";
import { Problem, ask, listen, path, segment } from "./api.js";

export const CELLS = 60;
const EVERY_MS = 1_000;
const EVERY_HIDDEN_MS = 15_000;
const LATE_MS = 4_000; // without an answer, from which on it is said
const LONGEST_MS = 30_000; // that an answer is waited for; the line it was asked over may be dead
const LATE = new Problem(0, { code: "late", detail: "the service has not answered yet" });
const STALE_PERIODS = 3, STALE_LEAST_MS = 15_000;
const MOST_INCIDENTS = 200;
const NEWEST_INCIDENTS = 50; // asked for, beside those that are open

/** The note of an incident of which only the socket told. */
export const UNHEARD = Object.freeze({});

class FleetState {
  entities = new Map(); // name -> entity, as `taken` makes it
  incidents = new Map(); // id -> { incident, entity, isOpen, openedMs, alert, worst, note }, newest told last
  open = new Set(); // ids
  models = [];
  span = "hour";
  line = "waiting"; // of the socket
  gap = null; // alerts that were missed and are no longer kept; 0: nobody knows how many
  problem = null; // why the last question was not answered
  isKnown = false; // an answer has come
  takenMs = 0; // when the last one came
  leftOff = 0;
  endMs = 0;
  cellSeconds = 60;
  clockOffsetMs = 0; // the service's clock less ours
  version = 0; // grows with every change
  #next = null;
  #listeners = new Set();
  #timer = 0;
  #isStarted = false;
  #isAsking = false;
  #isRecalled = false; // what is kept of incidents has been asked for

  /** Begin to ask and to listen; for the life of the page. */
  start() {
    if (this.#isStarted) return;
    this.#isStarted = true;
    listen({
      onAlert: (alert) => this.#hear(alert),
      onGap: (missed) => this.#miss(missed),
      onState: (line) => line !== this.line && this.#turn(line),
    });
    this.#ask();
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#ask());
  }

  /** `hour`, `6h` or `day`: how far back the cells reach. */
  show(span) {
    if (span === this.span) return;
    this.#next = null;
    this.#tell({ span });
    this.#ask();
  }

  /** Nothing is said of the gap any more. */
  forgive() {
    this.#tell({ gap: null });
  }

  /** What a person said of an incident: `{ is_acknowledged, label, by, text }`, or a part. */
  async note(incident, note) {
    const kept = await ask(`/v1/incidents/${segment(incident)}/note`, { method: "PUT", json: note });
    this.#keep(kept);
    this.#tell({});
    return kept;
  }

  /** Call `listener` after every change; returns what ends that. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Cells of an entity, oldest first, the last one at `endMs`; a point stands until the next is due. */
  cells(entity, into = new Uint8Array(CELLS)) {
    const shift = this.endCell - entity.endCell;
    const lasts = Math.ceil((this.models[entity.model]?.period_seconds || 0) / this.cellSeconds);
    let value = 0, until = 0;
    for (let cell = 0; cell < CELLS; cell++) {
      const own = entity.cells[cell + shift] || 0;
      if (own) [value, until] = [own, cell + lasts];
      into[cell] = own || (cell < until ? value : 0);
    }
    return into;
  }

  get endCell() {
    return Math.floor(this.endMs / 1000 / this.cellSeconds);
  }

  /** Now, by the clock of the service. */
  get nowMs() {
    return Date.now() + this.clockOffsetMs;
  }

  /** `incident`, `stale`, or the status of the newest point. */
  status(entity) {
    if (entity.incident) return "incident";
    const period = 1000 * (this.models[entity.model]?.period_seconds || 60);
    if (this.nowMs - entity.seenMs > Math.max(STALE_LEAST_MS, STALE_PERIODS * period)) return "stale";
    return entity.status;
  }

  async #ask() {
    clearTimeout(this.#timer);
    if (this.#isAsking) return;
    this.#isAsking = true;
    const span = this.span;
    const late = setTimeout(() => this.#tell({ problem: LATE }), LATE_MS);
    try {
      const place = path("/v1/fleet", { since: this.#next, span });
      const answer = await ask(place, { signal: AbortSignal.timeout(LONGEST_MS) });
      if (span === this.span) this.#take(answer);
      if (!this.#isRecalled) this.#recall();
    } catch (problem) {
      if (problem.code === "bad_cursor") this.#next = null;
      this.#tell({ problem });
    }
    clearTimeout(late);
    this.#isAsking = false;
    const pause = document.visibilityState === "visible" ? EVERY_MS : EVERY_HIDDEN_MS;
    this.#timer = setTimeout(() => this.#ask(), span === this.span ? pause : 0);
  }

  #take(answer) {
    if (answer.is_whole) this.entities.clear();
    for (const name of answer.removed) this.entities.delete(name);
    const { entities: columns } = answer, bytes = bytesOf(columns.cells);
    const endCell = Math.floor(answer.end_ms / 1000 / answer.cell_seconds);
    columns.entity.forEach((name, i) => {
      this.entities.set(name, {
        name,
        model: columns.model[i],
        status: columns.status[i],
        timestampMs: columns.timestamp_ms[i],
        seenMs: columns.seen_ms[i],
        score: columns.score[i],
        severity: columns.severity[i],
        isAnomaly: columns.is_anomaly[i],
        have: columns.have[i],
        need: columns.need[i],
        incident: columns.incident[i],
        causes: columns.causes[i],
        causedMs: columns.caused_ms[i],
        cells: bytes.subarray(i * CELLS, (i + 1) * CELLS),
        endCell,
      });
    });
    this.#next = answer.next;
    this.clockOffsetMs = answer.now_ms - Date.now();
    this.#tell({
      models: answer.models, leftOff: answer.left_off, endMs: answer.end_ms,
      cellSeconds: answer.cell_seconds, isKnown: true, takenMs: Date.now(), problem: null,
    });
  }

  /** What is kept of incidents; where that is not answered, it is asked again after the next answer. */
  async #recall() {
    this.#isRecalled = true;
    try {
      const told = await this.#find({ limit: NEWEST_INCIDENTS }, { is_open: true, limit: MOST_INCIDENTS });
      for (const id of this.open) if (!told.has(id)) await this.#review(id);
      this.#tell({});
    } catch (problem) {
      this.#isRecalled = false;
      this.#tell({ problem });
    }
  }

  /** Those that nobody labelled, however old they are. */
  async recallUnlabelled() {
    await this.#find({ label: "none", limit: NEWEST_INCIDENTS }).catch((problem) => this.#tell({ problem }));
    this.#tell({});
  }

  /** Ask for incidents, keep them in the order in which they opened; their ids. */
  async #find(...wanted) {
    const pages = await Promise.all(wanted.map((one) => ask(path("/v1/incidents", one))));
    const answered = pages.flatMap((page) => page.incidents).sort((one, other) => one.opened_ms - other.opened_ms);
    for (const one of answered) this.#keep(one);
    const inOrder = [...this.incidents].sort(([, one], [, other]) => one.openedMs - other.openedMs);
    this.incidents = new Map(inOrder);
    return new Set(answered.map((one) => one.incident));
  }

  /** One that was open when it was last told, and is not among those that are. */
  async #review(id) {
    try {
      this.#keep(await ask(`/v1/incidents/${segment(id)}`));
    } catch (problem) {
      if (problem.code !== "unknown_incident") throw problem;
      this.incidents.delete(id);
      this.open.delete(id);
    }
  }

  /** What was answered elsewhere of incidents: those that are known here are as it says. */
  learn(answered) {
    for (const one of answered) if (this.incidents.has(one.incident)) this.#keep(one);
    this.#tell({});
  }

  #keep(answered) {
    const one = incidentOf(answered), known = this.incidents.get(one.incident);
    const isNewer = known && known.alert.timestamp_ms > one.alert.timestamp_ms;
    const { alert, isOpen } = isNewer ? known : one;
    this.#put({ ...one, alert, isOpen, worst: worstOf(known?.worst, one.worst) });
  }

  #hear(alert) {
    const known = this.incidents.get(alert.incident);
    this.incidents.delete(alert.incident); // the newest told comes last
    this.#put({
      incident: alert.incident, entity: alert.entity, isOpen: alert.kind !== "resolved",
      openedMs: alert.opened_ms, alert, worst: worstOf(known?.worst, alert), note: known?.note || UNHEARD,
    });
    this.#tell({});
  }

  #put(one) {
    this.incidents.set(one.incident, one);
    if (one.isOpen) this.open.add(one.incident);
    else this.open.delete(one.incident);
    for (const [id, old] of this.incidents) {
      if (this.incidents.size <= MOST_INCIDENTS) break;
      if (!old.isOpen) this.incidents.delete(id);
    }
  }

  /** What was told before the socket listened is asked for, be it that it could not be opened for long. */
  #turn(line) {
    this.#tell({ line });
    if (line === "live") this.#recall();
  }

  #miss(missed) {
    this.#recall(); // what is still kept of it
    this.#tell({ gap: missed });
  }

  #tell(change) {
    Object.assign(this, change);
    this.version += 1;
    for (const listener of this.#listeners) listener();
  }
}

/** An incident as `/v1/incidents` answers it; `worst` is the alert that tells most of it. */
export function incidentOf({ incident, entity, is_open, opened_ms, alert, worst, note }) {
  return { incident, entity, isOpen: is_open, openedMs: opened_ms, alert, worst: worst || alert, note };
}

/** When an incident opened, as its id says: `<entity>@<ms>`, and the name of an entity may hold anything. */
export const openedIn = (incident) => Number(/@(\d+)[^@]*$/.exec(incident || "")?.[1]);

/** The alert that tells most of an incident: the last one that was told at a new peak. */
export function worstOf(known, alert) {
  const isOfPeak = alert.kind !== "resolved";
  return !known || (isOfPeak && (known.kind === "resolved" || alert.score >= known.score)) ? alert : known;
}

/** The one fleet of this page. */
export const fleet = new FleetState();

/** Follow what `choose(fleet)` gives; drawn again at most once a frame, and only if it changed. */
export function useFleet(choose) {
  const chosen = useRef(choose);
  chosen.current = choose;
  const [seen, setSeen] = useState(() => choose(fleet));
  useEffect(() => {
    let frame = 0;
    const look = () => {
      frame = 0;
      const now = chosen.current(fleet);
      setSeen((before) => (isSame(before, now) ? before : now));
    };
    const follow = () => {
      if (document.visibilityState === "hidden") look(); // there are no frames, and the title still tells
      else frame ||= requestAnimationFrame(look);
    };
    const stop = fleet.subscribe(follow);
    look();
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, []);
  return seen;
}

function isSame(one, other) {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => Object.is(one[name], other[name]));
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
