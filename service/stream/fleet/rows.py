"""What the fleet hears: new rows of one bundle, and which incidents are open after them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from service.scoring.incident import Transition
from service.stream.lane import Lane
from service.stream.path import Attempted
from service.stream.rows import Rows

CAUSES: Final = 3  # of the newest odd point
_ENDS: Final = (int(Transition.RESOLVED), int(Transition.NEW_NORMAL))

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Source(NamedTuple):
    """What scored."""

    model: str  # bundle name/version
    period_seconds: float
    need: int
    dimensions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Heard:
    """Points of distinct entities, one entity after the other, each in order of time."""

    source: Source
    entities: list[str]
    counts: IntArray  # (entity,) at least one
    rows: Rows  # (point,)
    seen_ms: IntArray  # (entity,) when the newest one came, by our clock
    incident_ms: IntArray  # (entity,) when the incident opened that is open now; 0: none is
    is_silence: BoolArray  # (entity,) it is one of silence

    @cached_property
    def last(self) -> IntArray:
        """(entity,) which rows are those of their newest points."""
        return last_of(self.counts)

    def only(self, chosen: BoolArray) -> "Heard":
        """Those of chosen entities (entity,)."""
        return Heard(
            self.source,
            [entity for entity, is_in in zip(self.entities, chosen.tolist(), strict=True) if is_in],
            self.counts[chosen],
            self.rows[np.repeat(chosen, self.counts)],
            seen_ms=self.seen_ms[chosen],
            incident_ms=self.incident_ms[chosen],
            is_silence=self.is_silence[chosen],
        )


def heard_of(done: Attempted, now_ms: int) -> Heard:
    """The points of a batch that were kept."""
    entities, counts = done.arrived.entities, np.array(done.arrived.counts, np.int64)
    heard = Heard(
        source_of(done.lane),
        entities,
        counts,
        done.rows,
        seen_ms=np.full(len(entities), now_ms, np.int64),
        incident_ms=open_incidents(done.rows, last_of(counts)),
        is_silence=np.zeros(len(entities), bool),
    )
    if not done.stale:
        return heard
    return heard.only(np.array([entity not in done.stale for entity in entities], bool))


def source_of(lane: Lane) -> Source:
    """What scores in a lane."""
    manifest = lane.fold.bundle.manifest
    dimensions = tuple(manifest.dimensions)
    return Source(lane.reader.title, manifest.period_seconds, lane.fold.need, dimensions)


def last_of(counts: IntArray) -> IntArray:
    """(entity,) where the newest points are."""
    last: IntArray = np.cumsum(counts) - 1
    return last


def open_incidents(rows: Rows, at: IntArray) -> IntArray:
    """When the incidents opened that people are told of and that are open after these points."""
    found: IntArray = np.where(rows["is_public"][at], rows["opened_ms"][at], 0)
    transition = rows["transition"][at]
    for end in _ENDS:
        found[transition == end] = 0
    return found


def leading_causes(rows: Rows) -> dict[str, npt.NDArray[Any]]:
    """Dimension and share (point, CAUSES) of the largest ones; a share of 0 is no cause."""
    causes = rows["causes"][:, :CAUSES]
    found = {name: np.zeros((len(rows), CAUSES)) for name in ("dimension", "share")}
    for name, column in found.items():
        column[:, : causes.shape[1]] = causes[name]
    return found
