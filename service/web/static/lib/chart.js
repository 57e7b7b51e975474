// Series over time in uPlot, with the colours of the page. One cursor runs through all charts that
// share a `sync` name.

import uPlot from "uplot";
import { html, useEffect, useRef } from "./html.js";
import { colour, onTheme } from "./theme.js";
import { number } from "./format.js";

const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const seconds = new Intl.DateTimeFormat(undefined, { ...clock, second: "2-digit" });
const minutes = new Intl.DateTimeFormat(undefined, clock);
const days = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/**
 * One chart. `data`: [seconds, ...series], arrays of numbers or null, as uPlot has them.
 *
 * `series`: of each { label, colour (a name of page.css), width, dash, points, fill };
 * `bands`: uPlot's, pairs of series; `marks`: function (plot, context) that draws over it;
 * `under`: the same, before anything else is drawn; `scales`: { y: { range } };
 * `range`: [from, to] in seconds, else the data's; `ticks`: function (least, greatest) -> values of y;
 * `version` changes when `marks` or `under` draw something else;
 * `gutter`, `margin`: pixels left and right of the plot; `isBare`: without axis of time;
 * `byRow`: x counts rows;
 * `onCursor(index | null)`, `onSelect(fromMs, toMs)`.
 */
export function Chart({
  data, series, bands, height = 160, marks, under, scales = {}, range, ticks, gutter = 54, margin = null,
  isBare = false, byRow = false, version, sync, label, onCursor, onSelect,
}) {
  const place = useRef(null), plot = useRef(null), latest = useRef({});
  latest.current = { data, range, marks, under, onCursor, onSelect };
  const shape = JSON.stringify([series.map((one) => [one.label, one.colour, one.points]), height, gutter, isBare]);

  useEffect(() => {
    const build = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(), latest.current.data, place.current);
    };
    const options = () => ({
      width: place.current.clientWidth || 300,
      height,
      series: [{}, ...series.map(styled)],
      bands: (bands || []).map((band) => ({ ...band, fill: colour("band") })),
      padding: [8, margin, isBare ? 6 : 0, null],
      scales: { x: { time: !byRow, range: (_, ...ends) => latest.current.range || ends.slice(0, 2) }, ...scales },
      axes: [
        axis({ size: isBare ? 0 : 26, space: 76, values: isBare ? () => [] : byRow ? places : instants }),
        axis({ ...yAxis(ticks), size: gutter }),
      ],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        sync: sync ? { key: sync, scales: ["x", null] } : undefined,
        points: { size: (chart, at) => (chart.series[at].width ? 6 : 0) },
      },
      hooks: {
        drawClear: [(chart) => latest.current.under?.(chart, chart.ctx)],
        draw: [(chart) => latest.current.marks?.(chart, chart.ctx)],
        setCursor: [(chart) => latest.current.onCursor?.(chart.cursor.idx ?? null)],
        setSelect: [(chart) => {
          if (chart.select.width < 4) return;
          const { left, width } = chart.select;
          const from = chart.posToVal(left, "x"), to = chart.posToVal(left + width, "x");
          chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          latest.current.onSelect?.(Math.round(from * 1000), Math.round(to * 1000));
        }],
      },
    });
    build();
    const watch = new ResizeObserver(() => {
      const width = place.current?.clientWidth;
      if (width && plot.current && width !== plot.current.width) plot.current.setSize({ width, height });
    });
    watch.observe(place.current);
    const stop = onTheme(build);
    return () => {
      stop();
      watch.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(data), [data]);
  useEffect(() => plot.current?.redraw(false), [version]);
  return html`<div class="chart" ref=${place} role="img" aria-label=${label}></div>`;
}

function styled({ label, colour: name, width = 1.4, dash, points = false, fill, paths }) {
  const made = { label, width, stroke: () => colour(name), points: { show: points, size: 4 }, spanGaps: false };
  if (dash) made.dash = dash;
  if (fill) made.fill = () => colour(fill);
  if (paths) made.paths = paths;
  return made;
}

/** Instants as short as their distance allows: seconds, minutes, days. */
function instants(_, all, __, ___, step) {
  const format = step < 60 ? seconds : step < 86_400 ? minutes : days;
  return all.map((at, i) => {
    const isNewDay = i > 0 && new Date(at * 1000).getDate() !== new Date(all[i - 1] * 1000).getDate();
    return (isNewDay ? days : format).format(at * 1000);
  });
}

/** Rows as they are counted. */
const places = (_, all) => all.map(number);

function yAxis(ticks) {
  const values = (_, all) => all.map((value) => (value === null ? "" : number(value)));
  if (!ticks) return { values };
  return { values, splits: (_, __, least, greatest) => ticks(least, greatest), filter: (_, all) => all };
}

/** Move the cursor of all charts that share `sync` to an instant, or take it away. */
export function point(sync, ms) {
  for (const chart of uPlot.sync(sync).plots) {
    const left = ms === null ? -10 : chart.valToPos(ms / 1000, "x");
    chart.setCursor({ left, top: ms === null ? -10 : 1 }, true, false);
  }
}

function axis(more) {
  return {
    stroke: () => colour("soft"),
    grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { stroke: () => colour("grid"), width: 1 },
    font: "12px system-ui, sans-serif",
    ...more,
  };
}

/** Fill the time between two instants, as `marks` may: incidents, labels. */
export function shade(chart, context, { fromMs, toMs, fill, edge }) {
  const { left, top, width, height } = chart.bbox;
  const a = Math.max(left, chart.valToPos(fromMs / 1000, "x", true));
  const b = Math.min(left + width, chart.valToPos(toMs / 1000, "x", true));
  if (b < left || a > left + width) return;
  context.save();
  context.fillStyle = fill;
  context.fillRect(a, top, Math.max(2, b - a), height);
  if (edge) {
    context.fillStyle = edge;
    context.fillRect(a, top, Math.max(2, b - a), 3 * devicePixelRatio);
  }
  context.restore();
}

/** A level line, as `marks` may draw it: the threshold. */
export function level(chart, context, value, name = "bad") {
  const { left, width, top, height } = chart.bbox;
  const y = chart.valToPos(value, "y", true);
  if (y < top || y > top + height) return;
  context.save();
  context.strokeStyle = colour(name);
  context.setLineDash([6, 4]);
  context.beginPath();
  context.moveTo(left, y);
  context.lineTo(left + width, y);
  context.stroke();
  context.restore();
}

/** At most `most` columns of [x, y...] that keep every extreme: first, least, greatest, last of each. */
export function thinned(data, most) {
  const [xs, ...series] = data, length = xs.length;
  if (length <= most) return data;
  const size = Math.ceil((2 * length) / most), kept = new Set([0, length - 1]);
  for (let start = 0; start < length; start += size) {
    const end = Math.min(length, start + size);
    for (const values of series) {
      let least = -1, greatest = -1;
      for (let at = start; at < end; at++) {
        const value = values[at];
        if (value === null || Number.isNaN(value)) continue;
        if (least < 0 || value < values[least]) least = at;
        if (greatest < 0 || value > values[greatest]) greatest = at;
      }
      if (least >= 0) kept.add(least).add(greatest);
    }
  }
  const order = [...kept].sort((a, b) => a - b);
  return data.map((values) => order.map((at) => values[at]));
}
