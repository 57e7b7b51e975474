"""The summary: every row of every suite, as means that say how far to trust them.

Intervals and differences come from the untuned entities: those on which no choice was made.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean

from trainer.benchmark.means import Difference, Mean, differences, means, rates_of, values_of
from trainer.benchmark.results import EntityResult, Frozen, RunResult


class RowSummary(Frozen):
    """One row on one suite."""

    title: str
    is_floor: bool
    seeds: tuple[int, ...]
    fit_seconds: float  # of all entities, mean over seeds
    all: dict[str, Mean]  # without intervals
    untuned: dict[str, Mean]
    families: dict[str, dict[str, Mean]]  # of faults, where the cases have them; untuned
    differences: dict[str, dict[str, Difference]]  # other row -> measure ->; untuned
    incidents_per_day: dict[float, Mean]  # budget -> false ones observed; untuned


class SuiteSummary(Frozen):
    """All rows of one suite, in their order."""

    title: str
    source: str
    entities: int
    untuned: int
    cases: int
    rows: dict[str, RowSummary]


class Summary(Frozen):
    """All there is to tell."""

    format: int = 1
    codes: tuple[str, ...]  # digests of the source that answered; one, if all is from one state
    suites: dict[str, SuiteSummary]


def summarise(
    runs: Sequence[RunResult],
    *,
    suites: Sequence[str],
    rows: Sequence[str],
    others: Sequence[str],
) -> Summary:
    """Of all runs; `suites` and `rows` give the order, every row is compared with `others`."""
    of_suite: dict[str, list[RunResult]] = defaultdict(list)
    for run in runs:
        of_suite[run.suite].append(run)
    found = {
        name: _suite(of_suite[name], rows=rows, others=others)
        for name in _ordered(of_suite, suites)
    }
    return Summary(codes=tuple(sorted({run.code for run in runs})), suites=found)


def family_of(name: str, result: EntityResult) -> str | None:
    """The fault family of a case named `<entity>/<family>-<draw>`."""
    if result.fitted_as == name:
        return None
    return name.removeprefix(f"{result.fitted_as}/").rpartition("-")[0]


def _ordered(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """Names that `order` does not know come last."""
    known = set(names)
    return [*(name for name in order if name in known), *sorted(known - set(order))]


def _suite(
    runs: Sequence[RunResult], *, rows: Sequence[str], others: Sequence[str]
) -> SuiteSummary:
    of_row: dict[str, list[RunResult]] = defaultdict(list)
    for run in runs:
        of_row[run.row].append(run)
    first = runs[0]
    tuning = {one.fitted_as: one.is_tuning for one in first.entities.values()}
    return SuiteSummary(
        title=first.suite_title,
        source=first.source,
        entities=len(tuning),
        untuned=sum(not is_tuning for is_tuning in tuning.values()),
        cases=len(first.entities),
        rows={
            name: _row(of_row[name], {other: of_row[other] for other in others if other in of_row})
            for name in _ordered(of_row, rows)
        },
    )


def _row(runs: Sequence[RunResult], others: Mapping[str, Sequence[RunResult]]) -> RowSummary:
    untuned = values_of(runs, _is_untuned)
    families = dict.fromkeys(
        family_of(name, one) for run in runs for name, one in run.entities.items()
    )
    return RowSummary(
        title=runs[0].row_title,
        is_floor=runs[0].is_floor,
        seeds=tuple(sorted(run.seed for run in runs)),
        fit_seconds=fmean(run.fit_seconds for run in runs),
        all=means(values_of(runs, _is_any), has_interval=False),
        untuned=means(untuned),
        families={
            family: means(values_of(runs, partial(_is_untuned_of, family)))
            for family in families
            if family is not None
        },
        differences={
            other: differences(untuned, values_of(theirs, _is_untuned))
            for other, theirs in others.items()
            if theirs[0].row != runs[0].row
        },
        incidents_per_day=means(rates_of(runs, _is_untuned)),
    )


def _is_any(_name: str, _result: EntityResult) -> bool:
    return True


def _is_untuned(_name: str, result: EntityResult) -> bool:
    return not result.is_tuning


def _is_untuned_of(family: str, name: str, result: EntityResult) -> bool:
    return not result.is_tuning and family_of(name, result) == family
