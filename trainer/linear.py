"""The closed-form part of a bundle: scaling per entity, PCA, and linear leave-one-out.

Everything is NumPy float64. Row 0 of the per-entity arrays is the pooled entity, the scaling of
entities never seen in training. PCA and leave-one-out are shared by all entities of a bundle,
because in scaled units entities of one kind look alike.

`center` is the training median, so float32 of (x - center) resolves a counter of 1e12 that moves
by 1: what is left has the size of the movement, not of the level.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.errors import TrainingFailed
from service.scoring.series import FloatArray
from trainer.chunks import chunks, mean_square, stacked, summed

CLIP_LOW, CLIP_HIGH = -4.0, 5.0  # of scaled values that enter a model; errors are never clipped
LAGS = 4  # earlier rows that leave-one-out looks at, besides the present one
SCALE_FLOOR = 0.02  # of a dimension's standard deviation, in scaled units
INPUT_LIMIT = 10.0  # of what enters or is asked of a network, in standard deviations
RIDGE = 1e-2  # added to the diagonal of the mean Gram matrix of standardised rows


@dataclass(frozen=True)
class Scaling:
    """Min-max scaling x' = (x - center - offset) / span, one row per entity, row 0 pooled."""

    center: FloatArray  # (entity, dimension) training median
    offset: FloatArray  # (entity, dimension) training minimum minus center
    span: FloatArray  # (entity, dimension) training range; max(|minimum|, 1) where constant

    def scale(self, values: FloatArray, entity: int) -> FloatArray:
        """Raw rows (time, dimension) of one entity in scaled units, not clipped."""
        scaled = np.asarray(values - self.center[entity])
        scaled -= self.offset[entity]
        scaled /= self.span[entity]
        return scaled

    def clipped(self, values: FloatArray, entity: int) -> FloatArray:
        """The same as it may enter a model."""
        scaled = self.scale(values, entity)
        return np.clip(scaled, CLIP_LOW, CLIP_HIGH, out=scaled)


@dataclass(frozen=True)
class Pca:
    """Mean and leading directions of clipped scaled rows."""

    mean: FloatArray  # (dimension,)
    basis: FloatArray  # (dimension, component), orthonormal columns

    def reconstruct(self, clipped: FloatArray) -> FloatArray:
        """What the leading directions explain of each row."""
        return np.asarray(self.mean + (clipped - self.mean) @ self.basis @ self.basis.T)


@dataclass(frozen=True)
class LeaveOneOut:
    """Ridge prediction of each dimension from all others, now and at the last `LAGS` rows."""

    mean: FloatArray  # (dimension,)
    scale: FloatArray  # (dimension,) standard deviation, floored
    weights: FloatArray  # ((1 + LAGS) * dimension, dimension), zero where own

    def standardise(self, clipped: FloatArray) -> FloatArray:
        """Rows in units of the training standard deviation; the training mean becomes zero."""
        return np.asarray((clipped - self.mean) / self.scale)

    def predict(self, clipped: FloatArray) -> FloatArray:
        """Expectation of every row from its `LAGS` predecessors; before the first lie means."""
        expected = np.empty_like(clipped)
        for part in chunks(len(clipped)):
            before = min(part.start, LAGS)
            rows = self.standardise(clipped[part.start - before : part.stop])
            weighted = lagged(rows)[before:] @ self.weights
            expected[part] = self.mean + self.scale * weighted
        return expected


@dataclass(frozen=True)
class Linear:
    """All closed-form parts together."""

    scaling: Scaling
    pca: Pca
    leave_one_out: LeaveOneOut


def clip(scaled: FloatArray) -> FloatArray:
    """What may enter a model."""
    return np.clip(scaled, CLIP_LOW, CLIP_HIGH)


def lagged(rows: FloatArray) -> FloatArray:
    """(time, dimension) -> (time, (1 + LAGS) * dimension), newest first, zeros before the start."""
    padded = np.vstack([np.zeros((LAGS, rows.shape[1])), rows])
    return np.hstack([padded[LAGS - lag : len(padded) - lag] for lag in range(LAGS + 1)])


