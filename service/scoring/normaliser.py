"""The causal normaliser: how unusual is an error, given the errors of this dimension so far?

Per view and dimension it carries mean and deviation of the error (Gauss-D of Garg et al., "An
Evaluation of Anomaly Detection and Diagnosis in Multivariate Time Series", TNNLS 2021, made
recursive), judges a new error by them, and only then learns from it.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from service.scoring.bundle import Manifest, View

LN_2 = float(np.log(2.0))
YOUNG_POINTS = 32
WINSOR = 3.0  # deviations beyond which an error teaches no more than this
MAX_DEVIATION = 1e9
SETTLED_AGE = 1 << 30  # points; the calibration of an entity that was trained on
CALIBRATING_AGE = 256  # what the pooled calibration is worth for an entity it never saw

Float32Array = npt.NDArray[np.float32]
_WINSOR = np.array(WINSOR, np.float32)

# Chebyshev fit of ln(erfc(x) exp(x^2) / t) in t = 1 / (1 + x/2), x >= 0, relative error of erfc
# below 1.2e-7 everywhere: W. H. Press et al., Numerical Recipes, 2nd ed. 1992, section 6.2.
_ERFC = (
    *(0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807),
    *(-0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223),
)


def normal_surprisal(z: Float32Array) -> Float32Array:
    """-ln of the standard normal survival function, finite for any finite z.

    Above 0 by the logarithm of the formula at `_ERFC`; below 0 by SF(z) = 1 - SF(-z). Both are
    computed and mixed, because a choice between them costs more: nobody can predict it.
    """
    x = np.abs(z)
    x *= np.float32(np.sqrt(0.5))
    t = x * np.float32(0.5)
    t += np.float32(1.0)
    np.reciprocal(t, out=t)
    polynomial = t * np.float32(_ERFC[0])
    for coefficient in _ERFC[1:-1]:
        polynomial += np.float32(coefficient)
        polynomial *= t
    polynomial += np.float32(_ERFC[-1] - LN_2)
    x *= x
    x -= polynomial
    x -= np.log(t, out=t)  # above 0
    below = np.negative(x, out=polynomial)
    np.exp(below, out=below)
    np.subtract(np.float32(1.0), below, out=below)
    np.log(below, out=below)
    x += below
    x *= z >= 0
    x -= below
    return x


def starting_age(entity_index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Points that the seed of each entity (batch,) is worth; row 0 is the pooled one."""
    return np.where(entity_index == 0, CALIBRATING_AGE, SETTLED_AGE)


