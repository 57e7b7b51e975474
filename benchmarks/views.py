"""How the views, the cap and the default budget were chosen: the tables of docs/detection.md.

    python -m benchmarks.views [--data ../shared/data]

Fits the preset `small` to the tuning machines of SMD (kept in build/tuning), observes every view of
interest once, and combines them. Labels are read only to judge; one seed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from service.scoring.bundle import Bundle, load_bundle
from service.scoring.manifest import View
from service.scoring.normaliser import (
    CAP,
    CONSTANT_CAP,
    LN_2,
    Normaliser,
    aggregate,
    normal_surprisal,
    starting_age,
)
from service.scoring.series import Series, read_series
from service.scoring.tail import fit_tail, surprisal, threshold_surprisal
from trainer.build import build_bundle
from trainer.calibrate import fit_kappa
from trainer.config import preset
from trainer.fit import fit
from trainer.measures import (
    average_precision,
    composite_f1,
    event_recall,
    false_episodes,
    hit_rate,
    vus_pr,
)
from trainer.observe import FloatArray, Observed, Stretch, observe

MACHINES = ("machine-1-6", "machine-2-1", "machine-3-4")
CAPS = (np.inf, 1e4, 1e3, 3e2)
BUDGETS = (1.0, 2.0, 3.0, 5.0)
DECIDING = {"all views": {"score", "severity", "both"}, "views that decide": {"score", "both"}}
POINTS_PER_DAY = 1440


@dataclass(frozen=True)
class Machine:
    """Surprisal (time, view, dimension) on the calibration stretch and on the test half."""

    views: tuple[View, ...]
    calibration: FloatArray
    test: FloatArray
    series: Series

    def levels(self, cap: float, *roles: str) -> tuple[FloatArray, FloatArray]:
        """Mean -ln p of the views of these roles, on both stretches."""
        chosen = [v for v, view in enumerate(self.views) if view.role in roles]
        pairs = [self._level(v, cap) for v in chosen]
        return np.mean([one for one, _ in pairs], axis=0), np.mean([o for _, o in pairs], axis=0)

    def _level(self, v: int, cap: float) -> tuple[FloatArray, FloatArray]:
        held_out, later = (
            aggregate(np.minimum(nats[:, v], np.float32(cap)), self.views[v])
            for nats in (self.calibration, self.test)
        )
        tail = fit_tail(held_out)
        return (
            surprisal(held_out, tail.knots[None], tail.constants[None]),
            surprisal(later, tail.knots[None], tail.constants[None]),
        )


def main(
    data: Annotated[Path, typer.Option(help="Folder that holds SMD/.")] = Path("../shared/data"),
    bundles: Annotated[Path, typer.Option(help="Where fitted bundles are kept.")] = Path(
        "build/tuning"
    ),
) -> None:
    """Print the tables."""
    data = Path(os.environ.get("GAUGEWATCH_DATA", data))
    machines = [_observed(data / "SMD" / f"{name}.npz", bundles) for name in MACHINES]
    console = Console()
    caps = Table("cap, nats", "VUS-PR of severity", "average precision")
    for cap in CAPS:
        caps.add_row(f"{cap:g}", *_mean([_ranking(one, cap) for one in machines]))
    console.print(caps)
    budgets = Table("budget", "composite F1", "events found", "false episodes per day")
    for budget in BUDGETS:
        budgets.add_row(f"{budget:g}", *_mean([_alarm(one, budget) for one in machines]))
    console.print(budgets)
    blame = Table("contributions from", "HitRate@100", "HitRate@150")
    for name, roles in DECIDING.items():
        blame.add_row(
            name,
            *_mean([[_hits(one, roles, percent) for percent in (100, 150)] for one in machines]),
        )
    console.print(blame)


def _mean(rows: Sequence[Sequence[float]]) -> list[str]:
    """The mean over machines of each figure."""
    return [f"{figure:.3f}" for figure in np.mean(rows, axis=0)]


def _observed(path: Path, bundles: Path) -> Machine:
    train, test = read_series(path, part="train"), read_series(path)
    if not (bundles / path.stem / "current").is_file():
        build_bundle(fit([train], preset("small")), bundles, name=path.stem, period_seconds=60.0)
    bundle = load_bundle(bundles / path.stem)
    center, warm_up = bundle.calibration.center[1], bundle.manifest.memory_horizon
    first = len(train.values) - round(0.3 * len(train.values)) - warm_up
    stretches = [
        Stretch(1, warm, (values - center).astype(np.float32), np.isnan(values))
        for values, warm in ((train.values[first:], warm_up), (test.values, 0))
    ]
    calibration, later = (_surprisal(bundle, one) for one in observe(bundle, stretches))
    return Machine(bundle.manifest.views, calibration, later, test)


def _surprisal(bundle: Bundle, observed: Observed) -> FloatArray:
    """Without the cap, but for the dimensions that never moved in training."""
    normaliser = Normaliser(bundle.manifest)
    state = bundle.calibration.seed[[1]].astype(np.float32)
    age, closed = starting_age(np.array([1])), np.zeros(1, bool)
    nats = []
    for error, is_missing in zip(observed.errors, observed.is_missing, strict=True):
        deviations = normaliser.deviations(state, error[None])
        nats.append(normal_surprisal(deviations)[0])
        state = normaliser.learn(
            state, deviations, age=age, is_open=closed, is_missing=is_missing[None]
        )
    constant = np.where(bundle.calibration.is_constant[1], CONSTANT_CAP, np.inf)
    return np.asarray(np.minimum(np.stack(nats), constant), np.float32)


def _ranking(machine: Machine, cap: float) -> tuple[float, float]:
    """VUS-PR and average precision of severity."""
    label, severity = machine.series.label, machine.levels(cap, "severity", "both")[1]
    assert label is not None
    return vus_pr(label, severity), average_precision(label, severity)


def _alarm(machine: Machine, budget: float) -> tuple[float, float, float]:
    """Composite F1, events found and false episodes per day at the label-free threshold."""
    held_out, later = machine.levels(CAP, "score", "both")
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


def _hits(machine: Machine, roles: set[str], percent: int) -> float:
    """HitRate of the excess summed over the views of these roles."""
    blame = np.zeros_like(machine.test[:, 0], dtype=np.float64)
    for v, view in enumerate(machine.views):
        if view.role in roles:
            held_out, later = (
                np.maximum(np.minimum(nats[:, v], np.float32(CAP)) - LN_2, 0.0)
                for nats in (machine.calibration, machine.test)
            )
            blame += later / max(float(np.quantile(held_out.sum(axis=1), 0.99)), LN_2)
    rates = [
        hit_rate(blame[one.start : one.end + 1].mean(axis=0), one.dimensions, percent=percent)
        for one in machine.series.segments
        if one.dimensions
    ]
    return float(np.mean(rates))


if __name__ == "__main__":
    typer.run(main)
