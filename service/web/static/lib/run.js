// A scoring as a view follows it: idle, loading, running, done, stopped or failed.

import { useState } from "./html.js";

const IDLE = { state: "idle", version: 0, fault: null, waits: null };

/** `{ run, start(series, wish), reset() }`; `before` is awaited first, and may throw. */
export function useRun(series, { state = "idle" } = {}) {
  const [run, setRun] = useState({ ...IDLE, state });
  const start = async (wish, before = null) => {
    let begun = performance.now();
    const end = (state, fault = null) => {
      const took = performance.now() - begun;
      setRun((now) => ({ ...now, state, fault, took, begun }));
    };
    try {
      const found = await before?.();
      begun = performance.now();
      setRun({ ...IDLE, state: "running", begun });
      await series.score(typeof wish === "function" ? wish(found) : wish, {
        onPart: () => setRun((now) => ({ ...now, version: series.version, waits: null })),
        onWait: (waits) => setRun((now) => ({ ...now, waits })),
      });
      end("done");
    } catch (fault) {
      end(fault.code === "stopped" ? "stopped" : "failed", fault);
    }
  };
  return { run, start, reset: () => setRun(IDLE), hasVerdicts: run.version > 0 && series.verdicts?.have > 0 };
}
