// Where a file is dropped or chosen, and what it may look like.

import { html, useEffect, useRef, useState } from "../../lib/html.js";

const JSON_FORM = '{"dataSetName": "pump", "graphs": [{"label": "flow", "data": [{"x": 0, "y": 1.5}]}]}';

/** `take(file)`; the whole window is the place, or a file beside it would be opened instead of the page. */
export function Drop({ take, isSmall }) {
  const [isOver, setOver] = useState(false), latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    const over = (event) => {
      event.preventDefault();
      setOver(event.type === "dragover");
      const file = event.type === "drop" && event.dataTransfer?.files[0];
      if (file) latest.current(file);
    };
    const kinds = ["dragover", "dragleave", "drop"];
    for (const kind of kinds) addEventListener(kind, over);
    return () => kinds.forEach((kind) => removeEventListener(kind, over));
  }, []);
  const choose = (event) => {
    const [file] = event.target.files;
    event.target.value = ""; // the same file may be chosen again
    if (file) take(file);
  };
  return html`<section class=${`card drop ${isOver ? "over" : ""} ${isSmall ? "less" : ""}`} aria-label="File">
    <p class="strong">${isSmall ? "Another file: drop it here" : "Drop a CSV, NPZ or time-series JSON file here"}</p>
    <label class="button">or choose a file
      <input class="unseen" type="file" accept=".csv,.tsv,.txt,.npz,.json" onChange=${choose} /></label>
  </section>`;
}

export function Forms() {
  return html`<section class="card stack small">
    <h2>What a file looks like</h2>
    <dl class="forms">
      <dt>CSV</dt>
      <dd>A header with the names of the dimensions, one row a point. A column <code>timestamp</code>${" "}
        (or <code>time</code>, <code>date</code>, <code>ts</code>, …) holds Unix seconds, milliseconds or
        ISO 8601; <code>label</code> holds 0 or 1; an empty cell is a missing value. Other columns are ignored.</dd>
      <dt>NPZ</dt>
      <dd>An array <code>test</code>, <code>values</code> or <code>data</code> (time, dimension);
        ${" "}<code>label</code>, <code>timestamps</code> and <code>dimensions</code> (names) may stand beside it.</dd>
      <dt>JSON</dt>
      <dd><code>${JSON_FORM}</code>: one graph a dimension.</dd>
    </dl>
    <p class="soft">No file at hand? <code>gaugewatch simulate --output fleet --csv fleet-csv</code> writes some,
      and <a href="#/example">Example</a> has series ready.</p>
  </section>`;
}
