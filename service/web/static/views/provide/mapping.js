// Which column of a file is which dimension of the bundle; a person may say otherwise.

import { html } from "../../lib/html.js";
import { some } from "../../lib/read/faults.js";

/** `places`: of each dimension the place of its column, or -1; `assign(dimension, column)`. */
export function Mapping({ model, about, places, assign, isRunning }) {
  const { dimensions } = model, { names, hasNames } = about;
  const used = new Set(places), extra = names.filter((_, at) => !used.has(at));
  const isPlain = places.every((place, at) => place >= 0 && names[place] === dimensions[at]);
  const isByOrder = !hasNames && places.every((place, at) => place === at);
  const found = places.filter((place) => place >= 0).length;
  let said = `${found} of ${dimensions.length} dimensions have a column`;
  if (isPlain) said = `All ${dimensions.length} dimensions are columns of the file`;
  if (isByOrder) said = `The file has no names: its ${places.length} columns are taken in the order of the bundle`;
  return html`<details open=${!isPlain && !isByOrder}>
    <summary>${said}${extra.length ? `; ignored: ${some(extra, 4)}` : ""}</summary>
    <div class="mapping">${dimensions.map((name, at) => html`<label key=${name} title=${name}
        class=${places[at] < 0 ? "lacks" : ""}><span>${name}</span>
      <select aria-label=${`Column of ${name}`} value=${places[at] < 0 ? "" : names[places[at]]} disabled=${isRunning}
        onChange=${(event) => assign(name, event.target.value)}>
        <option value="">no column</option>${names.map((column) => html`<option value=${column}>${column}</option>`)}
      </select></label>`)}</div>
  </details>`;
}
