"""The layout of records: every number aligned, and no byte undefined."""

from collections.abc import Sequence
from typing import Any

import numpy as np

ALIGNMENT_BYTES = 8


def aligned(fields: Sequence[tuple[Any, ...]]) -> np.dtype[np.void]:
    """A record of these fields, the wide ones first, filled up to a multiple of eight bytes.

    NumPy copies what is not aligned before every use, and leaves the gaps of its own `align=True`
    as they were, so that equal records would differ in their bytes.
    """
    ordered = sorted(fields, key=_width_bytes, reverse=True)
    spare = -np.dtype(ordered).itemsize % ALIGNMENT_BYTES
    return np.dtype([*ordered, ("filler", "u1", (spare,))] if spare else ordered)


def _width_bytes(field: tuple[Any, ...]) -> int:
    return min(int(np.dtype(field[1]).itemsize), ALIGNMENT_BYTES)
