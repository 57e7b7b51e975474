"""Long series in chunks, so that what is made of a row never lies in memory for all rows at once.

A sum over rows is taken chunk by chunk, in order: of no more rows than a chunk it is bit for bit
the sum over all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from service.scoring.series import FloatArray

CHUNK = 65_536  # rows


def stacked(arrays: Sequence[FloatArray]) -> FloatArray:
    """All rows behind each other; of one array no copy."""
    return arrays[0] if len(arrays) == 1 else np.vstack(arrays)


def chunks(length: int, *, first: int = 0, size: int = CHUNK) -> Iterator[slice]:
    """Slices of rows first..length-1."""
    for start in range(first, length, size):
        yield slice(start, min(start + size, length))


def summed(rows: FloatArray, term: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """The sum of a term over chunks of rows."""
    first, *others = (term(rows[part]) for part in chunks(len(rows)))
    return sum(others, start=first)


def mean_square(parts: Iterable[FloatArray]) -> FloatArray:
    """Mean over all rows of parts (time, dimension) of their squares; NaN of none."""
    total, count = np.zeros(()), 0
    for rows in _gathered(parts):
        squares = np.square(rows).sum(axis=0)
        total, count = (total + squares if count else squares), count + len(rows)
    return np.asarray(total / count)


def _gathered(parts: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """The same rows in arrays of at least a chunk, but for the last."""
    waiting: list[FloatArray] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) > CHUNK:
            yield stacked(waiting)
            waiting = []
    if waiting:
        yield stacked(waiting)
