"""The closed-form part of a bundle: scaling per entity, PCA, and linear leave-one-out.

Everything is NumPy float64. Row 0 of the per-entity arrays is the pooled entity, the scaling of
entities never seen in training. PCA and leave-one-out are shared by all entities of a bundle,
because in scaled units entities of one kind look alike.

`center` is the training median, so float32 of (x - center) resolves a counter of 1e12 that moves
by 1: what is left has the size of the movement, not of the level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.errors import TrainingFailed
from service.scoring.series import FloatArray

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
        centred = values - self.center[entity]
        return np.asarray((centred - self.offset[entity]) / self.span[entity])


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
        return np.asarray(
            self.mean + self.scale * (lagged(self.standardise(clipped)) @ self.weights)
        )


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
    pooled = [np.vstack(stretches) for stretches in entities]
    scaling = fit_scaling(pooled)
    stretches = [
        clip(scaling.scale(stretch, index))
        for index, group in enumerate(entities, start=1)
        for stretch in group
    ]
    rows = np.vstack(stretches)
    return Linear(scaling, fit_pca(rows, components=components), fit_leave_one_out(stretches))


def fit_scaling(entities: Sequence[FloatArray]) -> Scaling:
    """Scaling of each entity's rows, behind the one of all rows together."""
    groups = [np.vstack(entities), *entities]
    low = np.array([rows.min(axis=0) for rows in groups])  # (entity, dimension)
    high = np.array([rows.max(axis=0) for rows in groups])
    center = np.array([np.median(rows, axis=0) for rows in groups])
    span = np.where(high > low, high - low, np.maximum(np.abs(low), 1.0))
    return Scaling(center, low - center, span)


def fit_pca(rows: FloatArray, *, components: int) -> Pca:
    """Leading eigenvectors of the covariance; each one's largest entry is made positive."""
    mean = rows.mean(axis=0)
    _, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean))  # ascending
    basis = vectors[:, ::-1][:, :components]  # (dimension, component)
    largest = np.abs(basis).argmax(axis=0)
    return Pca(mean, basis * np.sign(basis[largest, np.arange(basis.shape[1])]))


def fit_leave_one_out(stretches: Sequence[FloatArray]) -> LeaveOneOut:
    """Solve all dimensions from the inverse P of one ridged Gram matrix.

    With S the inputs of dimension d itself (now and its lags) and O all others, the weights of
    the ridge regression of d on O are the first column of -P_OS P_SS^-1 (block inverse).
    Ridge: Hoerl and Kennard, "Ridge Regression", Technometrics 1970.
    """
    rows = np.vstack(stretches)
    mean, scale = rows.mean(axis=0), np.maximum(rows.std(axis=0), SCALE_FLOOR)
    dimensions = rows.shape[1]
    size, count = (1 + LAGS) * dimensions, 0
    gram = np.zeros((size, size))
    for stretch in stretches:  # one at a time: the lagged rows of a fleet would fill the memory
        inputs = lagged((stretch - mean) / scale)[LAGS:]
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


def residual_scale(residual: FloatArray, *, floor: float) -> FloatArray:
    """Root mean square of each dimension of `residual (time, dimension)`, floored."""
    return np.asarray(np.maximum(np.sqrt(np.square(residual).mean(axis=0)), floor))
