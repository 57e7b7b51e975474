// A slider over a wide range, where every step is a factor; one value of it is marked.

import { html } from "./html.js";

const STEPS = 100; // of a decade

/**
 * `least`, `most`: powers of ten; `value`; `marked`: a value that is marked and can be met exactly;
 * `onInput(value)` while it moves, `onChange(value)` when it stays; `say(value)` in words.
 */
export function LogSlider({ label, least, most, value, marked, markedTitle, onInput, onChange, say }) {
  const last = Math.round(STEPS * Math.log10(most / least));
  const placeOf = (one) => Math.max(0, Math.min(last, STEPS * Math.log10(one / least)));
  const valueOf = (place) => {
    if (marked && Math.abs(place - placeOf(marked)) <= 0.5) return marked;
    return Number((least * 10 ** (place / STEPS)).toPrecision(3)); // with fewer digits two places would be one
  };
  const decades = Array.from({ length: last / STEPS + 1 }, (_, at) => Number((least * 10 ** at).toPrecision(1)));
  const left = (one) => ({ left: `calc(8px + (100% - 16px) * ${placeOf(one) / last})` }); // the thumb is 16 wide
  return html`<div class="logslider">
    <input type="range" min="0" max=${last} step="1" value=${Math.round(placeOf(value))}
      aria-label=${label} aria-valuetext=${say(value)}
      onInput=${(event) => onInput(valueOf(Number(event.target.value)))}
      onChange=${(event) => onChange?.(valueOf(Number(event.target.value)))} />
    <div class="decades" aria-hidden="true">
      ${marked && html`<i style=${left(marked)} title=${markedTitle}></i>`}
      ${decades.map((one) => html`<span style=${left(one)}>${one}</span>`)}
    </div>
  </div>`;
}
