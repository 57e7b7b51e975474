// A series of one's own: drop a file, choose bundle and columns, see what is found in it.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { ask } from "../lib/api.js";
import { count, fullTime, number, span } from "../lib/format.js";
import { Series } from "../lib/series.js";
import { readBundle } from "../lib/read/bundle.js";
import { some } from "../lib/read/faults.js";
import { matched } from "../lib/matched.js";
import { Faults } from "./faults.js";
import { Progress } from "./progress.js";
import { Scored } from "./scored.js";

const UPLOADED = "uploaded"; // no name of a bundle and version
const NAME = /^(?!\s)[^\p{C}]{1,200}(?<!\s)$/u; // of an entity

export function Provide({ query }) {
  const [models, setModels] = useState(null), [file, setFile] = useState(null);
  const [series, setSeries] = useState(null), [about, setAbout] = useState(null);
  const [bytes, setBytes] = useState(0), [fault, setFault] = useState(null);
  const latest = useRef(null);
  useEffect(() => {
    ask("/v1/models").then(setModels, setFault);
    return () => latest.current?.close();
  }, []);

  const read = async (chosen, part = null) => {
    latest.current?.close();
    const own = new Series();
    latest.current = own;
    setFile(chosen);
    setSeries(own);
    setAbout(null);
    setFault(null);
    setBytes(0);
    try {
      const found = await own.read(chosen, { part, onBytes: (read) => latest.current === own && setBytes(read) });
      if (latest.current === own) setAbout(found);
    } catch (problem) {
      if (latest.current === own) setFault(problem);
    }
  };
  return html`<div class="stack">
    <div><h1>Provide a series</h1>
      <p class="soft">Bring a file of one entity, and see what a bundle finds in it: marks, incidents and their causes,
        and how good they are if the file has labels. Nothing is kept by the service, and nobody is alerted.</p></div>
    <${Drop} take=${read} isSmall=${Boolean(file)} />
    ${file && !about && !fault && html`<section class="card" role="status"><p>Reading ${file.name} …</p>
      <progress value=${bytes} max=${file.size} aria-label="Reading the file"></progress></section>`}
    ${fault && html`<${Faults} title=${file ? `${file.name} cannot be read` : "This does not work"} fault=${fault} />`}
    ${!file && html`<${Forms} />`}
    ${about && models && html`<${Chosen} key=${`${file.name}/${about.part}/${file.lastModified}`} file=${file} series=${series} about=${about} models=${models} query=${query}
      other=${(part) => read(file, part)} />`}
  </div>`;
}

function Drop({ take, isSmall }) {
  const [isOver, setOver] = useState(false);
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  };
  const over = (event) => {
    event.preventDefault();
    setOver(true);
  };
  return html`<section class=${`card drop ${isOver ? "over" : ""} ${isSmall ? "less" : ""}`} aria-label="File"
      onDragOver=${over} onDragLeave=${() => setOver(false)} onDrop=${drop}>
    <p class="strong">${isSmall ? "Another file: drop it here" : "Drop a CSV, NPZ or time-series JSON file here"}</p>
    <label class="button">or choose a file
      <input class="unseen" type="file" accept=".csv,.tsv,.txt,.npz,.json" onChange=${(event) => {
        if (event.target.files[0]) take(event.target.files[0]);
        event.target.value = "";
      }} /></label>
  </section>`;
}

function Forms() {
  return html`<section class="card stack small">
    <h2>What a file looks like</h2>
    <dl class="forms">
      <dt>CSV</dt><dd>A header with the names of the dimensions, one row a point. A column <code>timestamp</code> (or <code>time</code>, <code>date</code>, <code>ts</code>, …) holds
        Unix seconds, milliseconds or ISO 8601; <code>label</code> holds 0 or 1; an empty cell is a missing value. Other columns are ignored.</dd>
      <dt>NPZ</dt><dd>An array <code>test</code>, <code>values</code> or <code>data</code> (time, dimension); <code>label</code>, <code>timestamps</code> and <code>dimensions</code> (names) may stand beside it.</dd>
      <dt>JSON</dt><dd><code>${'{"dataSetName": "pump", "graphs": [{"label": "flow", "data": [{"x": 0, "y": 1.5}]}]}'}</code>: one graph a dimension.</dd>
    </dl>
    <p class="soft">No file at hand? <code>gaugewatch simulate --output fleet --csv fleet-csv</code> writes some, and <a href="#/example">Example</a> has series ready.</p>
  </section>`;
}

