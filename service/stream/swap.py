"""Swaps: an entity goes over to another bundle and keeps what does not belong to a model.

Its last values, its open incident, its place in the log and the rows of its window go over; the
model state is rebuilt from that window. A bundle of other dimensions starts entities anew.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.scoring.fold import Points, States
from service.scoring.offline import lockstep
from service.stream.lane import Lane
from service.stream.rows import Rows, decided


class Leaving(NamedTuple):
    """An entity as the bundle it leaves knows it."""

    entity: str
    state: np.void  # after its newest point
    rows: Rows  # what its ring keeps, oldest first


class Carried(NamedTuple):
    """The same entity, for the bundle that takes it over."""

    state: np.void
    rows: Rows


def can_take_over(old: Lane, new: Lane) -> bool:
    """Whether values, missing dimensions and blame mean the same in both."""
    return old.fold.bundle.manifest.dimensions == new.fold.bundle.manifest.dimensions


def carry_over(old: Lane, new: Lane, leaving: Sequence[Leaving]) -> list[Carried]:
    """Take entities over from `old`, all side by side."""
    names = [one.entity for one in leaving]
    shifts = old.center(old.entity_indices(names)) - new.center(new.entity_indices(names))
    rows = [_shifted(one.rows, shift) for one, shift in zip(leaving, shifts, strict=True)]
    states = _rebuilt(new, names, [own[-new.window :] for own in rows])
    for member, (one, shift) in enumerate(zip(leaving, shifts, strict=True)):
        states["entity"][member] = one.state["entity"]
        states["entity"]["values"][member] += shift.astype(np.float32)
    return [Carried(state, own) for state, own in zip(states, rows, strict=True)]


def _shifted(rows: Rows, shift: npt.NDArray[np.float64]) -> Rows:
    """Rows whose values are counted from another centre: (dimension,) is added to them."""
    moved = rows.copy()
    moved["values"] = (rows["values"] + shift).astype(np.float32)
    causes = rows["causes"]
    moved["causes"]["expected"] = (causes["expected"] + shift[causes["dimension"]]).astype("<f4")
    return moved


def _rebuilt(lane: Lane, entities: Sequence[str], windows: Sequence[Rows]) -> States:
    """States whose models have seen these windows, oldest first; nothing is decided again."""
    index = lane.entity_indices(entities)
    states = lane.fold.fresh(index)
    counts = [len(window) for window in windows]
    packed = np.concatenate(windows)
    starts = np.cumsum([0, *counts])
    for time, members in lockstep(counts):
        rows = packed[starts[members] + time]
        points = Points(index[members], rows["timestamp_ms"], rows["values"])
        calm = rows.copy()
        for name in ("is_flagged", "holds", "transition"):
            calm[name] = 0
        states[members], _ = lane.fold.step(states[members], points, decided(calm))
    return states
