// What went wrong, for a person: the message, and single faults where there are several.

import { html } from "../lib/html.js";
import { count } from "../lib/format.js";

const MOST_LISTED = 20;

/** What is wrong, and where; `fault.faults` are single ones. */
export function Faults({ title, fault }) {
  const single = (fault.faults || []).map((one) => one.text ?? [one.path, one.column && `row ${one.row ?? one.index}, column ${one.column}`, one.detail].filter(Boolean).join(": "));
  return html`<section class="note bad" role="alert">
    <p class="strong">${title}</p>
    <p>${fault.message}</p>
    ${single.length > 0 && !(single.length === 1 && single[0] === fault.message) && html`<ul class="small">${single.slice(0, MOST_LISTED).map((text) => html`<li>${text}</li>`)}
      ${single.length > MOST_LISTED && html`<li>and ${count(single.length - MOST_LISTED)} more</li>`}</ul>`}
  </section>`;
}
