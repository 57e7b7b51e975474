"""The sheets: `benchmark.json`, `entities.csv` and `benchmark.md`, the summary for every reader."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

from trainer.benchmark.disk import write_whole
from trainer.benchmark.means import Difference, Mean
from trainer.benchmark.results import RunResult
from trainer.benchmark.summary import RowSummary, SuiteSummary, Summary
from trainer.tables import APPENDIX, MEASURES, cell, markdown

TITLES = {
    **MEASURES,
    **APPENDIX,
    "false_incidents_over_budget": "false incidents/budget",
    "flagged_over_nominal": "flagged/nominal, median",
    "microseconds_per_point": "microseconds/point",
}
GROUPS = {
    "Ranking": (
        *("vus_pr", "vus_pr_file", "average_precision"),
        *("oracle_f1", "oracle_composite_f1"),
    ),
    "Decisions": (
        *("composite_f1", "event_recall", "event_recall_within_5"),
        *("median_delay_points", "p90_delay_points"),
        *("false_episodes_per_day", "false_incidents_over_budget", "flagged_over_nominal"),
    ),
    "Attribution": ("hit_rate_100", "hit_rate_150", "rc_top_3", "ndcg_100"),
    "Cost": ("microseconds_per_point",),
}
BY_MEDIAN = {"flagged_over_nominal"}  # one machine that drifts would decide its mean
COMPARED = ("vus_pr", "average_precision", "composite_f1", "event_recall", "hit_rate_150")
ENTITY_COLUMNS = ("suite", "row", "seed", "entity", "fitted_as", "is_tuning", "points")


def write_sheets(output: Path, runs: Sequence[RunResult], summary: Summary) -> None:
    """Write all three."""
    text = summary.model_dump_json(indent=1) + "\n"
    write_whole(output / "benchmark.json", text.encode())
    write_whole(output / "entities.csv", as_csv(runs).encode())
    write_whole(output / "benchmark.md", as_markdown(summary).encode())


def as_csv(runs: Iterable[RunResult]) -> str:
    """One line per run and entity, one column per measure."""
    runs = list(runs)
    found = {name for run in runs for one in run.entities.values() for name in one.measures}
    measures = [*(name for name in TITLES if name in found), *sorted(found - set(TITLES))]
    text = StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow([*ENTITY_COLUMNS, *measures])
    for run in runs:
        for entity, one in run.entities.items():
            values = (one.measures.get(name, "") for name in measures)
            known = (run.suite, run.row, run.seed, entity, one.fitted_as)
            sheet.writerow([*known, int(one.is_tuning), one.points, *values])
    return text.getvalue()


def as_markdown(summary: Summary) -> str:
    """A section per suite, and point-adjusted F1 where it belongs: at the end."""
    sections = ["# Detection benchmark", _legend(summary)]
    for suite in summary.suites.values():
        sections += _suite(suite)
    sections += _appendix(summary)
    return "\n\n".join(sections) + "\n"


def _legend(summary: Summary) -> str:
    text = (
        "Every entity is measured alone and counts once; seeds are averaged first. Brackets: 95 % "
        "bootstrap interval over the untuned entities, those on which no choice was made. ±: "
        "standard deviation of the means of the seeds. *Italic rows* are floors. An oracle chooses "
        "its threshold on the labels: a ceiling, not a result."
    )
    if len(summary.codes) > 1:
        text += f"\n\n**Not of one state:** {len(summary.codes)} states of the source answered."
    return text


def _suite(suite: SuiteSummary) -> list[str]:
    cases = f" in {suite.cases} cases" if suite.cases > suite.entities else ""
    sections = [
        f"## {suite.title}",
        f"{suite.entities} entities{cases}, {suite.untuned} of them untuned. {suite.source}",
    ]
    for title, names in GROUPS.items():
        untuned = _table(suite, names, is_untuned=True)
        every = _table(suite, names, is_untuned=False)
        if untuned or every:
            sections.append(f"### {title}")
        if untuned:
            sections += [f"Untuned entities ({suite.untuned}):", untuned]
        if every and suite.untuned < suite.entities:
            sections += [f"All entities ({suite.entities}):", every]
    return [*sections, *_compared(suite)]


def _table(suite: SuiteSummary, names: Sequence[str], *, is_untuned: bool) -> str:
    means = {row: one.untuned if is_untuned else one.all for row, one in suite.rows.items()}
    shown = [name for name in names if any(name in one for one in means.values())]
    lines = [
        [_title(suite.rows[row]), *(shown_as(name, one.get(name)) for name in shown)]
        for row, one in means.items()
        if any(name in one for name in shown)
    ]
    return markdown(["row", *(TITLES[name] for name in shown)], lines) if lines else ""


def _compared(suite: SuiteSummary) -> list[str]:
    others = dict.fromkeys(other for row in suite.rows.values() for other in row.differences)
    sections = []
    for other in others:
        own = {
            _title(row): row.differences[other]
            for row in suite.rows.values()
            if row.differences.get(other)
        }
        shown = [name for name in COMPARED if any(name in one for one in own.values())]
        lines = [[row, *(gain(one.get(name)) for name in shown)] for row, one in own.items()]
        if lines and shown:
            title = suite.rows[other].title if other in suite.rows else other
            sections += [
                f"### Against {title}",
                "Mean difference on the untuned entities; bold where the interval leaves out 0:",
                markdown(["row", *(TITLES[name] for name in shown)], lines),
            ]
    return sections


def _appendix(summary: Summary) -> list[str]:
    sections = [
        "## Appendix: point-adjusted F1",
        "For older papers only: one alarm anywhere in an event counts as all of it, so that chance "
        "does well. Read each row beside the random one.",
    ]
    tables = [
        [f"### {suite.title}", table]
        for suite in summary.suites.values()
        if (table := _table(suite, tuple(APPENDIX), is_untuned=False))
    ]
    return [*sections, *(part for one in tables for part in one)] if tables else []


def _title(row: RowSummary) -> str:
    return f"*{row.title}*" if row.is_floor else row.title


def shown_as(measure: str, mean: Mean | None) -> str:
    """A mean with its deviation and interval, as Markdown; or a median, where one is asked for."""
    if mean is None:
        return "-"
    if measure in BY_MEDIAN:
        return cell(mean.median)
    spread = "" if mean.deviation is None else f" ± {cell(mean.deviation)}"
    return f"{cell(mean.mean)}{spread}{_interval(mean.low, mean.high)}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{cell(low)}, {cell(high)}]"


def gain(difference: Difference | None) -> str:
    """A difference with its interval; bold where it is sure."""
    if difference is None:
        return "-"
    mean = f"**{difference.mean:+.3f}**" if difference.is_sure else f"{difference.mean:+.3f}"
    if difference.low is None or difference.high is None:
        return mean
    return f"{mean} [{difference.low:+.3f}, {difference.high:+.3f}]"
