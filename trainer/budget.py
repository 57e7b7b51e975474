"""The budget's trade-off: how many incidents each false-alarm budget would have led to."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.scoring.bundle import Bundle
from service.scoring.offline import Scored
from service.scoring.series import Series
from service.scoring.tail import threshold_surprisal
from trainer.evaluate import SECONDS_PER_DAY
from trainer.measures import EPISODE_GAP, FloatArray, runs

BUDGETS = np.geomspace(0.1, 50.0, 19)  # false incidents per entity and day


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

    The p-values are those scored at the bundle's own budget: another budget would also change,
    a little, what the normaliser learns while incidents are open.
    """
    rates = np.array(
        [_rates(bundle, one, own) for one, own in zip(series, scored, strict=True)]
    )  # (entity, budget)
    return np.asarray(rates.mean(axis=0))


def _rates(bundle: Bundle, series: Series, scored: Scored) -> list[float]:
    period_seconds = bundle.manifest.period_seconds
    row = bundle.entity_indices.get(series.entity, 0)
    is_scored = np.isfinite(scored.p_value)
    days = max(int(is_scored.sum()), 1) * period_seconds / SECONDS_PER_DAY
    with np.errstate(divide="ignore"):
        surprisal = -np.log(scored.p_value[is_scored])
    label = np.zeros(len(surprisal), bool) if series.label is None else series.label[is_scored]
    rates = []
    for budget in BUDGETS:
        threshold = threshold_surprisal(
            bundle.calibration.kappa[row], budget=budget, period_seconds=period_seconds
        )
        episodes = runs(surprisal > threshold, gap=EPISODE_GAP)
        false = sum(not label[start : end + 1].any() for start, end in episodes)
        rates.append(false / days)
    return rates
