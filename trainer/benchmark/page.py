"""The page: `index.html` and its pictures; it needs nothing but its folder."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from trainer.benchmark.bench import Bench
from trainer.benchmark.disk import write_whole
from trainer.benchmark.exhibit import FOLDER, Exhibit, Picture
from trainer.benchmark.pictures import MAIN, draw
from trainer.benchmark.results import RunResult
from trainer.benchmark.sheets import TITLES
from trainer.benchmark.summary import SuiteSummary, Summary
from trainer.tables import cell

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
nav a { margin-right: 1rem; }
figure { margin: 1.5rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; padding: 6px;
  box-sizing: border-box; }
figcaption, .quiet { opacity: 0.75; font-size: 0.9em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.8rem 0.2rem 0; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; }
.default { font-weight: 600; }
.floor { font-style: italic; opacity: 0.75; }
"""


def write_page(output: Path, runs: Sequence[RunResult], summary: Summary, *, bench: Bench) -> Path:
    """Draw every picture anew and write the page around them."""
    for old in (output / FOLDER).glob("*.png"):
        old.unlink()
    sections = []
    for name, suite in summary.suites.items():
        own = [run for run in runs if run.suite == name]
        exhibit = Exhibit(output, name, suite, own, bench.default, bench.others())
        sections.append(_section(exhibit, draw(exhibit)))
    links = "".join(
        f'<a href="#{escape(name)}">{escape(suite.title)}</a>\n'
        for name, suite in summary.suites.items()
    )
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Detection benchmark</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<h1>Detection benchmark</h1>\n"
        '<p>Tables: <a href="benchmark.md">benchmark.md</a>, <a href="benchmark.json">'
        'benchmark.json</a>, by entity: <a href="entities.csv">entities.csv</a>.</p>\n'
    )
    path = output / "index.html"
    page = f"{head}<nav>\n{links}</nav>\n{''.join(sections)}</body>\n</html>\n"
    write_whole(path, page.encode())
    return path


def _section(exhibit: Exhibit, pictures: Sequence[Picture]) -> str:
    suite = exhibit.summary
    figures = "".join(
        f'<figure>\n<img src="{escape(one.path)}" alt="{escape(one.caption)}" loading="lazy">\n'
        f"<figcaption>{escape(one.caption)}</figcaption>\n</figure>\n"
        for one in pictures
    )
    shown = "; the table shows means over the untuned ones" if suite.untuned else ""
    return (
        f'<section id="{escape(exhibit.name)}">\n<h2>{escape(suite.title)}</h2>\n'
        f'<p class="quiet">{suite.entities} entities, {suite.untuned} untuned{shown}. '
        f"{escape(suite.source)}</p>\n{_table(suite, default=exhibit.default)}{figures}</section>\n"
    )


def _table(suite: SuiteSummary, *, default: str) -> str:
    """The main measures, on the untuned entities where there are any."""
    means = {row: one.untuned or one.all for row, one in suite.rows.items()}
    shown = [name for name in MAIN if any(name in one for one in means.values())]
    head = "".join(f"<th>{escape(TITLES[name])}</th>" for name in shown)
    lines = []
    for row, one in means.items():
        kind = "default" if row == default else "floor" if suite.rows[row].is_floor else "other"
        values = (one[name].mean if name in one else None for name in shown)
        cells = "".join(f"<td>{cell(value)}</td>" for value in values)
        title = escape(suite.rows[row].title)
        lines.append(f'<tr class="{kind}"><td>{title}</td>{cells}</tr>\n')
    return (
        f'<div class="wide">\n<table>\n<thead><tr><th>row</th>{head}</tr></thead>\n<tbody>\n'
        f"{''.join(lines)}</tbody>\n</table>\n</div>\n"
    )