class Normaliser:
    """Judges and learns for all entities of a batch at once."""

    def __init__(self, manifest: Manifest) -> None:
        views = manifest.views
        self._alike = _alike(views)
        self._member = np.array([manifest.members.index(view.member) for view in views])
        self._squares = [v for v, view in enumerate(views) if view.power == "square"]
        shape = len(views), len(manifest.dimensions)
        floors = np.array([view.floor for view in views], np.float32)
        half_lives = np.array([view.half_life_points for view in views])
        rates = (1.0 - 2.0 ** (-1.0 / half_lives)).astype(np.float32)
        self._floor, self._rate = (
            np.ascontiguousarray(np.broadcast_to(each[:, None], shape)) for each in (floors, rates)
        )  # (view, dimension)
        self._settled_age = max(YOUNG_POINTS, float(1.0 / rates.min()))  # then all of them rule

    def view_errors(self, error: Float32Array) -> Float32Array:
        """Error of each member (batch, member, dimension) -> of each view (batch, view, dim)."""
        errors = error.take(self._member, axis=1)
        for view in self._squares:
            errors[:, view] *= errors[:, view]
        return errors

    def deviations(self, state: Float32Array, errors: Float32Array) -> Float32Array:
        """Standard deviations above the usual error: (batch, view, dimension).

        `state` (batch, 2, view, dimension) holds mean and deviation.
        """
        deviations: Float32Array = errors - state[:, 0]
        deviations /= np.maximum(state[:, 1], self._floor)
        np.maximum(deviations, np.float32(-MAX_DEVIATION), out=deviations)
        return np.minimum(deviations, np.float32(MAX_DEVIATION), out=deviations)

    def surprisal(
        self,
        deviations: Float32Array,
        *,
        cap: Float32Array,
        is_missing: npt.NDArray[np.bool_],
    ) -> Float32Array:
        """Nats of each deviation (batch, view, dimension), at most `cap`; ln 2 where missing.

        `cap` and `is_missing` are (batch, dimension).
        """
        nats = normal_surprisal(deviations)
        np.minimum(nats, cap[:, None, :], out=nats)
        if is_missing.any():
            np.copyto(nats, np.float32(LN_2), where=is_missing[:, None, :])
        return nats

    def aggregates(self, nats: Float32Array) -> npt.NDArray[np.float64]:
        """One number per point and view: (batch, view, dimension) -> (batch, view)."""
        aggregates = np.empty(nats.shape[:2])
        for view, alike in self._alike:
            aggregates[:, alike] = aggregate(nats[:, alike], view)
        return aggregates

    def learn(
        self,
        state: Float32Array,
        deviations: Float32Array,
        *,
        age: npt.NDArray[np.int64],
        is_missing: npt.NDArray[np.bool_],
    ) -> Float32Array:
        """Mean and deviation after this point.

        Winsorised, so that a fault teaches little; not at all in a missing dimension (batch,
        dimension). A state learns by plain averages until it is as old (age, (batch,) points) as
        its half-life asks; its first points teach in full.
        """
        rate, widening, limit = self._paces(age, is_missing)
        learnt = np.empty_like(state)
        mean, deviation = learnt[:, 0], learnt[:, 1]
        surprise = np.minimum(deviations, limit)
        np.maximum(surprise, -limit, out=surprise)
        surprise *= np.maximum(state[:, 1], self._floor)
        np.multiply(surprise, rate, out=mean)
        mean += state[:, 0]
        np.square(state[:, 1], out=deviation)
        deviation *= 1 - widening
        surprise *= surprise
        surprise *= widening
        deviation += surprise
        np.sqrt(deviation, out=deviation)
        return learnt

    def _paces(
        self, age: npt.NDArray[np.int64], is_missing: npt.NDArray[np.bool_]
    ) -> tuple[Float32Array, Float32Array, Float32Array]:
        """How fast mean and deviation learn, and how many deviations teach at most.

        All three go with (batch, view, dimension).
        """
        youngest = age.min(initial=SETTLED_AGE)
        if youngest >= self._settled_age and not is_missing.any():
            return self._rate, self._rate, _WINSOR
        ages = age.astype(np.float32)[:, None, None]
        rate = np.maximum(self._rate, 1.0 / (1.0 + ages))  # (batch, view, dimension)
        np.copyto(rate, np.float32(0.0), where=is_missing[:, None, :])
        limit = np.where(ages < YOUNG_POINTS, np.float32(MAX_DEVIATION), np.float32(WINSOR))
        widening = rate * (ages > 0)  # one point has no deviation
        return rate, widening, limit


def aggregate(surprisal: Float32Array, view: View) -> npt.NDArray[np.float64]:
    """One number from the surprisal of each dimension, as this view does: (..., D) -> (...).

    Sums run over contiguous rows, and the largest are sorted before they are averaged, so that
    the result does not depend on the batch.
    """
    terms: Float32Array
    if view.aggregation == "top_mean":
        top = min(view.top, surprisal.shape[-1])
        terms = np.sort(np.partition(surprisal, -top)[..., -top:]) / np.float32(top)
    else:
        terms = np.sqrt(surprisal) if view.aggregation == "sum_sqrt" else surprisal
    sums: npt.NDArray[np.float64] = np.ascontiguousarray(terms).sum(axis=-1, dtype=np.float64)
    return sums


def one_nat(view: View, dimensions: int) -> float:
    """What an aggregate grows by when one ordinary dimension (c = ln 2) says one nat more."""
    if view.aggregation == "top_mean":
        return 1.0 / min(view.top, dimensions)
    return 1.0 if view.aggregation == "sum" else 0.5 / math.sqrt(LN_2)


def _alike(views: Sequence[View]) -> list[tuple[View, list[int]]]:
    """Views that aggregate in the same way, with the first of them."""
    groups: dict[tuple[str, int], list[int]] = {}
    for number, view in enumerate(views):
        groups.setdefault((view.aggregation, view.top), []).append(number)
    return [(views[numbers[0]], numbers) for numbers in groups.values()]
