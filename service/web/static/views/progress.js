// How far the scoring of a series is: a bar, points a second, time left, pause and stop.

import { html, useEffect, useState } from "../lib/html.js";
import { count, span } from "../lib/format.js";

const WAITS = {
  overloaded: "The service is busy with another series; waiting for its turn …",
  unreachable: "The service cannot be reached; trying again …",
};

/** `run`: { state, waits, took, begun }; `again()`: begin anew. */
export function Progress({ series, run, again }) {
  const { have = 0, count: all = series.about.count } = series.verdicts ?? {};
  const [isPaused, setPaused] = useState(false), [paused, setPausedMs] = useState(0), [since, setSince] = useState(0);
  const isRunning = run.state === "running";
  useEffect(() => {
    setPaused(false);
    setPausedMs(0);
  }, [run.begun]);
  const pause = (isOn) => {
    series.pause(isOn);
    setPaused(isOn);
    if (isOn) setSince(performance.now());
    else setPausedMs(paused + performance.now() - since);
  };
  const ms = (isRunning ? (isPaused ? since : performance.now()) - run.begun : run.took) - paused;
  const rate = have / Math.max(1, ms), left = rate ? (all - have) / rate : 0;
  const done = `${count(have)} of ${count(all)} points`;
  if (!isRunning) {
    return html`<p class="row" role="status">
      <span>${have === all && run.state === "done"
        ? `${count(all)} ${all === 1 ? "point" : "points"} scored in ${span(run.took)}, ${count(1000 * rate)} a second.`
        : `Ended after ${done}. What is below is what was found until there.`}</span>
      <button onClick=${again}>Score again</button></p>`;
  }
  return html`<div class="stack tight">
    <progress value=${have} max=${all} aria-label="Points that are scored"></progress>
    <div class="row apart">
      <span role="status">${run.waits ? WAITS[run.waits] ?? "Waiting …" : isPaused ? `Paused at ${done}`
        : have ? `${done}, ${count(1000 * rate)} a second, ${span(left)} left` : "Begun …"}</span>
      <span class="row">
        <button onClick=${() => pause(!isPaused)}>${isPaused ? "Go on" : "Pause"}</button>
        <button onClick=${() => series.stop()}>Stop</button>
      </span>
    </div>
  </div>`;
}
