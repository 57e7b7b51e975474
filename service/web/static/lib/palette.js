// Colours of severity: one ramp for every heat-map, so that a colour means the same everywhere.

import { colour, onTheme } from "./theme.js";

export const LEVELS = 128;
export const MOST_NATS = 24; // at and beyond it the ramp stays at its end

let ramp = null;
onTheme(() => (ramp = null));

/** RGBA of every level 0..127 as a Uint8ClampedArray (4 x 128); level 0 is "nothing". */
export function colours() {
  if (!ramp) ramp = built();
  return ramp;
}

/** CSS colour of a share 0..1 of the ramp. */
export function css(share) {
  const at = 4 * Math.max(1, Math.min(LEVELS - 1, Math.round(share * (LEVELS - 1))));
  const all = colours();
  return `rgb(${all[at]} ${all[at + 1]} ${all[at + 2]})`;
}

/** Share 0..1 of the ramp for a severity in nats: small differences count most near the bottom. */
export const shareOf = (nats) => Math.sqrt(Math.max(0, Math.min(1, nats / MOST_NATS)));

function built() {
  const stops = ["heat-0", "heat-1", "heat-2", "heat-3", "heat-4"].map((name) => rgb(colour(name)));
  const all = new Uint8ClampedArray(4 * LEVELS);
  all.set([...rgb(colour("heat-none")), 255], 0);
  for (let level = 1; level < LEVELS; level++) {
    const place = ((level - 1) / (LEVELS - 2)) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place)), part = place - low;
    const mixed = stops[low].map((from, i) => from + (stops[low + 1][i] - from) * part);
    all.set([...mixed, 255], 4 * level);
  }
  return all;
}

function rgb(text) {
  const digits = text.replace("#", "");
  return [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16));
}
