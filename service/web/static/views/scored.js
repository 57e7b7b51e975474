// A scored series: score and severity over time, marks that follow a slider, how well they find the
// labels, and the incidents they make, with their causes. It grows while it is being scored.

import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { put } from "../lib/route.js";
import { QUIET_POINTS, byBudget, byPercentile, incidentsOf, runs } from "../lib/decide.js";
import { Blamed } from "./scored/blamed.js";
import { Charts } from "./scored/charts.js";
import { Download } from "./scored/download.js";
import { Incidents } from "./scored/incidents.js";
import { Known } from "./scored/known.js";
import { Numbers } from "./scored/numbers.js";
import { Threshold } from "./scored/threshold.js";

const MOST_BUDGET = 1e6, MOST_PERCENTILE = 50; // as the service takes them
const NOT_MARKED = { flags: new Uint8Array(0), thresholdP: NaN, factor: 1 };

/** `series`: lib/series.js, with its `version`; `name` for files; `query` of the address. */
export function Scored({ series, version, name, query, isRunning }) {
  const { verdicts, decided } = series;
  const [wish, setWish] = useState(() => wishOf(query));
  const isShare = wish.percentile !== null; // of whose marks alone incidents are made
  const sorted = useSorted(series, version, isShare);
  const budget = wish.budget ?? decided.budget;
  const decision = useMemo(() => {
    if (!isShare) return byBudget(verdicts, budget, decided);
    return sorted ? byPercentile(verdicts, wish.percentile, sorted) : NOT_MARKED;
  }, [series, version, budget, wish.percentile, sorted]);
  const episodes = useMemo(() => runs(decision.flags, QUIET_POINTS), [decision]);
  const incidents = useMemo(() => incidentsOf(episodes, isShare ? [] : series.lost), [episodes, version, isShare]);
  const view = viewOf(query, verdicts.count);
  const see = (from, to, more = {}) => {
    put({ from: from > 0 ? from : null, to: to < verdicts.count ? to : null, incident: null, ...more });
  };
  const change = (next, isLast) => {
    setWish(next);
    if (!isLast) return; // the address follows when the slider stays
    const own = next.percentile === null && next.budget !== decided.budget ? next.budget : null;
    put({ budget: own, percentile: next.percentile });
  };
  const all = { series, version, decision, incidents, view, see, name, query, isRunning };
  return html`<div class="stack scored">
    <${Threshold} wish=${wish} budget=${budget} decided=${decided} decision=${decision} change=${change} />
    <${Numbers} ...${all} episodes=${episodes} />
    <${Charts} ...${all} />
    <div class="halves"><${Incidents} ...${all} /><${Blamed} ...${all} /></div>
    ${series.about.about?.length > 0 && html`<${Known} ...${all} />`}
    <${Download} ...${all} />
  </div>`;
}

function wishOf(query) {
  const given = (text, most) => (Number(text) > 0 && Number(text) <= most ? Number(text) : null);
  return { budget: given(query.budget, MOST_BUDGET), percentile: given(query.percentile, MOST_PERCENTILE) };
}

/** The points from..to that are seen, two at least if there are so many. */
function viewOf(query, all) {
  const from = Math.max(0, Math.min(all - 2, Math.floor(Number(query.from) || 0)));
  const to = Math.max(Math.min(from + 2, all), Math.min(all, Math.floor(Number(query.to) || all)));
  return { from, to };
}

/** Sorted scores of what is known, from the worker; asked again only when the answer has come. */
function useSorted(series, version, isWanted) {
  const [sorted, setSorted] = useState(null), busy = useRef(false), wanted = useRef(-1);
  useEffect(() => {
    wanted.current = version;
    if (!isWanted || busy.current) return;
    busy.current = true;
    const ask = async () => {
      const asked = wanted.current;
      const found = await series.sorted().catch(() => null);
      if (found) setSorted(found);
      if (found && wanted.current !== asked) return ask();
      busy.current = false;
      return null;
    };
    ask();
  }, [series, version, isWanted]);
  return sorted;
}
