"""The tables of the detection benchmark, from the results in the repository."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from statistics import fmean, median

from benchmarks.detection import SUMMARY
from benchmarks.peers import MACHINES, PUBLISHED, vus_pr_of_files
from trainer.benchmark.rows import BENCH
from trainer.benchmark.sheets import GROUPS, TITLES, gain, shown_as
from trainer.benchmark.summary import RowSummary, SuiteSummary, Summary
from trainer.tables import APPENDIX, cell, markdown

Lines = Iterator[str]

IN_README = (
    *("vus_pr", "average_precision", "hit_rate_150"),
    *("composite_f1", "event_recall", "false_episodes_per_day"),
)
SHORT = (BENCH.default, *BENCH.rivals[:2], BENCH.untrained, BENCH.anchor, "input", "random")
COMPARED = {
    "smd": ("vus_pr", "average_precision", "composite_f1", "hit_rate_150"),
    "injected": ("average_precision",),
}
SHOWN_GROUPS = ("Ranking", "Decisions", "Attribution")
BY_SUITE = ("vus_pr", "average_precision", "composite_f1")
BUDGETS_SHOWN = slice(None, None, 3)


@cache
def results(path: Path = SUMMARY) -> Summary:
    """The committed summary."""
    return Summary.model_validate_json(path.read_text())


def summary_table() -> Lines:
    """Some rows on the untuned machines, for the README."""
    suite = results().suites["smd"]
    rows = {name: suite.rows[name] for name in SHORT if name in suite.rows}
    lines = [
        [title(name, row), *(plain(row, measure) for measure in IN_README)]
        for name, row in rows.items()
    ]
    yield markdown([f"{suite.untuned} SMD machines", *(TITLES[one] for one in IN_README)], lines)


def group_table(group: str) -> Lines:
    """Every row of SMD in one group of measures: on all machines, then on the untuned ones."""
    suite = results().suites["smd"]
    yield f"All {suite.entities} machines:\n"
    yield measured(suite, GROUPS[group], is_untuned=False)
    yield f"\nThe {suite.untuned} untuned machines, with 95 % intervals:\n"
    yield measured(suite, GROUPS[group], is_untuned=True)


def appendix_table() -> Lines:
    """Point-adjusted F1, beside chance."""
    yield measured(results().suites["smd"], tuple(APPENDIX), is_untuned=False)


def measured(suite: SuiteSummary, names: Sequence[str], *, is_untuned: bool) -> str:
    """Rows that have any of the measures."""
    means = {name: row.untuned if is_untuned else row.all for name, row in suite.rows.items()}
    shown = [name for name in names if any(name in one for one in means.values())]
    lines = [
        [title(name, suite.rows[name]), *(shown_as(measure, own.get(measure)) for measure in shown)]
        for name, own in means.items()
        if any(measure in own for measure in shown)
    ]
    return markdown(["row", *(TITLES[measure] for measure in shown)], lines)


def intervals_table() -> Lines:
    """What the default has more than the others, with paired intervals."""
    columns = [(s, m) for s, ms in COMPARED.items() if s in results().suites for m in ms]
    own = {name: suite.rows.get(BENCH.default) for name, suite in results().suites.items()}
    titles = results().suites["smd"].rows
    lines = []
    for other in BENCH.others():
        found = [row.differences.get(other, {}) if (row := own[s]) else {} for s, _ in columns]
        cells = [gain(one.get(m)) for one, (_, m) in zip(found, columns, strict=True)]
        if other in titles:
            lines.append([titles[other].title, *cells])
    yield markdown(["more than", *(f"{TITLES[m]} ({s})" for s, m in columns)], lines)


def injected_table() -> Lines:
    """Average precision by kind of fault, and the mean of the kinds."""
    suite = results().suites["injected"]
    kinds = list(dict.fromkeys(kind for row in suite.rows.values() for kind in row.families))
    measure = "average_precision"
    lines = [
        [
            title(name, row),
            *(shown_as(measure, row.families.get(kind, {}).get(measure)) for kind in kinds),
            shown_as(measure, row.untuned.get(measure)),
            plain(row, measure, is_untuned=False),
        ]
        for name, row in suite.rows.items()
    ]
    ends = [f"mean, {suite.untuned} untuned", f"mean, all {suite.entities}"]
    yield markdown(["row", *kinds, *ends], lines)


def suites_table(measure: str) -> Lines:
    """One measure on every suite."""
    rows = dict.fromkeys(name for suite in results().suites.values() for name in suite.rows)
    shown = [name for name in SHORT if name in rows]
    lines = []
    for name, suite in results().suites.items():
        if name == "injected" and measure in GROUPS["Decisions"]:
            continue  # its thresholds have seen the calm version of the same rows
        cells = [plain(row, measure) if (row := suite.rows.get(n)) else "-" for n in shown]
        own = suite.rows.get(BENCH.default)
        more = own.differences.get(BENCH.anchor, {}).get(measure) if own else None
        lines.append([suite.title.split(":")[0], str(suite.untuned), *cells, gain(more)])
    head = ["suite", "untuned entities", *(row_title(name) for name in shown)]
    yield markdown([*head, f"default more than {row_title(BENCH.anchor)}"], lines)


def promise_table() -> Lines:
    """False incidents per day: what was asked for, and what was seen."""
    suite = results().suites["smd"]
    rows = {n: row.incidents_per_day for n, row in suite.rows.items() if row.incidents_per_day}
    budgets = sorted({budget for own in rows.values() for budget in own})[BUDGETS_SHOWN]
    lines = []
    for name, own in rows.items():
        means = [own[budget] for budget in budgets]
        lines.append([title(name, suite.rows[name]), *(cell(one.mean) for one in means)])
        if name == BENCH.default:
            lines.append(["the same, median machine", *(cell(one.median) for one in means)])
    yield markdown(["promised", *(f"{budget:.2g}" for budget in budgets)], lines)


def cost_table() -> Lines:
    """Time to score a point, and to fit a machine."""
    suite = results().suites["smd"]
    lines = [
        [
            title(name, row),
            plain(row, "microseconds_per_point", is_untuned=False),
            f"{row.fit_seconds / suite.entities:.0f}",
        ]
        for name, row in suite.rows.items()
        if "microseconds_per_point" in row.all
    ]
    yield markdown(["row", TITLES["microseconds_per_point"], "seconds to fit a machine"], lines)


def peers_table() -> Lines:
    """VUS-PR with the width that TSB-AD gives each file, beside what it published."""
    ours = vus_pr_of_files()
    rows = {row_title(n): ours[n] for n in (BENCH.default, BENCH.anchor, "random") if n in ours}
    rows |= {
        f"TSB-AD: {name}": dict(zip(MACHINES, values, strict=True))
        for name, values in PUBLISHED.items()
    }
    lines = [
        [name, cell(fmean(own.values())), cell(median(own.values()))]
        + [cell(own[machine]) for machine in MACHINES]
        for name, own in rows.items()
        if own.keys() >= set(MACHINES)
    ]
    machines = [machine.removeprefix("machine-") for machine in MACHINES]
    yield markdown(["row", "mean", "median", *machines], lines)


def title(name: str, row: RowSummary) -> str:
    """Floors in italics, the default in bold."""
    mark = "**" if name == BENCH.default else "*" if row.is_floor else ""
    return f"{mark}{row.title}{mark}"


def row_title(name: str) -> str:
    """What a row of the bench is called."""
    return next(row.title for row in BENCH.rows if row.name == name)


def plain(row: RowSummary, measure: str, *, is_untuned: bool = True) -> str:
    """The mean alone."""
    mean = (row.untuned if is_untuned else row.all).get(measure)
    return "-" if mean is None else cell(mean.mean)


TABLES: Mapping[str, Callable[[], Lines]] = {
    "detection-summary": summary_table,
    **{f"detection-{group.lower()}": partial(group_table, group) for group in SHOWN_GROUPS},
    "detection-intervals": intervals_table,
    "detection-injected": injected_table,
    **{f"detection-suites-{name}": partial(suites_table, name) for name in BY_SUITE},
    "detection-promise": promise_table,
    "detection-cost": cost_table,
    "detection-peers": peers_table,
    "detection-appendix": appendix_table,
}
