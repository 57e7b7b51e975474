// What the colours mean.

import { html, useEffect, useRef } from "../lib/html.js";
import { css, MOST_NATS, shareOf } from "../lib/palette.js";
import { colour, onTheme } from "../lib/theme.js";

const MEANING = `How odd it was, at a point or over the last while, whichever is more; it has no threshold.
  Score is of one point: above 1 is anomalous.`;

export function Legend() {
  const canvas = useRef(null);
  useEffect(() => {
    const draw = () => {
      const context = canvas.current.getContext("2d");
      for (let x = 0; x < 120; x++) {
        context.fillStyle = css(shareOf((MOST_NATS * x) / 119));
        context.fillRect(x, 0, 1, 10);
      }
      context.strokeStyle = colour("line");
      context.strokeRect(0, 0, 120, 10);
    };
    draw();
    return onTheme(draw);
  }, []);
  return html`<div class="legend">
    <span>usual</span>
    <canvas ref=${canvas} width="120" height="10" role="img" aria-label="from usual to very odd" />
    <span>very odd</span>
    <span title=${MEANING}>
      severity, 0 to ${MOST_NATS} nats</span>
  </div>`;
}
