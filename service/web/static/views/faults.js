// What went wrong, for a person: the message, and single faults where there are several.

import { html } from "../lib/html.js";
import { count } from "../lib/format.js";

const MOST_LISTED = 20;

/** `fault`: an error with `message`; its `faults` have `text`, or are those of a problem. */
export function Faults({ title, fault }) {
  const single = (fault.faults || []).map(textOf);
  const isSame = single.length === 1 && single[0] === fault.message;
  return html`<section class="note bad" role="alert">
    <p class="strong">${title}</p>
    <p>${fault.message}</p>
    ${single.length > 0 && !isSame && html`<ul class="small">
      ${single.slice(0, MOST_LISTED).map((text) => html`<li>${text}</li>`)}
      ${single.length > MOST_LISTED && html`<li>and ${count(single.length - MOST_LISTED)} more</li>`}
    </ul>`}
  </section>`;
}

function textOf(one) {
  if (one.text) return one.text;
  const place = one.column ? `row ${one.row ?? one.index}, column ${one.column}` : one.path;
  return [place, one.detail].filter(Boolean).join(": ");
}
