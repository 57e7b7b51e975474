// Bundles: what is in force, how good it was when it was made, and putting another version in force.

import { html, useEffect, useState } from "../lib/html.js";
import { ask, segment } from "../lib/api.js";
import { Trouble, useAsked } from "../lib/asked.js";
import { Confirm } from "../lib/confirm.js";
import { count, number, span } from "../lib/format.js";
import { href, put } from "../lib/route.js";
import { plain } from "../lib/words.js";
import { Assignments } from "./assignments.js";
import { Floors, Numbers, compared, short, summary } from "./floors.js";
import { Report } from "./report.js";
import { Shadow } from "./shadow.js";

const IN_LIST = 3; // measures of a bundle among the others
const MOST_VERSIONS = 40; // of which details are asked for

export function Models({ name, query }) {
  return name ? html`<${One} name=${name} query=${query} />` : html`<${All} />`;
}

function All() {
  const { answer: models, problem } = useAsked("/v1/models");
  if (problem) return html`<h1>Models</h1><${Trouble} problem=${problem} />`;
  if (!models) return html`<h1>Models</h1><p class="blank" role="status">Loading …</p>`;
  return html`<div class="stack">
    <h1>Models</h1>
    <p class="soft">Bundles that score points now, with how well each did on labelled points when it was made.</p>
    <div class="cards">${models.map((model) => html`<${Card} model=${model} key=${model.name} />`)}</div>
    <${Assignments} bundles=${models.map((model) => model.name)} />
  </div>`;
}

function Card({ model }) {
  const { answer: state } = useAsked(`/v1/models/${segment(model.name)}`);
  const others = state ? state.versions.length - 1 : 0;
  return html`<article class="card stack" aria-labelledby=${`bundle-${model.name}`}>
    <div class="row apart">
      <h2 id=${`bundle-${model.name}`}><a href=${href("models", model.name)}>${model.name}</a></h2>
      <span class="row">${model.is_default && html`<span class="tag"
        title="scores entities that no bundle was trained on">default</span>`}
        ${state?.shadow && html`<span class="tag" title=${`${state.shadow} scores silently`}>has a
          shadow</span>`}</span>
    </div>
    <p><b>${model.model}</b> <code>${model.version}</code>${others > 0 && html`<span
      class="soft"> · ${count(others)} other ${others > 1 ? "versions" : "version"} in the folder</span>`}</p>
    <${Facts} model=${model} />
    <${Floors} metrics=${model.metrics} most=${IN_LIST} />
    <p class="row"><a class="button" href=${href("models", model.name)}>Versions and shadow</a>
      <a class="button" href=${href("models", model.name, { report: model.version })}>Report</a></p>
  </article>`;
}

function Facts({ model }) {
  const { period_seconds: period } = model;
  return html`<dl class="facts">
    <div><dt>trained on</dt><dd>${count(model.entities)} ${model.entities === 1 ? "entity" : "entities"}</dd></div>
    <div><dt>one point every</dt><dd>${lasting(period)}</dd></div>
    <div><dt>window</dt><dd>${points(model.window_length, period)}</dd></div>
    <div><dt title="points an entity needs before it is judged">warm-up</dt>
      <dd>${points(model.memory_horizon, period)}</dd></div>
    <div><dt title="false incidents per entity and day">budget</dt>
      <dd>${number(model.false_alarm_budget)} false a day</dd></div>
    <div><dt>made</dt><dd>${model.created_at ? day(model.created_at) : "unknown"}</dd></div>
    <div class="whole"><dt class="unseen">dimensions</dt><dd><${Dimensions} names=${model.dimensions} /></dd></div>
  </dl>`;
}

function Dimensions({ names }) {
  return html`<details><summary>${count(names.length)} dimensions</summary>
    <p class="small">${names.map((dimension, at) => html`${at > 0 && ", "}<span
      title=${dimension}>${plain(dimension)}</span>`)}</p></details>`;
}

const lasting = (seconds) => (seconds < 1.5 && seconds !== 1 ? `${number(seconds)} s` : span(1000 * seconds));
const points = (many, period) => `${count(many)} points (${lasting(many * period)})`;
const day = (text) => new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(text));

