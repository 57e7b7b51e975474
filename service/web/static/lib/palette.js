// Colours of severity: one ramp for every heat-map, so that a colour means the same everywhere.

import { colour, onTheme } from "./theme.js";

export const LEVELS = 128;
export const MOST_NATS = 24; // at and beyond it the ramp stays at its end

// up to some 4 nats (a point in fifty) is usual, and must not catch the eye
const STOPS = [[0, "heat-0"], [0.17, "heat-1"], [0.3, "heat-2"], [0.5, "heat-3"], [0.75, "heat-4"], [1, "heat-5"]];

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

/** Share 0..1 of the ramp for a severity in nats. */
export const shareOf = (nats) => Math.max(0, Math.min(1, nats / MOST_NATS));

/** Level 1..127 for a severity in nats. */
export const levelOf = (nats) => 1 + Math.round((LEVELS - 2) * shareOf(nats));

function built() {
  const stops = STOPS.map(([share, name]) => [share, rgb(colour(name))]);
  const all = new Uint8ClampedArray(4 * LEVELS);
  all.set([...rgb(colour("heat-none")), 255], 0);
  for (let level = 1; level < LEVELS; level++) {
    const share = (level - 1) / (LEVELS - 2);
    const at = stops.findIndex(([end], place) => place > 0 && share <= end);
    const [[start, from], [end, to]] = [stops[at - 1], stops[at]];
    const part = (share - start) / (end - start);
    all.set([...from.map((one, i) => one + (to[i] - one) * part), 255], 4 * level);
  }
  return all;
}

function rgb(text) {
  const digits = text.replace("#", "");
  return [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16));
}
