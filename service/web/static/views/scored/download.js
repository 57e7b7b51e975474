// The result as a file: verdicts and causes as CSV, or the series with its marks as JSON.

import { html, useState } from "../../lib/html.js";
import { save } from "../../lib/api.js";

const MOST_VALUES = 3_000_000; // of a JSON that did not come as one
const USUAL = "With the marks of the threshold above; a score of more than 1 is marked.";

export function Download({ series, decision, name, isRunning }) {
  const [state, setState] = useState(null);
  const { about, verdicts } = series;
  const make = async (form) => {
    setState("busy");
    try {
      save(`${name}-scored.${form}`, await series.save(form, { ...decision, name }));
      setState(null);
    } catch (fault) {
      setState(fault.message);
    }
  };
  const isReady = !isRunning && state !== "busy" && verdicts.have > 0;
  const reason = hindrance(about, verdicts);
  return html`<section class="card row" aria-label="Download">
    <h2>Download</h2>
    <button disabled=${!isReady} onClick=${() => make("csv")}>Verdicts and causes, CSV</button>
    <button disabled=${!isReady || reason} title=${reason} onClick=${() => make("json")}>Marked series, JSON</button>
    <span class="soft small" role="status">${state === "busy" ? "Writing …" : state ?? USUAL}</span>
  </section>`;
}

/** Why there is no JSON; null: there is. */
function hindrance(about, verdicts) {
  if (about.kind !== "json" && about.count * about.names.length > MOST_VALUES) return "too long for JSON: take the CSV";
  return verdicts.have < verdicts.count ? "only of a series that was scored to its end" : null;
}
