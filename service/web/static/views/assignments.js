// Which bundle scores which entity: shown in the order it is decided, edited as a whole.

import { html, useState } from "../lib/html.js";
import { ask } from "../lib/api.js";
import { Trouble, useAsked } from "../lib/asked.js";
import { Confirm } from "../lib/confirm.js";
import { list } from "../lib/words.js";

const PLACE = "/v1/assignments";
const MOST_CHARACTERS = 200;

export function Assignments({ bundles }) {
  const { answer, etag, problem, again } = useAsked(PLACE);
  const [draft, setDraft] = useState(null); // { etag, known, default, patterns, entities } while editing
  const [saved, setSaved] = useState(false);
  const begin = () => {
    setSaved(false);
    setDraft(drafted(answer, etag));
  };
  const end = (isSaved) => {
    setDraft(null);
    setSaved(isSaved);
    again();
  };
  return html`<section class="card stack" aria-labelledby="assignments-title">
    <div class="row apart"><h2 id="assignments-title">Which bundle scores which entity</h2>
      ${answer && !draft && html`<button onClick=${begin}>Edit assignments</button>`}</div>
    <${Trouble} problem=${problem} />
    ${saved && html`<p class="note good" role="status">Saved; every replica follows within a second.</p>`}
    ${draft
      ? html`<${Editor} draft=${draft} setDraft=${setDraft} bundles=${bundles} onEnd=${end} />`
      : answer && html`<${Shown} answer=${answer} bundles=${bundles} />`}
  </section>`;
}

function Shown({ answer, bundles }) {
  const entities = Object.entries(answer.entities);
  const fallback = answer.default || (bundles.length === 1 ? bundles[0] : null);
  return html`<div class="scroll"><table aria-label="Which bundle scores which entity">
    <caption class="unseen">The first line that fits an entity decides</caption>
    <thead><tr><th scope="col">order</th><th scope="col">entities</th><th scope="col">bundle</th></tr></thead>
    <tbody>
      ${entities.map(([entity, bundle]) => html`<tr><td>1</td><td>${entity}</td><td><${Bundle} name=${bundle}
        bundles=${bundles} /></td></tr>`)}
      ${!entities.length && html`<tr class="soft"><td>1</td>
        <td>single entities: none is assigned</td><td>–</td></tr>`}
      ${answer.patterns.map(({ pattern, bundle }, at) => html`<tr>
        <td>2${answer.patterns.length > 1 ? `.${at + 1}` : ""}</td>
        <td><code>${pattern}</code></td><td><${Bundle} name=${bundle} bundles=${bundles} /></td></tr>`)}
      ${!answer.patterns.length && html`<tr class="soft"><td>2</td><td>patterns of names: there are
        none</td><td>–</td></tr>`}
      <tr><td>3</td><td>entities that a bundle was trained on</td><td>that bundle</td></tr>
      <tr><td>4</td><td>all others</td>
        <td>${fallback ? html`<${Bundle} name=${fallback} bundles=${bundles} />`
          : "none: their points are refused"}</td></tr>
    </tbody>
  </table></div>
  <p class="small soft">The first line that fits decides.</p>`;
}

function Bundle({ name, bundles }) {
  if (bundles.includes(name)) return name;
  return html`${name} <span class="tag warn" title="the next line that fits decides">not in the folder</span>`;
}

const drafted = (answer, etag) => ({
  etag,
  known: answer,
  default: answer.default || "",
  patterns: answer.patterns.map((one) => ({ ...one })),
  entities: Object.entries(answer.entities).map(([entity, bundle]) => ({ entity, bundle })),
});

const documentOf = (draft) => ({
  default: draft.default || null,
  patterns: draft.patterns.map(({ pattern, bundle }) => ({ pattern: pattern.trim(), bundle })),
  entities: Object.fromEntries(draft.entities.map(({ entity, bundle }) => [entity.trim(), bundle])),
});

