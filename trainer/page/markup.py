"""The markup of the report page: a document, its style, and the few elements it is made of.

Everything given as text is escaped; what is called `body` is markup already.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from trainer.pictures.ink import VARIABLES

LIGHT = " ".join(f"{variable}: {color};" for color, variable in VARIABLES.items())
STYLE = (
    f"\n:root {{ {LIGHT} }}"
    + """
:root { color-scheme: light dark; --paper: #ffffff; --quiet: #59616b; --line: #d5d9de;
  --panel: #f4f6f8; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e7eaee; --quiet: #a7afb9;
  --faint: #79828d; --line: #363c44; --panel: #1d2127; --link: #8cc0ff;
  --true: #7db7f5; --model: #f2a444; --alarm: #ff7a9c; --label: #37344f; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 66rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0.5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 3rem 0 0.5rem; border-top: 1px solid var(--line);
  padding-top: 1.2rem; }
h3 { font-size: 1.1rem; margin: 2rem 0 0.4rem; overflow-wrap: anywhere; }
p, li, dd { max-width: 46rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.lead { font-size: 1.1rem; }
.quiet, figcaption { color: var(--quiet); font-size: 0.92rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; list-style: none; padding: 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 0.8rem;
  margin: 1.2rem 0; padding: 0; }
.facts div { background: var(--panel); border-radius: 6px; padding: 0.7rem 0.9rem; }
.facts dt { color: var(--quiet); font-size: 0.9rem; }
.facts dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; }
.picture { overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 38rem; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption { max-width: 46rem; margin-top: 0.3rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
td.text, tbody th { white-space: normal; min-width: 7rem; max-width: 28rem;
  overflow-wrap: anywhere; }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
th:first-child, th.text, td.text { text-align: left; }
tbody th { font-weight: 400; }
td.own, th.own { font-weight: 700; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--link); }
dl.terms dt { font-weight: 600; margin-top: 0.6rem; }
dl.terms dd { margin: 0; }
code { font-size: 0.92em; overflow-wrap: anywhere; }
@media print { body { max-width: none; } }
"""
)


def document(title: str, body: str) -> str:
    """A page that needs nothing but itself; whatever would load more is forbidden."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{body}</body>\n</html>\n"
    )


def section(name: str, title: str, *bodies: str) -> str:
    """A section that can be linked to by `name`."""
    inner = "".join(bodies)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{escape(title)}</h2>\n{inner}</section>\n'
    )


def heading(title: str) -> str:
    """Of a part of a section."""
    return f"<h3>{escape(title)}</h3>\n"


def paragraph(text: str, *, kind: str = "") -> str:
    """A paragraph of text; nothing where there is none."""
    if not text:
        return ""
    return f"<p{_class(kind)}>{escape(text)}</p>\n"


def figure(svg: str, caption: str) -> str:
    """A picture, which carries its own alternative text, and its caption."""
    return (
        f'<figure>\n<div class="picture">{svg}</div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>\n"
    )


def table(
    title: str,
    head: Sequence[str],
    lines: Iterable[Sequence[str]],
    *,
    own: str = "",
    texts: Sequence[str] = (),
) -> str:
    """A table that scrolls by itself; columns are numbers unless among `texts`, `own` is bold."""
    kinds = ["own" if name == own else "text" if name in texts else "" for name in head]
    columns = "".join(
        f'<th scope="col"{_class(kind)}>{escape(name)}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(line[0])}</th>'
        + "".join(
            f"<td{_class(kind)}>{escape(cell)}</td>"
            for cell, kind in zip(line[1:], kinds[1:], strict=True)
        )
        + "</tr>\n"
        for line in lines
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(title)}">\n<table>\n'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )


def facts(pairs: Mapping[str, str]) -> str:
    """A few figures at a glance."""
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n"
        for name, value in pairs.items()
    )
    return f'<dl class="facts">\n{items}</dl>\n' if items else ""


def terms(title: str, pairs: Mapping[str, str]) -> str:
    """Words and their meanings, behind a line to open."""
    items = "".join(
        f"<dt>{escape(name)}</dt>\n<dd>{escape(meaning)}</dd>\n" for name, meaning in pairs.items()
    )
    return folded(title, f'<dl class="terms">\n{items}</dl>\n') if items else ""


def folded(title: str, body: str) -> str:
    """What is there for those who ask."""
    return f"<details>\n<summary>{escape(title)}</summary>\n{body}</details>\n"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
