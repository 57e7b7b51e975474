"""Events: maximal runs of labelled points, and what is asked of each of them."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def runs(flags: BoolArray, *, gap: int = 0) -> list[tuple[int, int]]:
    """Runs (start, end inclusive) of True; runs with at most `gap` points between them are one."""
    at = np.flatnonzero(flags)
    if not len(at):
        return []
    is_break = np.diff(at) > gap + 1
    starts = at[np.concatenate([[True], is_break])]
    ends = at[np.concatenate([is_break, [True]])]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def peaks(label: BoolArray, score: FloatArray) -> FloatArray:
    """The highest score inside each event: (event,)."""
    return np.array([score[start : end + 1].max() for start, end in runs(label)])


def outside(label: BoolArray, stretches: Iterable[tuple[int, int]]) -> int:
    """How many stretches (start, end inclusive) touch no labelled point."""
    return sum(not label[start : end + 1].any() for start, end in stretches)