function Chosen({ file, series, about, models, query, other }) {
  const [upload, setUpload] = useState(null);
  const all = upload ? [upload.model, ...models] : models;
  const [title, setTitle] = useState(() => best(models, about));
  const keyOf = (one) => (upload?.model === one ? UPLOADED : titleOf(one));
  const model = all.find((one) => keyOf(one) === title) ?? all[0], isBrought = keyOf(model) === UPLOADED;
  const [assigned, setAssigned] = useState({}); // dimension -> column, where the person chose
  const [entity, setEntity] = useState(about.title || file.name.replace(/\.[^.]*$/, ""));
  const [run, setRun] = useState({ state: "idle", version: 0, fault: null, waits: null });
  const columns = model.dimensions.map((name) => assigned[name] ?? null);
  const places = matched(model.dimensions, about, columns);
  const lacking = model.dimensions.filter((_, at) => places[at] < 0);
  const bad = about.faults.filter((fault) => places.includes(about.names.indexOf(fault.column)));
  const isNamed = NAME.test(entity) && entity === entity.normalize("NFC");
  const isRunning = run.state === "running";

  const start = async () => {
    const begun = performance.now();
    setRun({ state: "running", version: 0, fault: null, waits: null, begun });
    try {
      await series.score(
        { bundle: isBrought ? null : titleOf(model), entity, dimensions: model.dimensions, columns: places, periodSeconds: model.period_seconds,
          upload: isBrought ? upload.files : null,
          pieceMs: isBrought ? 6000 : 700 },
        {
          onPart: () => setRun((now) => ({ ...now, version: series.version, waits: null })),
          onWait: (waits) => setRun((now) => ({ ...now, waits })),
        },
      );
      setRun((now) => ({ ...now, state: "done", took: performance.now() - begun }));
    } catch (fault) {
      setRun((now) => ({ ...now, state: fault.code === "stopped" ? "stopped" : "failed", fault, took: performance.now() - begun }));
    }
  };
  const again = (change) => {
    if (isRunning) series.stop();
    setRun({ state: "idle", version: 0, fault: null, waits: null });
    change();
  };
  return html`<div class="stack">
    <section class="card stack" aria-label="File and bundle">
      <${About} file=${file} about=${about} other=${other} />
      <div class="row fields">
        <label class="field"><span>Bundle</span>
          <select aria-label="Bundle" value=${keyOf(model)} disabled=${isRunning} onChange=${(event) => again(() => setTitle(event.target.value))}>
            ${all.map((one) => html`<option value=${keyOf(one)}>${nameOf(one, upload)} – ${fits(one, about)} of ${one.dimensions.length} dimensions</option>`)}
          </select></label>
        <${Upload} take=${(found) => again(() => {
          setUpload(found);
          setTitle(UPLOADED);
        })} isRunning=${isRunning} />
        <label class="field"><span title="a bundle that was trained on this entity uses its own calibration">Entity</span>
          <input value=${entity} disabled=${isRunning} aria-invalid=${!isNamed} onInput=${(event) => again(() => setEntity(event.target.value))} /></label>
      </div>
      <${Mapping} model=${model} about=${about} places=${places} isRunning=${isRunning}
        assign=${(name, column) => again(() => setAssigned((now) => ({ ...now, [name]: column })))} />
      ${lacking.length > 0 && html`<p class="note bad" role="alert">The bundle expects ${model.dimensions.length} dimensions; ${lacking.length} of them ${lacking.length === 1 ? "has" : "have"} no column
        of this file: ${some(lacking, 8)}. Assign columns above, or choose another bundle.</p>`}
      ${bad.length > 0 && html`<${Faults} title=${`${count(badCount(about, places))} ${badCount(about, places) === 1 ? "value" : "values"} of columns that are used cannot be read`}
        fault=${{ message: bad[0].text, faults: bad }} />`}
      ${!isNamed && html`<p class="note bad">The name of an entity has 1 to 200 characters that can be seen, and no space at its ends.</p>`}
      ${run.state === "idle" && html`<div class="row"><button class="first" disabled=${lacking.length > 0 || bad.length > 0 || !isNamed} onClick=${start}>Score ${count(about.count)} ${about.count === 1 ? "point" : "points"}</button>
        <span class="soft small">The values go to this service, piece by piece, and are forgotten.</span></div>`}
      ${run.state !== "idle" && html`<${Progress} series=${series} run=${run} again=${() => again(() => {})} />`}
    </section>
    ${run.state === "failed" && html`<${Faults} title="The series could not be scored" fault=${run.fault} />`}
    ${run.version > 0 && series.verdicts?.have > 0 && html`<${Scored} series=${series} version=${run.version} name=${entity} query=${query} isRunning=${isRunning} />`}
  </div>`;
}

