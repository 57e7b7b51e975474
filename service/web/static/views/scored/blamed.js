// The dimensions that are blamed most for the marks in view: their values, and what was expected.

import { html, useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { Chart } from "../../lib/chart.js";
import { percent } from "../../lib/format.js";
import { put } from "../../lib/route.js";
import { plain } from "../../lib/words.js";
import { GUTTER, picked, rangeOf } from "./place.js";

const SHOWN = 3;
const COLUMNS = 1500; // of a chart, at most
const MOST_POINTED = 400; // points in view, up to which single ones are drawn

export function Blamed({ series, version, decision, view, query, see }) {
  const { verdicts } = series, { from, to } = view, { flags } = decision;
  const own = verdicts.dimensions.indexOf(query.dimension);
  const blamed = useMemo(
    () => verdicts.blame(flags, from, Math.min(to, flags.length) - 1),
    [decision, from, to],
  );
  const leading = blamed.slice(0, SHOWN).map(([dimension]) => dimension);
  const shown = [...new Set(own >= 0 ? [own, ...leading] : leading)], shares = new Map(blamed);
  return html`<section class="card stack">
    <div class="row apart">
      <h2>${blamed.length ? "Most blamed in this stretch" : "Nothing is marked in this stretch"}</h2>
      <select aria-label="Also show a dimension" value=${own >= 0 ? query.dimension : ""}
        onChange=${(event) => put({ dimension: event.target.value || null })}>
        <option value="">also show …</option>
        ${verdicts.dimensions.map((name) => html`<option value=${name}>${plain(name)}</option>`)}
      </select>
    </div>
    ${!shown.length && html`<p class="soft">Move the slider, look at another stretch, or choose a dimension to see
      its values.</p>`}
    ${shown.map((dimension) => html`<${Dimension} key=${dimension} series=${series} version=${version}
      dimension=${dimension} share=${shares.get(dimension)} view=${view} see=${see} />`)}
  </section>`;
}

function Dimension({ series, version, dimension, share, view, see }) {
  const data = useValues(series, version, dimension, view);
  const name = plain(series.verdicts.dimensions[dimension]);
  if (!data) return html`<p class="soft">Loading ${name} …</p>`;
  const [seconds, value, expected, low, high] = data;
  const lines = [
    { label: "value", colour: "series", width: 1.3 },
    { label: "expected", colour: "expected", width: 1.6, points: view.to - view.from < MOST_POINTED },
    { label: "high", colour: "band", width: 1 },
    { label: "low", colour: "band", width: 1 },
  ];
  return html`<div>
    <h3>${name} ${share !== undefined && html`<span class="soft">${percent(share)} of the blame</span>`}</h3>
    <${Chart} data=${[seconds, value, expected, high, low]} series=${lines} bands=${[{ series: [3, 4] }]} height=${120}
      gutter=${GUTTER}
      byRow=${!series.about.hasTimes} range=${rangeOf(series, view)} sync="scored"
      onSelect=${(fromMs, toMs) => see(...picked(series, fromMs, toMs))}
      label=${`Values of ${name}, and what was expected where it is among the causes`} />
  </div>`;
}

/** What is drawn of a dimension, from the worker; asked again only when the answer has come. */
function useValues(series, version, dimension, { from, to }) {
  const [data, setData] = useState(null), busy = useRef(false), wanted = useRef(null);
  useEffect(() => {
    wanted.current = [from, to, version];
    if (busy.current) return;
    busy.current = true;
    const ask = async () => {
      const asked = wanted.current;
      const found = await series.values(dimension, asked[0], asked[1], COLUMNS).catch(() => null);
      if (found) setData(found);
      if (found && wanted.current !== asked) return ask();
      busy.current = false;
      return null;
    };
    ask();
  }, [series, version, dimension, from, to]);
  return data;
}
