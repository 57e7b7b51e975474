// Series at hand for the bundles that are loaded: pick one, and watch it being scored.

import { html, useEffect, useState } from "../lib/html.js";
import { ask, segment } from "../lib/api.js";
import { go, href } from "../lib/route.js";
import { count, span } from "../lib/format.js";
import { matched } from "../lib/matched.js";
import { useRun } from "../lib/run.js";
import { Series } from "../lib/series.js";
import { Faults } from "./faults.js";
import { Progress } from "./progress.js";
import { Scored } from "./scored.js";

const PIECE_MS = 250; // often enough to watch
const UNKNOWN = { message: "It may belong to a bundle that is not loaded here. Choose another one:" };

export function Example({ name, query }) {
  const [known, setKnown] = useState(null), [fault, setFault] = useState(null);
  useEffect(() => {
    const both = Promise.all([ask("/v1/examples"), ask("/v1/models")]);
    both.then(([examples, models]) => setKnown({ examples, models }), setFault);
  }, []);
  const chosen = known?.examples.find((one) => one.entity !== null && `${one.bundle}/${one.entity}` === name);
  return html`<div class="stack">
    <div><h1>Example</h1>
      <p class="soft">Watch a bundle score a series that it was not trained on, point after point, as the service does
        it for points that come live. Then move the threshold, and see what is found, how soon, and how often for
        nothing.</p></div>
    ${fault && html`<${Faults} title="The examples cannot be had" fault=${fault} />`}
    ${!known && !fault && html`<p class="blank" role="status">Loading …</p>`}
    ${known && name && !chosen && html`<${Faults} title=${`There is no example ${name}`} fault=${UNKNOWN} />`}
    ${known && !chosen && html`<${List} examples=${known.examples} />`}
    ${chosen && html`<${Watched} key=${name} example=${chosen} known=${known} query=${query} />`}
  </div>`;
}

const addressOf = ({ bundle, entity }) => href("example", `${bundle}/${entity}`);

function List({ examples }) {
  const there = examples.filter((one) => one.entity !== null);
  const lacking = examples.filter((one) => one.entity === null).map((one) => one.bundle);
  return html`<section class="card stack">
    <h2>${there.length ? "Choose a series" : "No series is at hand"}</h2>
    ${there.length > 0 && html`<div class="scroll"><table class="examples" aria-label="Series at hand">
      <thead><tr><th scope="col">Series</th><th scope="col">Bundle</th><th scope="col" class="number">Points</th>
        <th scope="col" class="number" title="stretches that are known to be anomalous">Labelled stretches</th>
        <th scope="col">What it is</th></tr></thead>
      <tbody>${there.map((one) => html`<${Row} one=${one} />`)}</tbody>
    </table></div>`}
    ${lacking.length > 0 && html`<p class="soft small">Nothing is at hand for ${lacking.join(", ")}: a
      file <code>examples/ENTITY.npz</code> or <code>.csv</code> in the folder of the version would be, or bring one of
      yours to <a href="#/provide">Provide</a>.</p>`}
  </section>`;
}

const Row = ({ one }) => html`<tr>
  <td class="nowrap"><a class="button" href=${addressOf(one)}>${one.entity}</a></td>
  <td class="nowrap">${one.bundle}</td>
  <td class="number nowrap" title=${`a point every ${span(1000 * one.period_seconds)}`}>${count(one.points)}</td>
  <td class="number">${one.events}</td>
  <td class="soft small">${one.description}</td>
</tr>`;

function Watched({ example, known, query }) {
  const { bundle, entity, description } = example;
  const [series] = useState(() => new Series());
  const { run, start, hasVerdicts } = useRun(series, { state: "loading" });
  const begin = () => start(
    (about) => wishOf(known.models.find((one) => one.name === bundle), entity, about),
    async () => series.about ?? series.take(`/v1/examples/${segment(`${bundle}/${entity}`)}`),
  );
  useEffect(() => {
    begin();
    return () => series.close();
  }, []);
  const others = known.examples.filter((one) => one.entity !== null);
  return html`<div class="stack">
    <section class="card stack" aria-label="Series">
      <div class="row">
        <label class="field"><span>Series</span>
          <select aria-label="Series" value=${addressOf(example)} onChange=${(event) => go(event.target.value)}>
            ${others.map((one) => html`<option value=${addressOf(one)}>
              ${one.entity} – ${one.bundle}, ${count(one.points)} points</option>`)}
          </select></label>
        <p class="soft small grow">${description}</p>
        <a href="#/example">All examples</a>
      </div>
      ${run.state === "loading" && html`<p role="status" class="soft">Fetching the series …</p>`}
      ${series.about && run.state !== "loading" && html`<${Progress} series=${series} run=${run} again=${begin} />`}
    </section>
    ${run.state === "failed" && html`<${Faults} title="The series could not be scored" fault=${run.fault} />`}
    ${hasVerdicts && html`<${Scored} series=${series} version=${run.version} name=${entity} query=${query}
      isRunning=${run.state === "running"} />`}
  </div>`;
}

function wishOf(model, entity, about) {
  return {
    bundle: `${model.name}/${model.version}`,
    entity,
    dimensions: model.dimensions,
    columns: matched(model.dimensions, about, []),
    periodSeconds: model.period_seconds,
    pieceMs: PIECE_MS,
  };
}
