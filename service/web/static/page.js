// The shell: top line, navigation, the key, and which view is open.

import { html, render, useEffect, useRef, useState } from "./lib/html.js";
import { key, onLackOfKey } from "./lib/api.js";
import { href, useRoute } from "./lib/route.js";
import { apply, choose, chosen } from "./lib/theme.js";
import { fleet, useFleet } from "./lib/fleet.js";
import { Fleet } from "./views/fleet.js";

const VIEWS = [
  ["fleet", "Fleet"],
  ["example", "Example"],
  ["provide", "Provide"],
  ["models", "Models"],
  ["promise", "Alarm promise"],
];
const KEY_FORM = /^[\w.~-]+$/; // what fits a header and a subprotocol
const TITLES = { __proto__: null, ...Object.fromEntries(VIEWS) };
// what an operator does not need at once is loaded when it is opened
const LATER = {
  __proto__: null, // an address may name anything
  entity: () => import("./views/entity.js").then((m) => m.Entity),
  example: () => import("./views/example.js").then((m) => m.Example),
  provide: () => import("./views/provide.js").then((m) => m.Provide),
  models: () => import("./views/models.js").then((m) => m.Models),
  promise: () => import("./views/promise.js").then((m) => m.Promised),
};

function Page() {
  const route = useRoute();
  const [isLacking, setLacking] = useState(false);
  const open = useFleet((all) => all.open.size);
  useEffect(() => onLackOfKey(() => setLacking(true)), []);
  useEffect(() => {
    const place = route.name || TITLES[route.view];
    document.title = `${open ? `(${open}) ` : ""}${place ? `${place} · ` : ""}Gaugewatch`;
  }, [route.view, route.name, open]);
  useArrival(route);
  return html`
    <a class="skip" href="#main" onClick=${toMain}>Skip to the content</a>
    <${Top} route=${route} />
    <main id="main" tabindex="-1">
      ${isLacking ? html`<${KeyForm} />` : html`<${View} route=${route} />`}
    </main>`;
}

/** Another view begins at its top, and whoever listens or walks by keys is there. */
function useArrival({ view, name }) {
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) {
      scrollTo(0, 0);
      document.getElementById("main").focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [view, name]);
}

function toMain(event) {
  event.preventDefault(); // the part behind # is the address of the view
  document.getElementById("main").focus();
}

function Top({ route }) {
  const { line, open } = useFleet((all) => ({ line: all.line, open: all.open.size }));
  const current = route.view === "entity" ? "fleet" : route.view;
  return html`<header class="top">
    <a class="brand" href="#/fleet"><img src="/static/icon.svg" alt="" />Gaugewatch</a>
    <nav aria-label="Views">
      ${VIEWS.map(([view, title]) => html`
        <a href=${href(view)} aria-current=${view === current ? "page" : null}>${title}</a>`)}
      <a href="/docs">API</a>
    </nav>
    <div class="right">
      <span class="line ${line === "live" ? "live" : ""}" role="status">
        ${line === "live" ? "live" : "reconnecting"}${open
          ? ` · ${open} open ${open === 1 ? "incident" : "incidents"}` : ""}
      </span>
      <${ThemeChoice} />
    </div>
  </header>`;
}

function ThemeChoice() {
  const [theme, setTheme] = useState(chosen);
  const pick = (event) => {
    choose(event.target.value);
    setTheme(event.target.value);
  };
  return html`<select aria-label="Theme" value=${theme} onChange=${pick}>
    <option value="system">System</option><option value="light">Light</option><option value="dark">Dark</option>
  </select>`;
}

function View({ route }) {
  const [loaded, setLoaded] = useState({ __proto__: null, fleet: Fleet });
  const [failed, setFailed] = useState(null), [turn, setTurn] = useState(0);
  const load = LATER[route.view];
  useEffect(() => {
    if (!load || loaded[route.view]) return;
    setFailed(null);
    load().then(
      (view) => setLoaded((all) => ({ __proto__: null, ...all, [route.view]: view })),
      () => setFailed(route.view),
    );
  }, [route.view, turn]);
  const Shown = loaded[route.view];
  if (Shown) return html`<${Shown} key=${`${route.view}/${route.name}`} name=${route.name} query=${route.query} />`;
  if (load && failed !== route.view) return html`<p class="blank" role="status">Loading …</p>`;
  if (load) {
    return html`<div class="blank stack" role="alert">
      <div><h2>This view could not be loaded</h2><p>The service cannot be reached, or has another version now.</p></div>
      <p class="row centred"><button onClick=${() => setTurn(turn + 1)}>Try again</button>
        <button onClick=${() => location.reload()}>Reload the page</button></p></div>`;
  }
  return html`<div class="blank"><h2>Nothing is here</h2><p><a href="#/fleet">Back to the fleet</a></p></div>`;
}

function KeyForm() {
  const [text, setText] = useState("");
  const [isStrange, setStrange] = useState(false);
  const enter = (event) => {
    event.preventDefault();
    const isKey = KEY_FORM.test(text.trim());
    setStrange(!isKey);
    if (!isKey) return;
    key.set(text.trim());
    location.reload();
  };
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  return html`<form class="card stack blank key-form" onSubmit=${enter}>
    <h2>This service wants a key</h2>
    <p>It stays in this tab and is sent to this service alone.</p>
    <p class="row" style=${{ justifyContent: "center" }}>
      <input ref=${field} type="password" autocomplete="off" aria-label="Key" value=${text}
        onInput=${(event) => setText(event.target.value)} />
      <button class="first">Enter</button>
    </p>
    ${isStrange ? html`<p class="note bad" role="alert">A key has letters, digits and . _ ~ - alone.</p>`
      : key.get() && html`<p class="note bad" role="alert">The key of this tab is not known here.</p>`}
  </form>`;
}

apply();
fleet.start();
const place = document.getElementById("page");
place.replaceChildren(); // what stood there until this ran
render(html`<${Page} />`, place);
