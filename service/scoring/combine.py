"""From what each view says to one number, and from single points to what lasts."""

import numpy as np
import numpy.typing as npt

HALF_LIVES_POINTS = (4.0, 16.0, 64.0)  # of the averages that severity compares with the present
_RATES = 1.0 - 2.0 ** (-1.0 / np.array(HALF_LIVES_POINTS))  # (average,)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def combined(levels: FloatArray, weights: FloatArray) -> FloatArray:
    """Power mean of order 4 of weighted surprisals: (..., view), (view,) -> (...).

    Between the mean, in which a view that sees nothing hides one that does, and the largest, which
    raises as many false alarms as all views together (docs/detection-notes.md, 5).
    Power means: Hardy, Littlewood and Polya, Inequalities, 1934, chapter 2.
    """
    squared = np.square(np.ascontiguousarray(levels) * weights)
    powers = np.square(squared)
    return np.asarray(np.sqrt(np.sqrt(powers.sum(axis=-1) / powers.shape[-1])))


def remember(recent: FloatArray, levels: FloatArray) -> FloatArray:
    """The recent averages (batch, average) after levels (batch,); they start from 0."""
    return np.asarray(recent + _RATES * (levels[:, None] - recent))


def sustained(recent: FloatArray, levels: FloatArray) -> FloatArray:
    """The present level or the largest recent average, whichever is more: (batch,).

    A weak deviation that lasts counts for more than a weak moment, and an onset counts at once.
    """
    return np.asarray(np.maximum(levels, recent.max(axis=1)))
