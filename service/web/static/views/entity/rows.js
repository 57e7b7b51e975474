// The points of one entity, kept up to date: all that the service keeps at first, then the newest
// few every second. What the service drops meanwhile stays here, up to a bound.

import { useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { ask, path, segment } from "../../lib/api.js";
import { useAsked } from "../../lib/asked.js";
import { openedIn } from "../../lib/fleet.js";

const MOST_ROWS = 2_000;
const ALL = 1_000; // as many as may be asked for
const NEWEST = 8;
const EVERY_MS = 1_000;
const PAUSE_MS = 5_000; // after a question that was not answered
const LONGEST_MS = 10_000; // that an answer is waited for

/** `{ about, rows, problem, again }`; `about` is the answer without its rows, null before it came. */
export function useRows(entity) {
  const [seen, setSeen] = useState({ about: null, rows: [], problem: null });
  const [turn, setTurn] = useState(0);
  const kept = useRef(seen);
  useEffect(() => {
    let timer = 0, isOver = false, isAsking = false;
    const show = (change) => {
      kept.current = { ...kept.current, ...change };
      setSeen(kept.current);
    };
    const look = async () => {
      clearTimeout(timer);
      if (isAsking || document.visibilityState !== "visible") return;
      isAsking = true;
      let pause = EVERY_MS;
      try {
        const answer = await read(entity, kept.current);
        if (!isOver && answer) show({ ...answer, problem: null });
      } catch (problem) {
        pause = problem.code === "unknown_entity" && !kept.current.about ? Infinity : PAUSE_MS;
        if (!isOver) show({ problem });
      }
      isAsking = false;
      if (!isOver && pause < Infinity) timer = setTimeout(look, pause);
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [entity, turn]);
  return { ...seen, again: () => setTurn(turn + 1) };
}

/**
 * `{ rows, lack }`: those points and, where an incident that was chosen began before them, the
 * points that are kept with it; `lack` says why it has none to show.
 */
export function useWithIncident(rows, dimensions, chosen) {
  const first = rows[0]?.timestamp_ms ?? Infinity;
  const isEarlier = openedIn(chosen) < first;
  const { answer, problem } = useAsked(isEarlier ? `/v1/incidents/${segment(chosen)}/rows` : null);
  return useMemo(() => {
    if (!isEarlier || (!answer && !problem)) return { rows, lack: "" };
    const isAlike = answer?.dimensions.join("\n") === dimensions.join("\n");
    const other = isAlike ? "" : `Its points were scored by ${answer?.model}, which has other dimensions.`;
    const lack = problem ? `${problem.message}.` : other;
    const earlier = isAlike ? answer.window.filter((row) => row.timestamp_ms < first) : [];
    return { rows: earlier.length ? [...earlier, ...rows] : rows, lack };
  }, [rows, first, isEarlier, answer, problem]);
}

/** What is new; null: nothing. */
async function read(entity, { about, rows }) {
  const few = rows.length ? await asked(entity, NEWEST) : null;
  if (few && isContinued(few, about, rows)) {
    const news = few.window.filter((row) => row.timestamp_ms > rows.at(-1).timestamp_ms);
    if (!news.length && isSame(few, about)) return null;
    return { about: few, rows: news.length ? [...rows, ...news].slice(-MOST_ROWS) : rows };
  }
  const all = await asked(entity, ALL);
  const first = all.window[0]?.timestamp_ms ?? 0;
  const earlier = isOfOne(all, about, rows) ? rows.filter((row) => row.timestamp_ms < first) : [];
  return { about: all, rows: [...earlier, ...all.window].slice(-MOST_ROWS) };
}

const asked = (entity, rows) =>
  ask(path(`/v1/entities/${segment(entity)}`, { rows }), { signal: AbortSignal.timeout(LONGEST_MS) });

/** Whether the newest few reach back to what is known. */
function isContinued(few, about, rows) {
  const newest = rows.at(-1).timestamp_ms;
  return isOfOne(few, about, rows) && few.window.some((row) => row.timestamp_ms === newest);
}

/** Whether both are of one life of the entity, with the same dimensions. */
function isOfOne(answer, about, rows) {
  if (!about || !rows.length || !answer.window.length) return false;
  const isLater = answer.points >= about.points && answer.window.at(-1).timestamp_ms >= rows.at(-1).timestamp_ms;
  return isLater && answer.dimensions.join("\n") === about.dimensions.join("\n");
}

const isSame = (one, other) => ["points", "incident", "status", "model"].every((name) => one[name] === other[name]);
