// A series of one's own: drop a file, choose bundle and columns, see what is found in it.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { ask } from "../lib/api.js";
import { Series } from "../lib/series.js";
import { Faults } from "./faults.js";
import { Chosen } from "./provide/chosen.js";
import { Drop, Forms } from "./provide/drop.js";

export function Provide({ query }) {
  const [models, setModels] = useState(null), [file, setFile] = useState(null);
  const [series, setSeries] = useState(null), [about, setAbout] = useState(null);
  const [bytes, setBytes] = useState(0), [fault, setFault] = useState(null);
  const latest = useRef(null);
  useEffect(() => () => latest.current?.close(), []);

  const read = async (chosen, part = null) => {
    latest.current?.close();
    const own = new Series(), isLatest = () => latest.current === own;
    latest.current = own;
    setFile(chosen);
    setSeries(own);
    setAbout(null);
    setModels(null); // another version may be in force by now
    setFault(null);
    setBytes(0);
    try {
      const found = await own.read(chosen, { part, onBytes: (count) => isLatest() && setBytes(count) });
      if (isLatest()) setAbout(found);
      const loaded = await ask("/v1/models");
      if (isLatest()) setModels(loaded);
    } catch (problem) {
      if (isLatest()) setFault(problem);
    }
  };
  return html`<div class="stack">
    <div><h1>Provide a series</h1>
      <p class="soft">Bring a file of one entity, and see what a bundle finds in it: marks, incidents and their causes,
        and how good they are if the file has labels. Nothing is kept by the service, and nobody is alerted.</p></div>
    <${Drop} take=${read} isSmall=${Boolean(file)} />
    ${file && !about && !fault && html`<section class="card" role="status"><p>Reading ${file.name} …</p>
      <progress value=${bytes} max=${file.size} aria-label="Reading the file"></progress></section>`}
    ${fault && html`<${Faults} fault=${fault}
      title=${`${about ? "The list of bundles" : file.name} cannot be read`} />`}
    ${!file && html`<${Forms} />`}
    ${about && models && html`<${Chosen} key=${`${file.name}/${about.part}/${file.lastModified}/${file.size}`}
      file=${file} series=${series} about=${about} models=${models} query=${query}
      other=${(part) => read(file, part)} />`}
  </div>`;
}
