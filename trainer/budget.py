"""The budget: how many incidents each one would have led to, and which one deploys a threshold."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.scoring.bundle import Bundle
from service.scoring.incident import Transition
from service.scoring.offline import Scored
from service.scoring.series import Series
from service.scoring.tail import MAX_P0, MIN_P0, SECONDS_PER_DAY, threshold_surprisal
from trainer.measures.decisions import false_episodes
from trainer.measures.events import BoolArray, FloatArray, outside

BUDGETS = np.geomspace(0.1, 50.0, 19)  # false incidents per entity and day
SLACK = 1e-9  # of a logarithm


def last_rows(series: Series, count: int) -> Series:
    """The last `count` rows, without labels."""
    start = max(len(series.values) - count, 0)
    return replace(
        series,
        timestamps_ms=series.timestamps_ms[start:],
        values=series.values[start:],
        label=None,
        segments=(),
    )


def incidents_per_day(
    bundle: Bundle, series: Sequence[Series], scored: Sequence[Scored]
) -> FloatArray:
    """Mean over entities of incidents per day at each of `BUDGETS`; labelled events left out.

    The p-values are those scored at the bundle's own budget: another budget changes what the
    normaliser learns only through a new normal.
    """
    rates = np.array(
        [_rates(bundle, one, own) for one, own in zip(series, scored, strict=True)]
    )  # (entity, budget)
    return np.asarray(rates.mean(axis=0))


def budget_of(bundle: Bundle, entity: str, threshold: float) -> float:
    """The budget at which an entity is flagged from `threshold` on, a score at the bundle's own.

    score = ln p / ln p0, so p0 ** threshold is flagged. NaN where no budget leads to so many or so
    few points.
    """
    kappa = bundle.calibration.kappa[bundle.entity_indices.get(entity, 0)]
    period_seconds, budget = bundle.manifest.period_seconds, bundle.manifest.default_budget
    own = threshold_surprisal(kappa, budget=budget, period_seconds=period_seconds)
    surprisal = threshold * float(own)
    if not -math.log(MAX_P0) - SLACK <= surprisal <= -math.log(MIN_P0) + SLACK:
        return math.nan
    return math.exp(-surprisal) * SECONDS_PER_DAY / (float(kappa) * period_seconds)


def _rates(bundle: Bundle, series: Series, scored: Scored) -> list[float]:
    period_seconds = bundle.manifest.period_seconds
    row = bundle.entity_indices.get(series.entity, 0)
    is_scored = np.isfinite(scored.p_value)
    days = _days(scored, period_seconds=period_seconds)
    with np.errstate(divide="ignore"):
        surprisal = -np.log(scored.p_value[is_scored])
    label = np.zeros(len(surprisal), bool) if series.label is None else series.label[is_scored]
    rates = []
    for budget in BUDGETS:
        threshold = threshold_surprisal(
            bundle.calibration.kappa[row], budget=budget, period_seconds=period_seconds
        )
        rates.append(false_episodes(label, surprisal > threshold) / days)
    return rates


def false_incidents_over_budget(
    scored: Scored, label: BoolArray, *, budget: float, period_seconds: float
) -> float:
    """Incidents that touch no labelled point, per day of scored points, over the budget.

    Unlike `incidents_per_day` these are the incidents that were told, lost dimensions included.
    """
    false = outside(label, _incidents(scored))
    return false / _days(scored, period_seconds=period_seconds) / budget


def _incidents(scored: Scored) -> list[tuple[int, int]]:
    """Rows (opened, last flagged) of every incident; one still open lasts to the end."""
    incidents = []
    for told in scored.told:
        if told.transition == Transition.OPENED:
            incidents.append((told.row, len(scored.score) - 1))
        elif told.transition in {Transition.RESOLVED, Transition.NEW_NORMAL}:
            incidents[-1] = (incidents[-1][0], told.row - int(told.incident["quiet"]))
    return incidents


def _days(scored: Scored, *, period_seconds: float) -> float:
    """Days of scored points, at least one point."""
    return max(int(np.isfinite(scored.score).sum()), 1) * period_seconds / SECONDS_PER_DAY
