"""Thinning of long curves for drawing: fewer points, and every peak still there."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trainer.measures.events import FloatArray, IntArray


def extremes(values: FloatArray, bins: int) -> IntArray:
    """Rows of the lowest and the highest of `values` (time,) in each of `bins` bins, in order.

    All rows where there are at most two per bin. The first and the last row are among them; of
    equal values the first counts, and NaN is neither lowest nor highest where there is a number.
    """
    if len(values) <= 2 * bins:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), bins + 1).astype(np.int64)
    rows = [0, len(values) - 1]
    for start, stop in pairwise(edges.tolist()):
        part = values[start:stop]
        if not np.isnan(part).all():
            rows += [start + int(np.nanargmin(part)), start + int(np.nanargmax(part))]
        else:
            rows.append(start)
    return np.unique(np.array(rows, np.int64))


def highest(values: npt.NDArray[np.floating], bins: int) -> tuple[FloatArray, IntArray]:
    """The highest of `values` (time, ...) in each bin, NaN as 0: (bin, ...), first rows (bin + 1,).

    As many bins as rows where there are fewer rows.
    """
    edges = np.linspace(0, len(values), min(bins, len(values)) + 1).astype(np.int64)
    cells = np.maximum.reduceat(np.nan_to_num(values), edges[:-1], axis=0)
    return cells.astype(np.float64), edges