def window_ends(lengths: Sequence[int], *, lags: int = LAGS) -> npt.NDArray[np.int64]:
    """Rows of stacked stretches that have all their `lags` predecessors in their own stretch."""
    stops = np.cumsum(lengths)
    whole = zip(stops - lengths, stops, strict=True)
    ends = np.concatenate([np.arange(start + lags, stop) for start, stop in whole])
    if not len(ends):
        raise TrainingFailed(
            f"expected {lags + 1} rows without a break, got at most {max(lengths)} in a row"
        )
    return ends


def recent(rows: FloatArray, ends: npt.NDArray[np.int64]) -> FloatArray:
    """Windows (n, 1 + LAGS, dimension) that end at `ends`, newest first."""
    return np.asarray(rows[ends[:, None] - np.arange(LAGS + 1)])


def fit_linear(entities: Sequence[Sequence[FloatArray]], *, components: int) -> Linear:
    """Fit on raw rows without NaN: per entity its unbroken stretches (time, dimension)."""
    scaling = fit_scaling([stacked(stretches) for stretches in entities])
    stretches = [
        scaling.clipped(stretch, index)
        for index, group in enumerate(entities, start=1)
        for stretch in group
    ]
    pca = fit_pca(stacked(stretches), components=components)
    return Linear(scaling, pca, fit_leave_one_out(stretches))


def fit_scaling(entities: Sequence[FloatArray]) -> Scaling:
    """Scaling of each entity's rows, behind the one of all rows together."""
    low, high, center = (
        np.array([_by_dimension(entities, of), *(_by_dimension([rows], of) for rows in entities)])
        for of in (np.min, np.max, np.median)
    )  # (entity, dimension)
    span = np.where(high > low, high - low, np.maximum(np.abs(low), 1.0))
    return Scaling(center, low - center, span)


def _by_dimension(
    entities: Sequence[FloatArray], of: Callable[[FloatArray], np.float64]
) -> FloatArray:
    """One number per dimension, of all rows: a median would copy all dimensions at once."""
    dimensions = entities[0].shape[1]
    columns = (np.concatenate([rows[:, d] for rows in entities]) for d in range(dimensions))
    return np.array([of(column) for column in columns])


def fit_pca(rows: FloatArray, *, components: int) -> Pca:
    """Leading eigenvectors of the covariance; each one's largest entry is made positive."""
    mean = rows.mean(axis=0)
    scatter = summed(rows, lambda part: (part - mean).T @ (part - mean))
    _, vectors = np.linalg.eigh(scatter)  # ascending
    basis = vectors[:, ::-1][:, :components]  # (dimension, component)
    largest = np.abs(basis).argmax(axis=0)
    return Pca(mean, basis * np.sign(basis[largest, np.arange(basis.shape[1])]))


def fit_leave_one_out(stretches: Sequence[FloatArray]) -> LeaveOneOut:
    """Solve all dimensions from the inverse P of one ridged Gram matrix.

    With S the inputs of dimension d itself (now and its lags) and O all others, the weights of
    the ridge regression of d on O are the first column of -P_OS P_SS^-1 (block inverse).
    Ridge: Hoerl and Kennard, "Ridge Regression", Technometrics 1970.
    """
    rows = stacked(stretches)
    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), SCALE_FLOOR)
    dimensions = rows.shape[1]
    size, count = (1 + LAGS) * dimensions, 0
    gram = np.zeros((size, size))
    for stretch in stretches:  # in chunks: lagged rows would fill the memory
        for part in chunks(len(stretch), first=LAGS):
            inputs = lagged((stretch[part.start - LAGS : part.stop] - mean) / scale)[LAGS:]
            gram += inputs.T @ inputs
            count += len(inputs)
    inverse = np.linalg.inv(gram / max(count, 1) + RIDGE * np.eye(size))
    weights = np.zeros((size, dimensions))
    for dimension in range(dimensions):
        own = np.arange(dimension, size, dimensions)
        first = np.linalg.inv(inverse[np.ix_(own, own)])[:, 0]
        weights[:, dimension] = -inverse[:, own] @ first
        weights[own, dimension] = 0.0
    return LeaveOneOut(mean, scale, weights)


def residual_scale(residuals: Iterable[FloatArray], *, floor: float) -> FloatArray:
    """Root mean square of each dimension of residuals (time, dimension), floored."""
    return np.asarray(np.maximum(np.sqrt(mean_square(residuals)), floor))
