"""How views are combined: the tables of docs/detection-notes.md that a fitted bundle can answer.

    python -m benchmarks.views [--data ../shared/data] [--fresh]

Fits the default to the tuning machines of SMD, observes every view once, and combines them in
several ways. The bundles are kept in build/views, and used again whatever has become of the code:
`--fresh` fits them anew. Labels are read only to judge; one seed.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.tuning import Combine, Machine, observed
from service.scoring.calibration import CAP
from service.scoring.combine import HALF_LIVES_POINTS, combined, remember, sustained
from service.scoring.normaliser import LN_2
from service.scoring.tail import SECONDS_PER_DAY, fit_tail, surprisal, threshold_surprisal
from trainer.kappa import fit_kappa
from trainer.measures.attribution import hit_rate
from trainer.measures.decisions import composite_f1, event_recall, false_episodes
from trainer.measures.ranking import average_precision, vus_pr
from trainer.observe import FloatArray

MACHINES = ("machine-1-6", "machine-2-1", "machine-3-4")
CAPS = (np.inf, 1e4, 1e3, 3e2)
BUDGETS = (1.0, 2.0, 2.5, 3.0, 5.0)
POINTS_PER_DAY = SECONDS_PER_DAY / 60.0


def _mean(levels: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray((levels * weights).mean(axis=1))


def _largest(levels: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray((levels * weights).max(axis=1))


COMBINATIONS: Mapping[str, Combine] = MappingProxyType(
    {"mean": _mean, "power mean of order 4": combined, "largest": _largest}
)


def main(
    data: Annotated[Path, typer.Option(help="Folder that holds SMD/.")] = Path("../shared/data"),
    bundles: Annotated[Path, typer.Option(help="Where fitted bundles are kept.")] = Path(
        "build/views"
    ),
    is_fresh: Annotated[bool, typer.Option("--fresh", help="Fit even what is kept.")] = False,
) -> None:
    """Print the tables."""
    data = Path(os.environ.get("GAUGEWATCH_DATA", data))
    paths = [data / "SMD" / f"{name}.npz" for name in MACHINES]
    machines = [observed(path, bundles, is_fresh=is_fresh) for path in paths]
    console = Console()
    for table in (_members, _combinations, _caps, _budgets, _culprits):
        console.print(table(machines))


def _members(machines: Sequence[Machine]) -> Table:
    table = Table("view alone, present value", "VUS-PR", "average precision")
    for v, view in enumerate(machines[0].views):
        table.add_row(view.member, *_means([_ranking(one, one.level(v)[1]) for one in machines]))
    return table


def _combinations(machines: Sequence[Machine]) -> Table:
    table = Table("severity", "VUS-PR", "average precision")
    for name, combine in COMBINATIONS.items():
        now = [one.combined("severity", combine=combine)[1] for one in machines]
        pairs = list(zip(machines, now, strict=True))
        present = [_ranking(one, levels) for one, levels in pairs]
        table.add_row(f"{name}, present value", *_means(present))
        table.add_row(
            f"{name}, what lasts", *_means([_ranking(one, _lasting(level)) for one, level in pairs])
        )
    return table


def _caps(machines: Sequence[Machine]) -> Table:
    table = Table("cap, nats", "VUS-PR of severity", "average precision")
    for cap in CAPS:
        figures = [
            _ranking(one, _lasting(one.combined("severity", cap=cap)[1])) for one in machines
        ]
        table.add_row(f"{cap:g}", *_means(figures))
    return table


def _budgets(machines: Sequence[Machine]) -> Table:
    table = Table("budget", "composite F1", "events found", "false episodes per day")
    for budget in BUDGETS:
        table.add_row(f"{budget:g}", *_means([_alarm(one, budget) for one in machines]))
    return table


def _culprits(machines: Sequence[Machine]) -> Table:
    table = Table("contributions from", "HitRate@100", "HitRate@150")
    sources = {
        "views that decide": [one.of("score") for one in machines],
        "all views": [list(range(len(one.views))) for one in machines],
    }
    for name, chosen in sources.items():
        pairs = zip(machines, chosen, strict=True)
        figures = [[_hits(one, views, percent) for percent in (100, 150)] for one, views in pairs]
        table.add_row(name, *_means(figures))
    return table


def _means(rows: Sequence[Sequence[float]]) -> list[str]:
    """The mean over machines of each figure."""
    return [f"{figure:.3f}" for figure in np.mean(rows, axis=0)]


def _lasting(levels: FloatArray) -> FloatArray:
    """Severity (time,) of levels (time,) of one entity."""
    recent, severity = np.zeros((1, len(HALF_LIVES_POINTS))), np.empty_like(levels)
    for time, level in enumerate(levels[:, None]):
        recent = remember(recent, level)
        severity[time] = sustained(recent, level)[0]
    return severity


def _ranking(machine: Machine, ranking: FloatArray) -> tuple[float, float]:
    """VUS-PR and average precision of a ranking of the test half (time,)."""
    label = machine.series.label
    assert label is not None
    return vus_pr(label, ranking), average_precision(label, ranking)


def _alarm(machine: Machine, budget: float) -> tuple[float, float, float]:
    """Composite F1, events found and false episodes per day at the label-free threshold."""
    held_out, later = machine.combined("score")
    tail, label = fit_tail(held_out), machine.series.label
    assert label is not None
    kappa = fit_kappa(held_out, budget=budget, period_seconds=60.0)
    threshold = threshold_surprisal(np.array([kappa]), budget=budget, period_seconds=60.0)
    flags = surprisal(later, tail.knots[None], tail.constants[None]) > threshold
    days = len(label) / POINTS_PER_DAY
    return (
        composite_f1(label, flags),
        event_recall(label, flags),
        false_episodes(label, flags) / days,
    )


def _hits(machine: Machine, views: Sequence[int], percent: int) -> float:
    """HitRate of the excess summed over these views."""
    contribution = np.zeros_like(machine.test[:, 0], dtype=np.float64)
    for v in views:
        held_out, later = (
            np.maximum(np.minimum(nats[:, v], np.float32(CAP)) - LN_2, 0.0)
            for nats in (machine.calibration, machine.test)
        )
        contribution += later / max(float(np.quantile(held_out.sum(axis=1), 0.99)), LN_2)
    segments = [one for one in machine.series.segments if one.dimensions]
    means = [contribution[one.start : one.end + 1].mean(axis=0) for one in segments]
    pairs = zip(means, segments, strict=True)
    return float(np.mean([hit_rate(mean, one.dimensions, percent=percent) for mean, one in pairs]))


if __name__ == "__main__":
    typer.run(main)
