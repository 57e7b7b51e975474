"""Waiting points: held inside a lateness bound until no earlier one can be expected any more.

They lie in Redis beside their entity, as one blob, until the watermark - the newest time seen less
the bound - has passed them; then they are scored in order of time, whatever order they came in.
Watermarks: Akidau et al., "The Dataflow Model", PVLDB 8(12), 2015.
"""

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from service.stream.policy_limits import LAST_MS

MAX_WAITING_POINTS: Final = 512  # of one entity; more, and the oldest wait no longer

Waiting = npt.NDArray[np.void]  # (point,) in order of time
FloatArray = npt.NDArray[np.float64]
DropReason = Literal["bundle_gone", "other_dimensions", "deleted"]
DROP_REASONS: Final[tuple[DropReason, ...]] = get_args(DropReason)


class Fate(IntEnum):
    """What becomes of a point."""

    UNUSABLE = 0
    PAST = 1  # not later than what was scored: a repeat, or late
    NEW = 2  # scored now
    WAITS = 3
    WAITS_ALREADY = 4  # the same as one that waits
    CONFLICTS = 5  # with one of the same time that waits


class Dropped(NamedTuple):
    """Points that waited, and will never be scored."""

    reason: DropReason
    points: int


def waiting_dtype(dimensions: int) -> np.dtype[np.void]:
    """One waiting point: what was posted."""
    return np.dtype([("timestamp_ms", "<i8"), ("values", "<f8", (dimensions,))])


def read_waiting(blob: bytes, *, dimensions: int) -> Waiting:
    """Waiting points of an entity; none where the blob is of other dimensions."""
    dtype = waiting_dtype(dimensions)
    return np.frombuffer(blob if len(blob) % dtype.itemsize == 0 else b"", dtype)


def waiting_blob(timestamps_ms: npt.NDArray[np.int64], values: FloatArray) -> bytes:
    """The inverse of `read_waiting`, for points (point,) with values (point, dimension)."""
    waiting = np.zeros(len(values), waiting_dtype(values.shape[1]))
    waiting["timestamp_ms"], waiting["values"] = timestamps_ms, values
    return waiting.tobytes()


def waiting_points(blob: bytes) -> int:
    """How many wait in a blob of unknown dimensions: as many as can be in order of time.

    A value that is read as a time is no time: far beyond the year 2200, or not after the last.
    """
    cells = np.frombuffer(blob[: len(blob) // 8 * 8], "<i8")
    for points in range(min(MAX_WAITING_POINTS, len(cells) // 2), 0, -1):
        times = cells[:: len(cells) // points]
        is_even = len(cells) % points == 0
        if is_even and times[0] >= 0 and times[-1] < LAST_MS and (times[1:] > times[:-1]).all():
            return points
    return 0


def fates(
    timestamps_ms: Sequence[int], values: FloatArray, *, newest_ms: int, lateness_ms: int
) -> list[Fate]:
    """What becomes of usable points (point,) of one entity, given in order of time.

    `newest_ms` is the time of the newest point that was scored; `values` are (point, dimension).
    """
    release_ms = _release_ms(timestamps_ms, newest_ms, lateness_ms)
    found, scored_ms, last = list[Fate](), newest_ms, -1
    for point, timestamp_ms in enumerate(timestamps_ms):
        if timestamp_ms <= scored_ms:
            found.append(Fate.PAST)
        elif timestamp_ms <= release_ms:
            scored_ms = timestamp_ms
            found.append(Fate.NEW)
        elif last >= 0 and timestamp_ms == timestamps_ms[last]:
            is_same = np.array_equal(values[point], values[last], equal_nan=True)
            found.append(Fate.WAITS_ALREADY if is_same else Fate.CONFLICTS)
        else:
            last = point
            found.append(Fate.WAITS)
    return found


def _release_ms(timestamps_ms: Sequence[int], newest_ms: int, lateness_ms: int) -> float:
    """Up to when points are scored: the watermark, or what keeps the waiting ones few."""
    if not lateness_ms:
        return math.inf
    watermark_ms = max([newest_ms, *timestamps_ms]) - lateness_ms
    crowded = sorted({ms for ms in timestamps_ms if ms > watermark_ms})[:-MAX_WAITING_POINTS]
    return crowded[-1] if crowded else watermark_ms
