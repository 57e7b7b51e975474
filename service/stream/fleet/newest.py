"""The newest of every entity: last point, open incident, and the causes of its last odd point."""

from typing import Final

import numpy as np
import numpy.typing as npt

from service.stream.fleet.rows import CAUSES, Heard, IntArray, leading_causes
from service.stream.fleet.told import Told
from service.stream.rows import Rows

NEWEST: Final = np.dtype(
    [
        ("timestamp_ms", "<i8"),  # of the newest point
        ("seen_ms", "<i8"),  # when it came, by our clock
        ("changed", "<i8"),  # number of the last change
        ("heard", "<i8"),  # points that came here first
        ("source", "<i8"),
        ("score", "<f8"),
        ("severity", "<f8"),
        ("have", "<i8"),
        ("status", "u1"),
        ("is_anomaly", "?"),
        ("incident_ms", "<i8"),  # when the incident opened that is open; 0: none is
        ("is_silence", "?"),  # it is one of silence
        ("blamed_ms", "<i8"),  # of the newest odd point
        ("blamed_source", "<i8"),  # whose dimensions are meant
        ("dimension", "<u2", (CAUSES,)),
        ("share", "<f4", (CAUSES,)),  # 0: no cause
    ]
)
_OF_ROWS: Final = ("timestamp_ms", "score", "severity", "have", "status", "is_anomaly")
_NEVER: Final = np.zeros((), NEWEST)
_NEVER["timestamp_ms"] = _NEVER["blamed_ms"] = -1  # before every point


class Newest:
    """A table of NEWEST by place."""

    def __init__(self, places: int) -> None:
        self._table = np.zeros(places, NEWEST)

    def begin(self, place: int) -> None:
        """Make a place as new."""
        self._table[place] = _NEVER

    def at(self, places: IntArray) -> npt.NDArray[np.void]:
        """(place,) a copy."""
        return self._table[places]

    def times(self, places: IntArray) -> IntArray:
        """Of the newest points."""
        found: IntArray = self._table["timestamp_ms"][places]
        return found

    def changed(self, places: IntArray) -> IntArray:
        """Numbers of the last changes."""
        found: IntArray = self._table["changed"][places]
        return found

    def heard(self, places: IntArray) -> IntArray:
        """How many points came here first."""
        found: IntArray = self._table["heard"][places]
        return found

    def add(self, places: IntArray, points: IntArray) -> None:
        """So many more came here first."""
        self._table["heard"][places] += points

    def mark(self, places: IntArray, version: int) -> None:
        """They change now."""
        self._table["changed"][places] = version

    def put(self, places: IntArray, heard: Heard, *, source: int) -> None:
        """Take the last points (entity,) into account where they are newer than what is here."""
        is_newer = heard.rows["timestamp_ms"][heard.last] > self.times(places)
        at, last = places[is_newer], heard.last[is_newer]
        for name in _OF_ROWS:
            self._table[name][at] = heard.rows[name][last]
        self._table["source"][at] = source
        self._table["seen_ms"][at] = heard.seen_ms[is_newer]
        self._table["incident_ms"][at] = heard.incident_ms[is_newer]
        self._table["is_silence"][at] = heard.is_silence[is_newer]

    def blame(self, places: IntArray, rows: Rows, *, source: int) -> None:
        """Take the causes of odd points (point,) into account; of each entity in order."""
        is_newer = rows["timestamp_ms"] > self._table["blamed_ms"][places]
        at, newer = places[is_newer], rows[is_newer]  # of one place twice: the last one stays
        self._table["blamed_ms"][at] = newer["timestamp_ms"]
        self._table["blamed_source"][at] = source
        for name, column in leading_causes(newer).items():
            self._table[name][at] = column

    def open(self, place: int, told: Told) -> bool:
        """An incident is open, unless a later point said otherwise."""
        one = self._table[place]
        if told.as_of_ms < one["timestamp_ms"]:
            return False
        one["incident_ms"], one["is_silence"] = told.opened_ms, told.is_silence
        return True

    def end(self, place: int, told: Told) -> bool:
        """An incident is over; whether it was the one that is open."""
        one = self._table[place]
        if one["incident_ms"] != told.opened_ms or one["is_silence"] != told.is_silence:
            return False
        one["incident_ms"], one["is_silence"] = 0, False
        return True