function One({ name, query }) {
  const { answer: state, problem, again } = useAsked(`/v1/models/${segment(name)}`);
  const versions = useVersions(name, state);
  const [question, setQuestion] = useState(null); // { kind, version }
  const [done, setDone] = useState("");
  if (problem) return html`<div class="stack"><${Back} /><h1>${name}</h1><${Trouble} problem=${problem} /></div>`;
  if (!state) return html`<p class="blank" role="status">Loading …</p>`;
  const active = versions.get(state.active);
  const ended = (isDone) => {
    if (isDone) setDone(DONE[question.kind](question.version));
    setQuestion(null);
    if (isDone) again();
  };
  return html`<div class="stack">
    <${Back} />
    <div class="row apart"><h1>${name}</h1>
      <button disabled=${!state.before.length}
        title=${state.before.length ? "" : "no version was in force before this one"}
        onClick=${() => setQuestion({ kind: "rollback", version: state.before.at(-1) })}>Roll back …</button></div>
    ${done && html`<p class="note good" role="status">${done}</p>`}
    ${active?.model && html`<section class="card stack" aria-labelledby="active-title">
      <h2 id="active-title">In force: ${active.model} <code>${state.active}</code></h2>
      <${Facts} model=${active} />
      ${compared(active.metrics).length > 0 && html`<h3>On labelled points it
        is ${summary(compared(active.metrics))}</h3>`}
      <${Floors} metrics=${active.metrics} />
      <${Served} model=${active} />
      <${Numbers} metrics=${active.metrics} />
    </section>`}
    <${Versions} state=${state} versions=${versions} shown=${query.report} ask=${setQuestion} />
    ${state.shadow && html`<${Shadow} name=${name} version=${state.shadow} onChange=${again} />`}
    ${query.report && html`<section class="card stack" aria-labelledby="report-title">
      <div class="row apart"><h2 id="report-title">Report of <code>${query.report}</code></h2>
        <button onClick=${() => put({ report: null })}>Close the report</button></div>
      <${Report} name=${name} version=${query.report} key=${query.report} />
    </section>`}
    ${question && html`<${Question} name=${name} state=${state} versions=${versions} question=${question}
      onEnd=${ended} />`}
  </div>`;
}

const DONE = {
  activate: (version) => `${version} is in force; entities go over with their next point.`,
  rollback: (version) => `${version} is in force again; entities go over with their next point.`,
  shadow: (version) => `${version} scores silently from now on.`,
};

const Back = () => html`<p><a href=${href("models")}>All models</a></p>`;

/** Details of every version in the folder, by version; `{ problem }` where it cannot be read. */
function useVersions(name, state) {
  const [known, setKnown] = useState(new Map());
  const wanted = state ? [...new Set([state.active, ...state.versions])].slice(0, MOST_VERSIONS).join(" ") : "";
  useEffect(() => {
    let isOver = false;
    const one = (version) => ask(`/v1/models/${segment(name)}/${segment(version)}`).catch((problem) => ({ problem }));
    const all = wanted.split(" ").filter(Boolean);
    Promise.all(all.map(one)).then((found) => {
      if (!isOver) setKnown(new Map(found.map((details, at) => [all[at], details])));
    });
    return () => (isOver = true);
  }, [name, wanted]);
  return known;
}

/** What the threshold that serves did on the labelled points. */
function Served({ model }) {
  const own = model.metrics.bundle || {};
  if (own.false_episodes_per_day === undefined) return null;
  const delay = own.median_delay_points;
  return html`<p>At the threshold that serves it raised ${number(own.false_episodes_per_day)} false alarms per entity
    and day (${number(model.false_alarm_budget)} are promised)${delay !== undefined && html`, and found an event after
    ${" "}${number(delay)} points, ${lasting(delay * model.period_seconds)}, at the median`}.</p>`;
}

function Versions({ state, versions, shown, ask: question }) {
  const made = (version) => versions.get(version)?.created_at || "";
  const newest = (one, other) => made(other).localeCompare(made(one)) || one.localeCompare(other);
  const order = [...state.versions].sort(newest);
  return html`<section class="card" aria-labelledby="versions-title">
    <h2 id="versions-title">Versions in the folder</h2>
    <div class="scroll"><table class="versions" aria-label="Versions">
      <thead><tr><th scope="col">version</th><th scope="col">model</th><th scope="col">made</th>
        <th scope="col" class="number" title="average precision on labelled points; more is better">ranks odd points
          first</th>
        <th scope="col" class="number" title="share of labelled events">events found</th><th scope="col">beside its
          floors</th>
        <th scope="col">actions</th></tr></thead>
      <tbody>${order.map((version) => html`<${Version} key=${version} version=${version} state=${state}
        details=${versions.get(version)} isShown=${shown === version} ask=${question} />`)}</tbody>
    </table></div>
    ${order.length === 1 && html`<p class="small soft">Another version appears here when its folder lies beside this
      one: ${" "}<code>gaugewatch-trainer fit --output … --name ${state.name}</code></p>`}
  </section>`;
}