function Editor({ draft, setDraft, bundles, onEnd }) {
  const [isAsking, setAsking] = useState(false), [isTried, setTried] = useState(false);
  const [moved, setMoved] = useState(null); // what is in force now, where somebody was faster
  const faults = faultsOf(draft, bundles), wanted = documentOf(draft), changes = changesOf(draft.known, wanted);
  const put = (change) => setDraft({ ...draft, ...change });
  const save = async () => {
    try {
      await ask(PLACE, { method: "PUT", json: wanted, headers: { "If-Match": draft.etag } });
    } catch (problem) {
      if (problem.code === "epoch_moved_on") setMoved(problem);
      throw problem;
    }
  };
  const ended = (isDone) => {
    setAsking(false);
    if (isDone) onEnd(true);
  };
  const submit = (event) => {
    event.preventDefault();
    setTried(true);
    if (!faults.size && changes.length) setAsking(true);
  };
  return html`<form class="stack" onSubmit=${submit} novalidate>
    ${moved && html`<div class="note warn row apart" role="alert"><span>Somebody changed the configuration since you
      began to edit; nothing of yours was saved. Begin again from what is in force now.</span>
      <button type="button" onClick=${() => onEnd(false)}>Show what is in force</button></div>`}
    <${Rows} title="1. Single entities" field="entity" label="Entity" hint="node-07" rows=${draft.entities}
      bundles=${bundles}
      faults=${isTried ? faults : new Map()} onChange=${(entities) => put({ entities })} />
    <${Rows} title="2. Patterns, the first that matches" field="pattern" label="Pattern" hint="web-*"
      rows=${draft.patterns} bundles=${bundles}
      faults=${isTried ? faults : new Map()} onChange=${(patterns) => put({ patterns })} isOrdered />
    <label class="field narrow"><span>4. All others that no bundle was trained on (GAUGEWATCH_DEFAULT_BUNDLE overrules
      it at each start)</span>
      <select value=${draft.default} onChange=${(event) => put({ default: event.target.value })}>
        <option value="">
          ${bundles.length === 1 ? `${bundles[0]}, the only bundle` : "none: their points are refused"}</option>
        ${choices(bundles, draft.default)}
      </select></label>
    <p class="row"><button class="first" disabled=${!changes.length}>Save …</button>
      <button type="button" onClick=${() => onEnd(false)}>Cancel</button>
      ${!changes.length && html`<span class="soft">nothing is changed yet</span>`}
      ${isTried && faults.size > 0 && html`<span class="bad-text" role="alert">
        ${faults.size} ${faults.size === 1 ? "row needs" : "rows need"} another look</span>`}</p>
    ${isAsking && html`<${Confirm} title="Save these assignments?" action="Save" act=${save} onEnd=${ended}>
      <ul class="plainly">${changes.map((change) => html`<li>${change}</li>`)}</ul>
      <p>Entities that get another bundle go over with their next point. Where that has other dimensions, they start
        anew and warm up, and what was open of them is resolved (abandoned).</p><//>`}
  </form>`;
}

function Rows({ title, field, label, hint, rows, bundles, faults, onChange, isOrdered = false }) {
  const set = (at, change) => onChange(rows.map((row, i) => (i === at ? { ...row, ...change } : row)));
  const swap = (at, other) => onChange(rows.map((row, i) => (i === at ? rows[other] : i === other ? rows[at] : row)));
  return html`<fieldset><legend>${title}</legend>
    ${rows.map((row, at) => html`<div class="row" key=${at}>
      <input aria-label=${`${label} ${at + 1}`} placeholder=${hint} value=${row[field]} size="24"
        maxlength=${MOST_CHARACTERS}
        aria-invalid=${faults.has(`${field}${at}`) ? "true" : null}
        aria-describedby=${faults.has(`${field}${at}`) ? `${field}-${at}-fault` : null}
        onInput=${(event) => set(at, { [field]: event.target.value })} />
      <span aria-hidden="true">→</span>
      <select aria-label=${`Bundle of ${label.toLowerCase()} ${at + 1}`} value=${row.bundle}
        onChange=${(event) => set(at, { bundle: event.target.value })}>${choices(bundles, row.bundle)}</select>
      ${isOrdered && html`<button type="button" aria-label=${`Move pattern ${at + 1} up`} title="earlier"
        disabled=${at === 0} onClick=${() => swap(at, at - 1)}>↑</button>
        <button type="button" aria-label=${`Move pattern ${at + 1} down`} title="later"
          disabled=${at === rows.length - 1} onClick=${() => swap(at, at + 1)}>↓</button>`}
      <button type="button" aria-label=${`Remove ${label.toLowerCase()} ${at + 1}`}
        onClick=${() => onChange(rows.filter((_, i) => i !== at))}>Remove</button>
      ${faults.has(`${field}${at}`) && html`<span class="bad-text"
        id=${`${field}-${at}-fault`}>${faults.get(`${field}${at}`)}</span>`}
    </div>`)}
    <button type="button" onClick=${() => onChange([...rows, { [field]: "", bundle: bundles[0] }])}>
      Add ${isOrdered ? "a pattern" : "an entity"}</button>
  </fieldset>`;
}

function choices(bundles, chosen) {
  const all = chosen && !bundles.includes(chosen) ? [...bundles, chosen] : bundles;
  return all.map((name) => html`<option value=${name}>
    ${name}${bundles.includes(name) ? "" : " (not in the folder)"}</option>`);
}

/** What is wrong, by field and row. */
function faultsOf(draft, bundles) {
  const faults = new Map(), seen = new Set();
  draft.entities.forEach(({ entity, bundle }, at) => {
    const name = entity.trim();
    if (!name) faults.set(`entity${at}`, "a name is needed");
    else if (seen.has(name)) faults.set(`entity${at}`, "this entity is assigned twice");
    else if (!bundles.includes(bundle)) faults.set(`entity${at}`, "this bundle is not in the folder");
    seen.add(name);
  });
  draft.patterns.forEach(({ pattern, bundle }, at) => {
    if (!pattern.trim()) faults.set(`pattern${at}`, "a pattern is needed, as web-* or db-0[1-9]");
    else if (!bundles.includes(bundle)) faults.set(`pattern${at}`, "this bundle is not in the folder");
  });
  return faults;
}

/** Lines that say what saving changes. */
function changesOf(known, wanted) {
  const said = [];
  if ((known.default || null) !== wanted.default) {
    said.push(`all others: ${known.default || "none"} → ${wanted.default || "none"}`);
  }
  for (const [entity, bundle] of Object.entries(wanted.entities)) {
    const before = Object.hasOwn(known.entities, entity) ? known.entities[entity] : "not assigned";
    if (before !== bundle) said.push(`${entity}: ${before} → ${bundle}`);
  }
  const gone = Object.keys(known.entities).filter((entity) => !Object.hasOwn(wanted.entities, entity));
  if (gone.length) said.push(`no longer assigned: ${list(gone)}`);
  if (JSON.stringify(known.patterns) !== JSON.stringify(wanted.patterns)) {
    const patterns = wanted.patterns.map(({ pattern, bundle }) => `${pattern} → ${bundle}`);
    said.push(patterns.length ? `patterns, in this order: ${patterns.join("; ")}` : "no patterns any more");
  }
  return said;
}
