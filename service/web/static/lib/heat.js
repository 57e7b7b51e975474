// A heat-map on a canvas: rows by columns of levels 0..127, with a frame that pointer and keys move.

import { html, useEffect, useRef, useState } from "./html.js";
import { LEVELS, colours } from "./palette.js";
import { colour, onTheme } from "./theme.js";

/**
 * `levels`: Uint8Array (rows x columns, row by row), 0 nothing, 1..127 the ramp, +128 marked.
 *
 * `rowHeight`: CSS pixels; `describe(row, column)`: text of the cell under the frame;
 * `onPick(row, column)`; `onPoint(row, column | null)` follows the frame; `version` changes when
 * the levels do.
 */
export function HeatMap({ levels, rows, columns, rowHeight, label, describe, onPick, onPoint, version }) {
  const canvas = useRef(null), latest = useRef({});
  const [framed, setAt] = useState(null), [hint, setHint] = useState(null);
  const at = framed && framed[0] < rows && framed[1] < columns ? framed : null; // what was under it may be gone
  latest.current = { levels, rows, columns, at };

  const draw = () => canvas.current && paint(canvas.current, latest.current);
  useEffect(draw, [version, rows, columns, rowHeight, at]);
  useEffect(() => onTheme(draw), []);
  useEffect(() => {
    const watch = new ResizeObserver(draw);
    watch.observe(canvas.current);
    return () => watch.disconnect();
  }, []);

  const inside = (row, column) => [clamp(row, rows), clamp(column, columns)];
  const move = (row, column, place) => {
    if (rows === 0) return;
    const to = inside(row, column);
    setAt(to);
    setHint(place ? { ...place, text: describe(...to) } : null);
    onPoint?.(...to);
  };
  const cellOf = (event) => {
    const box = canvas.current.getBoundingClientRect();
    return inside(
      Math.floor(((event.clientY - box.top) / box.height) * rows),
      Math.floor(((event.clientX - box.left) / box.width) * columns),
    );
  };
  const keys = (event) => {
    const [row, column] = at || [0, columns - 1];
    const steps = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      Home: [0, -column], End: [0, columns], PageUp: [-10, 0], PageDown: [10, 0],
    };
    if (event.key === "Enter" && at) return onPick?.(...at);
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    move(row + step[0], column + step[1], null);
  };
  const leave = () => {
    setHint(null);
    setAt(null);
    onPoint?.(null, null);
  };
  const text = at ? describe(...at) : "";
  return html`<div class="heat">
    <canvas ref=${canvas} tabindex="0" role="application" aria-label=${label} aria-roledescription="heat-map"
      style=${{ width: "100%", height: `${Math.max(1, rows * rowHeight)}px`, cursor: onPick ? "pointer" : "default" }}
      onPointerMove=${(event) => move(...cellOf(event), { left: event.clientX, top: event.clientY })}
      onPointerLeave=${leave} onBlur=${leave} onKeyDown=${keys}
      onClick=${(event) => onPick?.(...cellOf(event))} />
    <span class="unseen" aria-live="polite">${hint ? "" : text}</span>
    ${at && hint && html`<div class="hint" style=${besides(hint)}>${hint.text}</div>`}
    ${at && !hint && html`<p class="small soft">${text}</p>`}
  </div>`;
}

const clamp = (place, count) => Math.max(0, Math.min(count - 1, place));

const besides = ({ left, top }) => ({ left: `${Math.min(left + 14, innerWidth - 300)}px`, top: `${top + 18}px` });

/** Every cell one pixel of an image that the canvas then enlarges: the cost is that of the cells. */
function paint(canvas, { levels, rows, columns, at }) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height || !rows || !columns) return;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { alpha: false });
  const small = imageOf(levels, rows, columns);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, width, height);
  if (!at) return;
  const cell = [width / columns, height / rows];
  context.strokeStyle = colour("text");
  context.lineWidth = 2 * ratio;
  context.strokeRect(at[1] * cell[0], at[0] * cell[1], cell[0], Math.max(cell[1], 2 * ratio));
}

let sheet = null; // one canvas behind all maps; drawing is synchronous

/** A canvas of one pixel per cell; marked cells are a step brighter at the end of the ramp. */
export function imageOf(levels, rows, columns) {
  sheet ??= document.createElement("canvas");
  if (sheet.width !== columns || sheet.height !== rows) Object.assign(sheet, { width: columns, height: rows });
  const context = sheet.getContext("2d", { alpha: false, willReadFrequently: true });
  const image = context.createImageData(columns, rows);
  const ramp = new Uint32Array(colours().buffer), pixels = new Uint32Array(image.data.buffer);
  for (let cell = 0; cell < pixels.length; cell++) pixels[cell] = ramp[levels[cell] & (LEVELS - 1)];
  context.putImageData(image, 0, 0);
  return sheet;
}
