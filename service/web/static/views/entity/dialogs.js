// What is asked before an incident is called normal, and the remark that a person may leave.

import { html, useEffect, useRef, useState } from "../../lib/html.js";

const NAME = "gaugewatch.name"; // who remarks, kept in this browser
const MOST_CHARACTERS = 2_000;

function Dialog({ title, onClose, children }) {
  const place = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    place.current.showModal();
    return () => before?.isConnected && before.focus();
  }, []);
  const leave = (event) => {
    event.preventDefault(); // it goes now, not when the browser tells that it was closed: it may be open again by then
    onClose();
  };
  return html`<dialog ref=${place} aria-label=${title} onCancel=${leave} onClose=${onClose}>
    <div class="stack"><h2>${title}</h2>${children}</div>
  </dialog>`;
}

/** Say what `new normal` does, and ask whether it is meant. */
export function Accept({ one, words, onClose, onAccept }) {
  const accept = () => {
    onAccept();
    onClose();
  };
  return html`<${Dialog} title="Is this the new normal?" onClose=${onClose}>
    <p>${words}</p>
    <p>${one.isOpen
      ? `The incident ends now, and ${one.entity} learns its normal again from the points that come:
        what looks odd today will not be told any more.`
      : `It is labelled as a change that is normal from now on. If it is the last incident of ${one.entity},
        the entity also learns its normal again from the points that come.`}</p>
    <p class="soft small">The label can be taken back; what was learned cannot.</p>
    <div class="row"><button class="first" onClick=${accept}>It is normal from now on</button>
      <button autofocus onClick=${onClose}>Cancel</button></div>
  <//>`;
}

/** Who says what of an incident. */
export function Remark({ note, onClose, onSay }) {
  const [by, setBy] = useState(note.by || localStorage.getItem(NAME) || "");
  const [text, setText] = useState(note.text || "");
  const keep = (event) => {
    event.preventDefault();
    localStorage.setItem(NAME, by.trim());
    onSay({ by: by.trim() || null, text: text.trim() || null });
    onClose();
  };
  return html`<${Dialog} title="Remark" onClose=${onClose}>
    <form class="stack" onSubmit=${keep}>
      <label class="field"><span>What was it?</span>
        <textarea rows="3" maxlength=${MOST_CHARACTERS} placeholder="a deployment" value=${text}
          onInput=${(event) => setText(event.target.value)} /></label>
      <label class="field"><span>Your name</span>
        <input maxlength="100" autocomplete="name" value=${by}
          onInput=${(event) => setBy(event.target.value)} /></label>
      <div class="row"><button class="first">Keep</button>
        <button type="button" onClick=${onClose}>Cancel</button></div>
    </form>
  <//>`;
}
