"""Statistics over entities and seeds: how far a mean of measures can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.measures.events import FloatArray

ROUNDS = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it; NaN where it is undefined."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: Sequence[float] | FloatArray,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> Interval:
    """Percentile bootstrap of the mean of `values` (entity,); NaN is left out.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13. A single entity
    has a mean and no interval. Below about ten entities the interval is too narrow.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return Interval(float("nan"), float("nan"), float("nan"))
    if len(known) == 1:
        return Interval(float(known[0]), float("nan"), float("nan"))
    draws = np.random.default_rng(seed).integers(len(known), size=(rounds, len(known)))
    means = known[draws].mean(axis=1)  # (round,)
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(known.mean()), float(low), float(high))


def paired(
    values: Sequence[float] | FloatArray,
    others: Sequence[float] | FloatArray,
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
    level: float = LEVEL,
) -> Interval:
    """Bootstrap of the mean of `values` - `others`, both (entity,) in the same order.

    An entity counts where both are known.
    """
    differences = [value - other for value, other in zip(values, others, strict=True)]
    return bootstrap(differences, seed=seed, rounds=rounds, level=level)


def spread(per_seed_means: Sequence[float] | FloatArray) -> tuple[float, float]:
    """Mean and sample standard deviation over seeds; one seed has no deviation (NaN)."""
    means = np.asarray(per_seed_means, np.float64)
    deviation = float(means.std(ddof=1)) if len(means) > 1 else float("nan")
    return float(means.mean()), deviation