/** A bundle for this series alone. */
function Upload({ take, isRunning }) {
  const [fault, setFault] = useState(null);
  const read = async (event) => {
    const [zip] = event.target.files;
    event.target.value = "";
    if (!zip) return;
    setFault(null);
    await readBundle(zip).then(take, setFault);
  };
  return html`<div class="field"><label class="button" aria-disabled=${isRunning} title="the zip of a version's folder; it is tried under limits, used for this series alone, and forgotten">
    or bring one (zip)<input class="unseen" type="file" accept=".zip" aria-label="Bring a bundle" disabled=${isRunning} onChange=${read} /></label>
    ${fault && html`<span class="bad" role="alert">${fault.message}</span>`}</div>`;
}

const titleOf = (model) => `${model.name}/${model.version}`;
const nameOf = (model, upload) => (upload?.model === model ? `${model.name} (yours)` : model.name);
const fits = (model, about) => matched(model.dimensions, about, []).filter((place) => place >= 0).length;
const badCount = (about, places) => places.reduce((sum, place) => sum + (about.faultsPerColumn[about.names[place]] || 0), 0);

/** The bundle with the greatest share of its dimensions in the file. */
function best(models, about) {
  const share = (model) => fits(model, about) / model.dimensions.length + (model.is_default ? 1e-6 : 0);
  return titleOf(models.reduce((most, one) => (share(one) > share(most) ? one : most)));
}

function About({ file, about, other }) {
  const { count: points, names } = about;
  return html`<div>
    <div class="row apart"><h2>${file.name}</h2>
      ${about.arrays?.length > 1 && html`<label>array <select value=${about.part} onChange=${(event) => other(event.target.value)}>
        ${about.arrays.map((one) => html`<option value=${one.name}>${one.name} (${count(one.count)} x ${one.width})</option>`)}</select></label>`}
    </div>
    <p class="soft">${count(points)} ${points === 1 ? "point" : "points"}, ${count(names.length)} ${names.length === 1 ? "column" : "columns"} of numbers;
      ${about.hasTimes ? ` ${fullTime(about.firstMs)} to ${fullTime(about.lastMs)}, every ${span(about.stepMs)}` : " no times: points are one period apart"};
      ${about.label ? ` labels: ${count(about.labelled)} points are anomalous` : " no labels"}.</p>
    <details><summary>First rows</summary><div class="scroll"><table class="small">
      <thead><tr>${names.slice(0, 60).map((name) => html`<th scope="col" class="number">${name}</th>`)}</tr></thead>
      <tbody>${about.preview.map((row) => html`<tr>${row.slice(0, 60).map((value) => html`<td class="number">${Number.isNaN(value) ? "" : number(value)}</td>`)}</tr>`)}</tbody>
    </table></div></details>
  </div>`;
}

/** Which column is which dimension. */
function Mapping({ model, about, places, assign, isRunning }) {
  const used = new Set(places), extra = about.names.filter((_, at) => !used.has(at));
  const isPlain = places.every((place, at) => place >= 0 && about.names[place] === model.dimensions[at]);
  const isByOrder = !about.hasNames && places.every((place, at) => place === at);
  const found = places.filter((place) => place >= 0).length;
  const said = isPlain ? `All ${model.dimensions.length} dimensions are columns of the file`
    : isByOrder ? `The file has no names: its ${places.length} columns are taken in the order of the bundle`
    : `${found} of ${model.dimensions.length} dimensions have a column`;
  return html`<details open=${!isPlain && !isByOrder}>
    <summary>${said}${extra.length ? `; ignored: ${some(extra, 4)}` : ""}</summary>
    <div class="mapping">${model.dimensions.map((name, at) => html`<label key=${name} title=${name} class=${places[at] < 0 ? "lacks" : ""}><span>${name}</span>
      <select value=${places[at] < 0 ? "" : about.names[places[at]]} disabled=${isRunning} aria-label=${`Column of ${name}`} onChange=${(event) => assign(name, event.target.value)}>
        <option value="">no column</option>${about.names.map((column) => html`<option value=${column}>${column}</option>`)}
      </select></label>`)}</div>
  </details>`;
}
