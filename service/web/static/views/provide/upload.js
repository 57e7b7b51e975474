// A bundle that a person brings, for this series alone.

import { html, useState } from "../../lib/html.js";
import { readBundle } from "../../lib/read/bundle.js";

const TITLE = "the zip of a version's folder; it is tried under limits, used for this series alone, and forgotten";

/** `take({ model, files })`. */
export function Upload({ take, isRunning }) {
  const [fault, setFault] = useState(null);
  const read = async (event) => {
    const [zip] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    setFault(null);
    if (zip) await readBundle(zip).then(take, setFault);
  };
  return html`<div class="field">
    <label class="button" title=${TITLE}>or bring one (zip)
      <input class="unseen" type="file" accept=".zip" aria-label="Bring a bundle" disabled=${isRunning}
        onChange=${read} /></label>
    ${fault && html`<span class="bad-text" role="alert">${fault.message}</span>`}
  </div>`;
}
