// A question before something is changed, and what the service said where it refused.

import { html, useEffect, useRef, useState } from "./html.js";
import { Trouble } from "./asked.js";

/**
 * Opens at once. `act` does it (async; what it throws is shown); `onEnd(isDone)` when it is over.
 *
 * Escape and Cancel change nothing. The focus begins on Cancel, and goes back to where it was.
 */
export function Confirm({ title, action, isGrave = false, act, onEnd, children }) {
  const box = useRef(null);
  const [isBusy, setBusy] = useState(false), [problem, setProblem] = useState(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  const confirm = async () => {
    setBusy(true);
    setProblem(null);
    try {
      await act();
      onEnd(true);
    } catch (refusal) {
      setProblem(refusal);
      setBusy(false);
    }
  };
  const leave = (event) => {
    event.preventDefault();
    if (!isBusy) onEnd(false);
  };
  return html`<dialog ref=${box} class="stack" aria-labelledby="confirm-title" onCancel=${leave}>
    <h2 id="confirm-title">${title}</h2>
    ${children}
    <${Trouble} problem=${problem} title="Refused." />
    <p class="row end">
      <button autofocus onClick=${leave} disabled=${isBusy}>Cancel</button>
      <button class=${isGrave ? "danger" : "first"} onClick=${confirm} disabled=${isBusy}>${isBusy ? "Working …" :
        action}</button>
    </p>
  </dialog>`;
}
