// What sets the threshold: a budget of false alarms, or a share of the series.

import { html } from "../../lib/html.js";
import { LEAST_P, MOST_P } from "../../lib/decide.js";
import { number } from "../../lib/format.js";
import { LogSlider } from "../../lib/logslider.js";

const BUDGETS = { least: 0.01, most: 100 }, SHARES = { least: 0.01, most: 10 };
const SHARE_TEXT = "Marks the oddest share of this series, even if all of it is normal.";
const BUDGET_TEXT =
  "How many incidents a day may be false: more finds more and sooner, less is quieter. Nothing is scored again.";

/** `wish`: { budget, percentile }; `change(wish, isLast)`. */
export function Threshold({ wish, budget, decided, decision, change }) {
  const isShare = wish.percentile !== null;
  return html`<section class="card" aria-label="Threshold">
    <div class="row apart">
      <div class="choice" role="group" aria-label="What sets the threshold">
        <button aria-pressed=${!isShare} onClick=${() => change({ ...wish, percentile: null }, true)}>
          False-alarm budget</button>
        <button aria-pressed=${isShare} onClick=${() => change({ ...wish, percentile: wish.percentile ?? 1 }, true)}>
          Expected anomalies</button>
      </div>
      <output class="strong">
        ${isShare ? `${number(wish.percentile)} % of the points of this series` : rate(budget)}</output>
      <span class="soft" title="a point whose p-value is smaller is marked">
        p below ${number(decision.thresholdP)}${isShare ? "" : bound(decision.thresholdP)}</span>
      <button disabled=${!isShare && budget === decided.budget}
        onClick=${() => change({ budget: null, percentile: null }, true)}>
        As deployed: ${number(decided.budget)} a day</button>
    </div>
    ${isShare ? html`<${Share} wish=${wish} change=${change} />`
      : html`<${Budget} wish=${wish} budget=${budget} decided=${decided} change=${change} />`}
    <p class="soft small">${isShare ? SHARE_TEXT : BUDGET_TEXT}</p>
  </section>`;
}

const rate = (budget) => `${number(budget)} false ${budget === 1 ? "incident" : "incidents"} per entity and day`;

function bound(threshold) {
  if (threshold >= MOST_P) return ` (never above ${MOST_P})`;
  return threshold <= LEAST_P ? ` (never below ${LEAST_P})` : "";
}

function Budget({ wish, budget, decided, change }) {
  const say = (value) => rate(value) + (value === decided.budget ? ", as deployed" : "");
  return html`<${LogSlider} ...${BUDGETS} label="False-alarm budget, false incidents per entity and day"
    value=${budget} marked=${decided.budget} markedTitle="the budget in force" say=${say}
    onInput=${(value) => change({ ...wish, budget: value })}
    onChange=${(value) => change({ ...wish, budget: value }, true)} />`;
}

function Share({ wish, change }) {
  return html`<${LogSlider} ...${SHARES} label="Expected anomalies, percent of all points"
    value=${wish.percentile} say=${(value) => `${number(value)} percent of all points`}
    onInput=${(percentile) => change({ ...wish, percentile })}
    onChange=${(percentile) => change({ ...wish, percentile }, true)} />`;
}
