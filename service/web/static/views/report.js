// The report of a version, in a frame that can run nothing.
//
// The key is a header, so the frame cannot ask for the page itself: we do, and hand it over as
// text. A frame made of text has our own policy, under which no style of the text holds; its
// styles are therefore given as objects, which only we can do. `sandbox` without `allow-scripts`
// keeps every script of a report from running, whatever else may be in it.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { ask, segment } from "../lib/api.js";
import { Trouble } from "../lib/asked.js";
import { onTheme } from "../lib/theme.js";

export function Report({ name, version }) {
  const frame = useRef(null), styles = useRef(null);
  const [text, setText] = useState(null), [problem, setProblem] = useState(null);
  useEffect(() => {
    const abort = new AbortController();
    fetched(name, version, abort.signal).then(
      (found) => {
        styles.current = found;
        setText(found.text);
      },
      (refusal) => refusal.name !== "AbortError" && setProblem(refusal),
    );
    return () => abort.abort();
  }, [name, version]);
  const dress = () => {
    if (!frame.current?.contentDocument) return;
    dressed(frame.current.contentDocument, styles.current);
    frame.current.closest("section").scrollIntoView({ block: "start" });
  };
  useEffect(() => onTheme(() => frame.current?.contentDocument && themed(frame.current.contentDocument)), []);
  if (problem?.code === "unknown_report") {
    return html`<p class="note">This version has no report in its folder: ${problem.message}. One is written by${" "}
      <code>gaugewatch-trainer report</code>.</p>`;
  }
  if (problem) return html`<${Trouble} problem=${problem} />`;
  if (text === null) return html`<p class="soft" role="status">Loading the report …</p>`;
  return html`<iframe ref=${frame} class="report" sandbox="allow-same-origin" title=${`Report of ${name} ${version}`}
    srcdoc=${text} onLoad=${dress}></iframe>`;
}

async function fetched(name, version, signal) {
  const answer = await ask(`/v1/models/${segment(name)}/${segment(version)}/report`, { raw: true, signal });
  return undressed(await answer.text());
}

const STYLE_ELEMENT = /<style\b[^>]*>([\s\S]*?)<\/style>/gi;
const LINK_INSIDE = /(\shref=")#/gi; // would else lead to this page, as the frame has no address of its own
const STYLE_ATTRIBUTE = /(<[^<>]*?)\sstyle="([^"]*)"/gi;

/** The text without its styles, which our policy would refuse, and these by themselves. */
function undressed(page) {
  const sheets = [], own = [];
  const text = page
    .replace(LINK_INSIDE, "$1about:srcdoc#")
    .replace(STYLE_ELEMENT, (_, sheet) => {
      sheets.push(sheet);
      return "";
    })
    .replace(STYLE_ATTRIBUTE, (_, before, style) => {
      own.push(style);
      return `${before} data-style="${own.length - 1}"`;
    });
  return { text, sheets, own };
}

function dressed(inside, { sheets, own }) {
  const Sheet = inside.defaultView.CSSStyleSheet;
  inside.adoptedStyleSheets = sheets.map((text) => {
    const sheet = new Sheet();
    sheet.replaceSync(text);
    return sheet;
  });
  for (const element of inside.querySelectorAll("[data-style]")) {
    element.style.cssText = own[Number(element.dataset.style)] || "";
  }
  themed(inside);
}

/** As the page is, not as the system is, where the report leaves the choice. */
function themed(inside) {
  inside.documentElement.style.colorScheme = document.documentElement.dataset.theme;
}
