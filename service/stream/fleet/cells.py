"""Cells: the largest severity of every entity in each of 60 stretches of time, a byte each."""

from typing import Final

import numpy as np
import numpy.typing as npt

CELLS: Final = 60
STEPS_PER_NAT: Final = 4
MAX_LEVEL: Final = 127
ANOMALY: Final = 128  # added where a point was an anomaly

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]


def levels_of(severity: npt.NDArray[np.float64]) -> ByteArray:
    """1 to 127: one more than the severity in quarter nats, rounded down; not scored is 1."""
    steps = np.floor(np.nan_to_num(severity, nan=0.0, posinf=MAX_LEVEL) * STEPS_PER_NAT)
    levels: ByteArray = np.clip(steps + 1, 1, MAX_LEVEL).astype(np.uint8)
    return levels


class Cells:
    """For each place a ring of the newest 60 cells that had a point.

    Beside each cell stands its number since 1970, so that one of a time long past is void.
    """

    def __init__(self, places: int, *, seconds: int) -> None:
        self._milliseconds = 1000 * seconds
        self._numbers = np.zeros(places * CELLS, np.int32)
        self._levels = np.zeros(places * CELLS, np.uint8)  # 0: no point
        self._has_anomaly = np.zeros(places * CELLS, bool)

    def put(
        self, places: IntArray, timestamps_ms: IntArray, *, levels: ByteArray, anomalies: BoolArray
    ) -> None:
        """Take points (point,) into account, in any order; one twice is the same as once."""
        numbers = (timestamps_ms // self._milliseconds).astype(np.int32)
        at = places * CELLS + numbers % CELLS
        before = self._numbers[at]
        np.maximum.at(self._numbers, at, numbers)
        now = self._numbers[at]
        begun = at[now > before]
        self._levels[begun] = 0
        self._has_anomaly[begun] = False
        is_in = numbers == now
        np.maximum.at(self._levels, at[is_in], levels[is_in])
        self._has_anomaly[at[is_in & anomalies]] = True

    def clear(self, place: int) -> None:
        """Make a place as new."""
        ring = slice(place * CELLS, (place + 1) * CELLS)
        self._numbers[ring], self._levels[ring], self._has_anomaly[ring] = 0, 0, False

    def read(self, places: IntArray, end_ms: int) -> ByteArray:
        """(place, cell) oldest first, the last one holds `end_ms`; 0 where there is no point."""
        last = end_ms // self._milliseconds
        wanted = np.arange(last - CELLS + 1, last + 1)
        order = wanted % CELLS
        rings = (self._numbers, self._levels, self._has_anomaly)
        numbers, levels, has_anomaly = (ring.reshape(-1, CELLS)[places] for ring in rings)
        bytes_ = np.where(has_anomaly, levels | np.uint8(ANOMALY), levels)[:, order]
        found: ByteArray = np.where(numbers[:, order] == wanted, bytes_, np.uint8(0))
        return found
