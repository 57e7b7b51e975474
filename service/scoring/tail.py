"""The tail: from a number without a unit to a p-value, and from a budget to a threshold.

Below the .98 quantile the p-value is the empirical rank; above it, peaks over threshold: point
share x generalised Pareto (Siffer et al., "Anomaly Detection in Streams with Extreme Value
Theory", KDD 2017, equation 1), fitted to the maxima of clusters of exceedances. Everything stays
in surprisal, -ln p, so that no p-value is ever rounded to 0.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVEL = 0.98
KNOTS = 64
SURPRISAL_GRID = np.linspace(0.0, -np.log(1.0 - LEVEL), KNOTS)  # -ln p at each knot
MAX_SHAPE = 0.5  # 0 <= shape <= .5: no value is impossible, and the mean stays finite
MIN_PEAKS = 10
GRID_RATIO = 1.06  # between neighbouring scales of the first grid
CLUSTER_GAP = 5  # points; exceedances closer than this are one cluster
MIN_P0, MAX_P0 = 1e-8, 0.05
SECONDS_PER_DAY = 86_400.0
FEW = 32  # values whose knots are counted rather than bisected

_BISECTION = tuple(KNOTS >> halving for halving in range(1, KNOTS.bit_length()))  # 32, ... 1

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tail:
    """What calibration learned about one aggregate: body by rank, tail by Pareto."""

    knots: FloatArray  # (K,) the aggregate at each step of SURPRISAL_GRID
    threshold: float
    share: float  # of points above the threshold
    shape: float
    scale: float

    @property
    def constants(self) -> FloatArray:
        """(4,) as `calibration.npz` keeps them."""
        return np.array([self.threshold, self.share, self.shape, self.scale])


def p_value(surprisal: float) -> float:
    """From -ln p, never rounded to 0; one formula, for NumPy's exp differs in the last bit."""
    return max(math.exp(-surprisal), 5e-324)


def fit_tail(aggregates: FloatArray, *, least_scale: float = 0.0) -> Tail:
    """Fit to aggregates (time,) of points taken as normal.

    Aggregates that hardly differ, as those of short training may, say nothing about how fast a
    tail falls; it never falls faster than a scale of `least_scale`.
    """
    knots = np.quantile(aggregates, -np.expm1(-SURPRISAL_GRID))
    threshold = float(knots[-1])
    above = aggregates > threshold
    share = max(float(above.mean()), 1.0 / (len(aggregates) + 1))
    excesses = cluster_maxima(aggregates, above) - threshold
    if len(excesses) < MIN_PEAKS:
        # Too few peaks for a shape: exponential, as wide as the body is above its median.
        scale = (threshold - float(np.median(aggregates))) / np.log(0.5 / (1.0 - LEVEL))
        shape = 0.0
    else:
        shape, scale = fit_pareto(excesses)
    scale = _at_least_representable(max(scale, least_scale), threshold)
    return Tail(knots, threshold, share, shape, scale)


def fit_pareto(excesses: FloatArray) -> tuple[float, float]:
    """Shape in [0, .5] and scale of greatest likelihood, for excesses (n,) > 0.

    A grid, twice refined around its best point. Where the derivative of the likelihood by the
    scale is 0 and the shape is at most .5, the scale lies between a quarter of the median and 1.5
    means, so the grid covers every peak; of two peaks that are almost as high, it may take either.
    """
    low, high = float(np.median(excesses)) / 4.0, 1.5 * float(excesses.mean())
    shapes = np.linspace(0.0, MAX_SHAPE, 26)
    scales = np.geomspace(low, high, 2 + math.ceil(math.log(high / low) / math.log(GRID_RATIO)))
    best_shape, best_scale = 0.0, high
    for _ in range(3):
        likelihood = _pareto_log_likelihood(excesses, shapes[:, None], scales[None, :])
        row, column = np.unravel_index(np.argmax(likelihood), likelihood.shape)
        best_shape, best_scale = float(shapes[row]), float(scales[column])
        shape_step, ratio = shapes[1] - shapes[0], scales[1] / scales[0]
        shapes = np.clip(best_shape + np.linspace(-shape_step, shape_step, 11), 0.0, MAX_SHAPE)
        scales = best_scale * np.geomspace(1 / ratio, ratio, 11)
    return best_shape, best_scale


