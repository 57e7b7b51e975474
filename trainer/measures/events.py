"""Events: maximal runs of labelled points, and what is asked of each of them."""

import numpy as np
import numpy.typing as npt

from service.scoring.decisions import BoolArray, IntArray, outside, runs

__all__ = ["BoolArray", "FloatArray", "IntArray", "outside", "peaks", "runs"]

FloatArray = npt.NDArray[np.float64]


def peaks(label: BoolArray, score: FloatArray) -> FloatArray:
    """The highest score inside each event: (event,)."""
    return np.array([score[start : end + 1].max() for start, end in runs(label)])
