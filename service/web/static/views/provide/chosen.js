// A file that was read: which bundle scores it, which column is which dimension, and the scoring.

import { html, useState } from "../../lib/html.js";
import { count } from "../../lib/format.js";
import { matched } from "../../lib/matched.js";
import { some } from "../../lib/read/faults.js";
import { useRun } from "../../lib/run.js";
import { Faults } from "../faults.js";
import { Progress } from "../progress.js";
import { Scored } from "../scored.js";
import { About } from "./about.js";
import { Mapping } from "./mapping.js";
import { Upload } from "./upload.js";

const UPLOADED = "uploaded"; // no name of a bundle and version
const PIECE_MS = 700;
const PIECE_UPLOADED_MS = 6_000; // a bundle that comes along is opened anew for each
const NAME = /^(?!\s)[^\p{C}]{1,200}(?<!\s)$/u; // of an entity
const BAD_NAME = "The name of an entity has 1 to 200 characters that can be seen, and no space at its ends.";
const OWN = "a bundle that was trained on this entity uses its own calibration";

export function Chosen({ file, series, about, models, query, other }) {
  const [upload, setUpload] = useState(null);
  const [title, setTitle] = useState(() => best(models, about));
  const [assigned, setAssigned] = useState({}); // dimension -> column, where the person chose
  const [entity, setEntity] = useState(about.title || file.name.replace(/\.[^.]*$/, ""));
  const { run, start, reset, hasVerdicts } = useRun(series);

  const all = upload ? [upload.model, ...models] : models;
  const keyOf = (one) => (upload?.model === one ? UPLOADED : titleOf(one));
  const model = all.find((one) => keyOf(one) === title) ?? all[0], isBrought = keyOf(model) === UPLOADED;
  const places = matched(model.dimensions, about, model.dimensions.map((name) => assigned[name] ?? null));
  const hindrances = hindrancesOf(model, about, places, entity);
  const isRunning = run.state === "running";

  const begin = () => start({
    bundle: isBrought ? null : titleOf(model),
    entity,
    dimensions: model.dimensions,
    columns: places,
    periodSeconds: model.period_seconds,
    upload: isBrought ? upload.files : null,
    pieceMs: isBrought ? PIECE_UPLOADED_MS : PIECE_MS,
  });
  const again = (change = () => {}) => {
    if (isRunning) series.stop();
    reset();
    change();
  };
  const bring = (found) => again(() => {
    setUpload(found);
    setTitle(UPLOADED);
  });
  const assign = (name, column) => again(() => setAssigned((now) => ({ ...now, [name]: column })));
  return html`<div class="stack">
    <section class="card stack" aria-label="File and bundle">
      <${About} file=${file} about=${about} other=${other} />
      <div class="row fields">
        <label class="field"><span>Bundle</span>
          <select aria-label="Bundle" value=${keyOf(model)} disabled=${isRunning}
            onChange=${(event) => again(() => setTitle(event.target.value))}>
            ${all.map((one) => html`<option value=${keyOf(one)}>
              ${one.name}${upload?.model === one ? " (yours)" : ""}: ${fitOf(one, about)}</option>`)}
          </select></label>
        <${Upload} take=${bring} isRunning=${isRunning} />
        <label class="field"><span title=${OWN}>Entity</span>
          <input value=${entity} disabled=${isRunning}
            onInput=${(event) => again(() => setEntity(event.target.value))} />
        </label>
      </div>
      <${Mapping} model=${model} about=${about} places=${places} isRunning=${isRunning} assign=${assign} />
      ${hindrances}
      ${run.state === "idle" ? html`<${Begin} about=${about} isReady=${!hindrances.length} begin=${begin} />`
        : html`<${Progress} series=${series} run=${run} again=${() => again()} />`}
    </section>
    ${run.state === "failed" && html`<${Faults} title="The series could not be scored" fault=${run.fault} />`}
    ${hasVerdicts && html`<${Scored} series=${series} version=${run.version} name=${entity} query=${query}
      isRunning=${isRunning} />`}
  </div>`;
}

const Begin = ({ about, isReady, begin }) => html`<div class="row">
  <button class="first" disabled=${!isReady} onClick=${begin}>
    Score ${count(about.count)} ${about.count === 1 ? "point" : "points"}</button>
  <span class="soft small">The values go to this service, piece by piece, and are forgotten.</span>
</div>`;

const titleOf = (model) => `${model.name}/${model.version}`;
const fits = (model, about) => matched(model.dimensions, about, []).filter((place) => place >= 0).length;

const fitOf = (model, about) => `${fits(model, about)} of ${model.dimensions.length} dimensions`;

/** The bundle with the greatest share of its dimensions in the file. */
function best(models, about) {
  const share = (model) => fits(model, about) / model.dimensions.length + (model.is_default ? 1e-6 : 0);
  return titleOf(models.reduce((most, one) => (share(one) > share(most) ? one : most)));
}

/** What stands against a scoring, in words. */
function hindrancesOf(model, about, places, entity) {
  const lacking = model.dimensions.filter((_, at) => places[at] < 0);
  const bad = about.faults.filter((fault) => places.includes(about.names.indexOf(fault.column)));
  const found = [];
  if (lacking.length) {
    found.push(html`<p class="note bad" role="alert">The bundle expects ${model.dimensions.length} dimensions;
      ${" "}${lacking.length} of them ${lacking.length === 1 ? "has" : "have"} no column of this file:
      ${" "}${some(lacking, 8)}. Assign columns above, or choose another bundle.</p>`);
  }
  if (bad.length) {
    const values = places.reduce((sum, place) => sum + (about.faultsPerColumn[about.names[place]] || 0), 0);
    const title = `${count(values)} ${values === 1 ? "value" : "values"} of columns that are used cannot be read`;
    found.push(html`<${Faults} title=${title} fault=${{ message: bad[0].text, faults: bad }} />`);
  }
  if (!NAME.test(entity) || entity !== entity.normalize("NFC")) found.push(html`<p class="note bad">${BAD_NAME}</p>`);
  return found;
}