function Version({ version, state, details, isShown, ask: question }) {
  const lines = details?.metrics ? compared(details.metrics) : [], own = details?.metrics?.bundle || {};
  const isActive = version === state.active, isShadow = version === state.shadow;
  return html`<tr>
    <th scope="row"><code>${version}</code> ${isActive && html`<span class="tag good">in force</span>`}
      ${isShadow && html`<span class="tag">shadow</span>`}${version === state.before.at(-1) && html` <span class="tag"
        title="a rollback goes to it">before</span>`}</th>
    <td>${details?.problem ? html`<span class="bad-text">${details.problem.message}</span>` : details?.model ||
      "…"}</td>
    <td class="nowrap">${details?.created_at ? day(details.created_at) : "–"}</td>
    <td class="number">${short(own.average_precision)}</td>
    <td class="number">${short(own.event_recall)}</td>
    <td>${lines.length ? tones(lines) : "–"}</td>
    <td><span class="row">
      <button onClick=${() => put({ report: isShown ? null : version })} aria-pressed=${isShown ? "true" : "false"}
        aria-label=${`Report of ${version}`}>Report</button>
      ${!isActive && html`<button onClick=${() => question({ kind: "activate", version })}
        class="nowrap" aria-label=${`Activate ${version}`}>Activate …</button>
        ${!isShadow && html`<button onClick=${() => question({ kind: "shadow", version })}
          aria-label=${`Shadow ${version}`}>Shadow …</button>`}`}
    </span></td>
  </tr>`;
}

function tones(lines) {
  const of = (tone) => lines.filter((line) => line.tone === tone).length;
  return html`<span class="row nowrap" title=${`${summary(lines)}`}>
    <span class="tag good">${of("good")} above</span>
    ${of("warn") > 0 && html`<span class="tag warn">${of("warn")} equal</span>`}
    ${of("bad") > 0 && html`<span class="tag bad">${of("bad")} below</span>`}</span>`;
}

function Question({ name, state, versions, question, onEnd }) {
  const { kind, version } = question;
  const place = `/v1/models/${segment(name)}`;
  const ways = {
    activate: () => ask(`${place}/activate`, { method: "POST", json: { version } }),
    rollback: () => ask(`${place}/rollback`, { method: "POST" }),
    shadow: () => ask(`${place}/shadow`, { method: "PUT", json: { version } }),
  };
  const titles = { activate: `Activate ${version}?`, rollback: `Roll back to ${version}?`,
    shadow: `Let ${version} score silently?` };
  const actions = { activate: "Activate", rollback: "Roll back", shadow: "Start the shadow" };
  return html`<${Confirm} title=${titles[kind]} action=${actions[kind]} isGrave=${kind !== "shadow"} act=${ways[kind]}
    onEnd=${onEnd}>
    ${kind === "shadow" ? html`<${SaysShadow} state=${state} />` : html`<${SaysChange} state=${state}
      versions=${versions} version=${version} />`}
  <//>`;
}

function SaysShadow({ state }) {
  return html`<ul class="plainly">
    <li>It scores the points that <code>${state.active}</code> has just scored, after their answers are out, and
      writes nothing: no entity, incident or alert changes.</li>
    <li>It warms up as a new entity would, and takes as much CPU time as if it were active.</li>
    ${state.shadow && html`<li>The shadow <code>${state.shadow}</code> ends, and what was compared with it is
      forgotten.</li>`}
    <li>It is opened and tried first; if it is refused, nothing changes.</li>
  </ul>`;
}

function SaysChange({ state, versions, version }) {
  const now = versions.get(state.active)?.dimensions, then = versions.get(version)?.dimensions;
  const isOther = now && then && now.join("\n") !== then.join("\n");
  return html`<p>It takes the place of <code>${state.active}</code> on all replicas.</p>
    ${isOther
      ? html`<ul class="plainly"><li class="bad-text"><b>It has other dimensions:</b> its entities start anew and warm
        up.</li>
          <li>Their open incidents are resolved (abandoned), and points that wait are dropped.</li></ul>`
      : html`<ul class="plainly">
          <li>Every entity goes over with its next point. It does not warm up again: its window goes over.</li>
          <li>Open incidents stay open; the new version resolves them. Of entities that it was not trained on they are
            resolved at once, unless their policy asks for alerts.</li>
          <li>What is normal is learnt anew from the calibration of that version.</li></ul>`}
    ${state.shadow && html`<p>If the shadow <code>${state.shadow}</code> is the version that is put in force, it ends
      as a shadow.</p>`}
    <p class="small soft">It must lie in the folder of every replica. A version that is activated is opened and tried
      first; if it is refused, nothing changes. A rollback undoes this.</p>`;
}
