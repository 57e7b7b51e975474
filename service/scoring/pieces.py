"""A series in pieces: what a piece has to know of those before it.

Every cut gives the verdicts of the whole, bit for bit, because the fold is pure and its state is
all that a point leaves behind; and an open incident takes along how it was last told.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from service.errors import BadSeries
from service.scoring.fold import Fold, States
from service.scoring.incident import Transition
from service.scoring.offline import Scored, Told, score_series
from service.scoring.series import Series

_NUMBERS: Final = struct.Struct("<qq")  # points, row; then the incident and the state as records


@dataclass(frozen=True)
class Past:
    """All pieces before one."""

    points: int
    states: States  # (1,)
    opened_row: int  # of the open incident, counted from the first point of all; -1: none is open
    told: np.void  # that incident as it was last told

    @property
    def newest_ms(self) -> int | None:
        """Time of the last point, if there is one."""
        return int(self.states["entity"]["timestamp_ms"][0]) if self.points else None

    def encode(self) -> bytes:
        """As bytes that `decoded` reads."""
        return _NUMBERS.pack(self.points, self.opened_row) + (
            self.told.tobytes() + self.states.tobytes()
        )


def no_past(fold: Fold, entity: str) -> Past:
    """Before the first point."""
    index = np.array([fold.bundle.entity_indices.get(entity, 0)], np.int64)
    states = fold.fresh(index)
    return Past(0, states, -1, states["entity"]["incident"][0].copy())


def decoded(past: bytes, fold: Fold) -> Past:
    """The inverse of `encode` for this very bundle. Raises BadSeries."""
    incident = fold.state_dtype["entity"]["incident"]
    sizes = _NUMBERS.size, incident.itemsize, fold.state_dtype.itemsize
    if len(past) != sum(sizes):
        raise BadSeries(f"expected a state of {sum(sizes)} bytes, came {len(past)}")
    points, opened_row = _NUMBERS.unpack_from(past)
    told = np.frombuffer(past, incident, count=1, offset=sizes[0])[0].copy()
    return Past(points, fold.decode(past[sizes[0] + sizes[1] :]), opened_row, told)


def score_piece(
    fold: Fold, series: Series, past: Past, *, on_point: Callable[[int], None] | None = None
) -> tuple[Scored, Past]:
    """Score a piece, and what the next one has to know."""
    states = past.states.copy()
    [scored] = score_series(fold, [series], states=states, on_point=on_point)
    opened_row, told = past.opened_row, past.told
    for one in scored.told:
        if one.transition == Transition.OPENED:
            opened_row = past.points + one.row
        told = one.incident
    is_open = bool(states["entity"]["incident"]["is_open"][0])
    points = past.points + len(series.values)
    return scored, Past(points, states, opened_row if is_open else -1, told)


def told_before(past: Past) -> Told | None:
    """The incident that is open when a piece begins; its row is counted from that beginning."""
    if past.opened_row < 0:
        return None
    return Told(past.opened_row - past.points, Transition.OPENED, past.told)
