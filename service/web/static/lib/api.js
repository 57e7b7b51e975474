// The service as the page sees it: requests with the key of this tab, problems as errors, and the
// socket of alerts, which comes back by itself and goes on where it was.

const KEY = "gaugewatch.key";
const PROTOCOL = "gaugewatch.v1";
const SILENT_MS = 40_000; // longer than two heartbeats: the line is dead, or the machine slept
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

let lackingKey = () => {};
let lent = ""; // a worker has no storage of its own

/** An answer that says what was wrong; `code` is stable, `faults` are the single ones. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `the service answered ${status}`);
    Object.assign(this, { status, code: body.code || "unknown", faults: body.errors || [] });
  }
}

/** The bearer key; kept until this tab is closed, and never sent to another host. */
export const key = {
  get: () => globalThis.sessionStorage?.getItem(KEY) || lent,
  lend: (value) => (lent = value),
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  },
};

/** Call `listener` whenever the service wants a key that we do not have. */
export function onLackOfKey(listener) {
  lackingKey = listener;
}

/** Ask the service; JSON comes back, or the Response itself with `raw`. Throws Problem. */
export async function ask(path, { method = "GET", json, body, headers = {}, signal, raw } = {}) {
  const sent = { ...headers };
  if (key.get()) sent.Authorization = `Bearer ${key.get()}`;
  if (json !== undefined) sent["Content-Type"] = "application/json";
  const content = json === undefined ? body : JSON.stringify(json);
  let answer;
  try {
    answer = await fetch(path, { method, headers: sent, body: content, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "unreachable", detail: "the service cannot be reached" });
  }
  if (!answer.ok) throw await problemOf(answer);
  if (raw) return answer;
  return answer.status === 204 ? null : answer.json();
}

async function problemOf(answer) {
  const body = await answer.json().catch(() => ({}));
  const problem = new Problem(answer.status, body);
  if (problem.code === "not_authorised") lackingKey();
  return problem;
}

/** A path with what stands behind its question mark; nothing is said of what is null. */
export function path(base, query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(known).toString();
  return text ? `${base}?${text}` : base;
}

/**
 * Names of entities and incidents may hold anything, slashes too. A browser takes `..` between two
 * slashes as a step back, which would lead to a question about something else.
 */
export function segment(name) {
  const parts = name.split("/"), isWalking = parts.some((part) => part === "." || part === "..");
  return parts.map(encodeURIComponent).join(isWalking ? "%2F" : "/");
}

/**
 * Listen to alerts until the returned function is called.
 *
 * `onAlert(alert)`, `onGap(missed)` where some are no longer kept, `onState("live" | "waiting")`.
 * The cursor of the last message is sent again after every break: nothing is missed or repeated.
 */
export function listen({ entity = null, after = null, onAlert, onGap, onState }) {
  let cursor = after, socket = null, timer = 0, pause = FIRST_PAUSE_MS, heard = 0, isOver = false;

  function open() {
    clearTimeout(timer);
    const place = new URL(path("/v1/alerts", { entity, after: cursor }), location.href);
    place.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const offered = key.get() ? [PROTOCOL, `gaugewatch.key.${key.get()}`] : [PROTOCOL];
    socket = new WebSocket(place, offered);
    heard = Date.now();
    socket.onmessage = take;
    socket.onclose = lost;
  }

  function take(message) {
    const told = JSON.parse(message.data);
    cursor = told.cursor;
    heard = Date.now();
    pause = FIRST_PAUSE_MS;
    onState("live");
    if (told.alert) onAlert(told.alert);
    if (told.gap) onGap(told.gap.missed);
  }

  function lost(event) {
    if (isOver) return;
    if (event.code === 4400) cursor = null; // a cursor of another time: begin at now
    onState("waiting");
    timer = setTimeout(open, pause);
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }

  function look() {
    if (isOver || Date.now() - heard < SILENT_MS) return;
    if (socket.readyState === WebSocket.CONNECTING) return;
    again();
  }

  function again() {
    if (isOver) return;
    socket.onclose = null;
    socket.close();
    onState("waiting");
    open();
  }

  const watch = setInterval(look, 5_000);
  const woken = () => document.visibilityState === "visible" && look();
  document.addEventListener("visibilitychange", woken);
  addEventListener("online", again);
  open();
  return function close() {
    isOver = true;
    clearTimeout(timer);
    clearInterval(watch);
    document.removeEventListener("visibilitychange", woken);
    removeEventListener("online", again);
    socket.close();
  };
}

/** Hand a file to the person. */
export function save(name, content, type = "application/octet-stream") {
  const blob = content instanceof Blob ? content : new Blob([content], { type });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