def _pareto_log_likelihood(
    excesses: FloatArray, shape: FloatArray, scale: FloatArray
) -> FloatArray:
    """Siffer et al. 2017, equation 3; its limit, the exponential, at shape 0."""
    ratio = excesses / scale[..., None]
    safe = np.where(shape > 0, shape, 1.0)[..., None]
    spread = np.where(shape[..., None] > 0, np.log1p(safe * ratio) * (1.0 + 1.0 / safe), ratio)
    likelihood: FloatArray = -len(excesses) * np.log(scale) - spread.sum(axis=-1)
    return likelihood


def cluster_maxima(aggregates: FloatArray, above: npt.NDArray[np.bool_]) -> FloatArray:
    """The largest aggregate of every run of exceedances; runs closer than CLUSTER_GAP are one."""
    positions = np.flatnonzero(above)
    if len(positions) == 0:
        return np.empty(0)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(positions) > CLUSTER_GAP) + 1])
    maxima: FloatArray = np.maximum.reduceat(aggregates[positions], starts)
    return maxima


def surprisal(
    aggregates: FloatArray, knots: FloatArray, tail: FloatArray, *, row: IntArray | None = None
) -> FloatArray:
    """-ln p of aggregates (...), each against its `row` (...) of knots (R, K) and tail (R, 4).

    Without rows all go against the first.
    """
    values = aggregates.ravel()
    rows = np.zeros(len(values), np.int64) if row is None else row.ravel()
    levels = _rank(values, knots.ravel(), rows * KNOTS)
    threshold, share, shape, scale = tail.reshape(-1, 4).T
    above = np.flatnonzero(values > threshold[rows])
    if len(above):
        own = rows[above]
        safe = np.where(shape[own] > 0, shape[own], 1.0)
        ratio = (values[above] - threshold[own]) / scale[own]
        pareto = np.where(shape[own] > 0, np.log1p(safe * ratio) / safe, ratio)
        levels[above] = pareto - np.log(share[own])
    return levels.reshape(aggregates.shape)


def _rank(values: FloatArray, knots: FloatArray, first: IntArray) -> FloatArray:
    """SURPRISAL_GRID between the knots from `first` on; of equal ones the first: p is P(A >= a).

    How many of them are below is found by bisection, side by side: nothing is copied per value.
    Of few values they are counted: that takes fewer steps.
    """
    if len(values) <= FEW:
        places = first[:, None] + np.arange(KNOTS - 1)
        below = first + (knots.take(places) < values[:, None]).sum(axis=1)
    else:
        below = _bisected(values, knots, first)
    right = np.maximum(below - first, 1)
    low, high = knots.take(first + (right - 1)), knots.take(first + right)
    width = np.where(high > low, high - low, 1.0)
    fraction = np.minimum(np.maximum((values - low) / width, 0.0), 1.0)
    return np.asarray((right - 1 + fraction) * SURPRISAL_GRID[1])


def _bisected(values: FloatArray, knots: FloatArray, first: IntArray) -> IntArray:
    """Behind the knots of each value, from `first` on, that are below it."""
    below = first.copy()
    for step in _BISECTION:
        below += step * (knots[step - 1 :].take(below) < values)
    return below


def flagged_share(
    kappa: FloatArray, *, budget: float | FloatArray, period_seconds: float
) -> FloatArray:
    """p0: the share of points, per entity, that may be flagged.

    `budget` false incidents per entity-day, of all or of each; `kappa` exceedances per incident.
    """
    share: FloatArray = np.clip(kappa * budget * period_seconds / SECONDS_PER_DAY, MIN_P0, MAX_P0)
    return share


def threshold_surprisal(
    kappa: FloatArray, *, budget: float | FloatArray, period_seconds: float
) -> FloatArray:
    """-ln p0: the surprisal beyond which a point is anomalous, per entity."""
    return -np.log(flagged_share(kappa, budget=budget, period_seconds=period_seconds))


def _at_least_representable(scale: float, threshold: float) -> float:
    return max(scale, 1e-9 * max(1.0, abs(threshold)))
