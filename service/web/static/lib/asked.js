// What a view asks of the service: the answer, why there is none, and asking once more.

import { html, useCallback, useEffect, useState } from "./html.js";
import { ask } from "./api.js";

/**
 * `{ answer, etag, problem, isAsking, again }` of a GET; nothing is asked where `place` is null.
 *
 * The last answer stays while the next one is awaited; with `everyMs` it is asked again and again,
 * as long as the page is seen.
 */
export function useAsked(place, { everyMs = 0 } = {}) {
  const [known, setKnown] = useState({ isAsking: place !== null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (place === null) {
      setKnown({ isAsking: false });
      return undefined;
    }
    const abort = new AbortController();
    setKnown((before) => (before.place === place ? { ...before, isAsking: true } : { isAsking: true }));
    let timer = 0;
    const wait = () => (timer = everyMs ? setTimeout(look, everyMs) : 0);
    const look = () => (document.visibilityState === "visible" ? setTurn((last) => last + 1) : wait());
    const settle = (found) => {
      if (abort.signal.aborted) return;
      setKnown({ ...found, place, isAsking: false });
      wait();
    };
    take(place, abort.signal).then(settle, (problem) => settle({ problem }));
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [place, turn, everyMs]);
  const again = useCallback(() => setTurn((last) => last + 1), []);
  return { answer: null, etag: null, problem: null, ...known, again };
}

async function take(place, signal) {
  const response = await ask(place, { signal, raw: true });
  return { answer: await response.json(), etag: response.headers.get("etag"), problem: null };
}

/** What was wrong, with its single faults and where they are. */
export function Trouble({ problem, title = "" }) {
  if (!problem) return null;
  return html`<div class="note bad" role="alert">
    <p>${title && html`<b>${title} </b>`}${problem.message}</p>
    ${problem.faults?.length > 0 && html`<ul class="faults">
      ${problem.faults.map((fault) => html`<li>${place(fault) &&
        html`<code>${place(fault)}</code> `}${fault.detail}</li>`)}
    </ul>`}
  </div>`;
}

function place(fault) {
  if (fault.path) return fault.path;
  if (fault.line !== undefined) return `line ${fault.line}`;
  return fault.index === undefined ? "" : `point ${fault.index + 1}`;
}
