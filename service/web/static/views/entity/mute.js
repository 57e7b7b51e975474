// Mute one entity for a while: its own policy says until when, and keeps what else it says.

import { html, useEffect, useState } from "../../lib/html.js";
import { ask, path, segment } from "../../lib/api.js";
import { fleet } from "../../lib/fleet.js";
import { time } from "../../lib/format.js";

const HOUR_MS = 3_600_000;
const FOR_GOOD_MS = Date.UTC(2199, 0, 1); // as late as the service takes it
const CHOICES = [
  ["for 1 hour", HOUR_MS], ["for 4 hours", 4 * HOUR_MS], ["for 1 day", 24 * HOUR_MS], ["until unmuted", Infinity],
];
const EVERY_MS = 20_000; // somebody else may mute it
const ABOUT = "Scores are made as ever and an open incident stays; none opens at points before that time.";

export function Mute({ entity }) {
  const [state, setState] = useState(null);
  const [lasts, setLasts] = useState(0);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    let isOver = false;
    const look = () => {
      if (document.visibilityState === "visible") effective(entity).then((now) => isOver || setState(now), () => {});
    };
    look();
    const timer = setInterval(look, EVERY_MS);
    return () => {
      isOver = true;
      clearInterval(timer);
    };
  }, [entity]);
  const change = (untilMs) => muted(entity, untilMs).then((now) => {
    setState(now);
    setProblem(null);
  }, setProblem);
  const until = state?.policy.muted_until_ms || 0;
  const mute = () => change(Math.min(FOR_GOOD_MS, Math.round(fleet.nowMs + CHOICES[lasts][1])));
  const pick = (event) => setLasts(Number(event.target.value));
  if (!state) return null;
  return html`<span class="row small" role="group" aria-label="Mute">
    ${until > fleet.nowMs
      ? html`<span class="tag warn" title=${ABOUT}>muted until ${until >= FOR_GOOD_MS ? "unmuted" : time(until)}</span>
        <button class="small" onClick=${() => change(null)}>Unmute</button>`
      : html`<button class="small" title=${ABOUT} onClick=${mute}>Mute</button>
        <select class="small" aria-label="Mute for how long" value=${lasts} onChange=${pick}>
          ${CHOICES.map(([title], at) => html`<option value=${at}>${title}</option>`)}</select>`}
    ${problem && html`<span class="tag bad" role="alert">${problem.message}</span>`}
  </span>`;
}

async function effective(entity) {
  const answer = await ask(path("/v1/policies/effective", { entity }), { raw: true });
  return { ...(await answer.json()), tag: answer.headers.get("etag") };
}

/** Say until when; null takes it back, and overrules what a pattern says of it. */
async function muted(entity, untilMs) {
  const now = await twice(() => put(entity, untilMs));
  const isStill = untilMs === null && (now.policy.muted_until_ms || 0) > fleet.nowMs;
  return isStill ? twice(() => put(entity, 0)) : now;
}

async function put(entity, untilMs) {
  const { own, tag } = await effective(entity);
  const policy = { ...own, muted_until_ms: untilMs };
  if (untilMs === null) delete policy.muted_until_ms;
  const headers = { "If-Match": tag };
  return ask(`/v1/policies/entities/${segment(entity)}`, { method: "PUT", json: policy, headers });
}

/** Again, if somebody changed another policy in between. */
const twice = (change) => change().catch((problem) => {
  if (problem.code !== "epoch_moved_on") throw problem;
  return change();
});
