"""The arena: the newest committed state of the entities of one bundle, in one array.

Only a cache. Redis is the truth, and a commit is refused when the token held here is old.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.scoring.fold import Fold, States
from service.stream.commit import IncidentPart
from service.stream.waiting import Dropped

FIRST_CAPACITY = 64


@dataclass(slots=True)
class Held:
    """What is held of one entity beside its state."""

    slot: int
    token: bytes = b""  # b"": never committed
    seq: int = 0
    timestamp_ms: int = -1  # of its newest point
    needs_snapshot: bool = False  # Redis has one of another bundle
    rows: bytes = b""  # taken over from another bundle, to be written with the next points
    waiting: bytes = b""  # points that came too early to be scored
    dropped: Dropped | None = None  # Redis has some in a form that nobody reads any more
    ended: tuple[IncidentPart, ...] = ()  # told next: what nobody goes on with, what was lost

    def committed(
        self, token: bytes, seq: int, timestamp_ms: int, *, waiting: bytes | None
    ) -> None:
        """What a commit that was made has changed; `waiting` is None where that stays."""
        self.token, self.seq, self.timestamp_ms = token, seq, timestamp_ms
        self.needs_snapshot, self.rows, self.dropped, self.ended = False, b"", None, ()
        if waiting is not None:
            self.waiting = waiting


class Arena:
    """States of at most `max_entities`; the least recently used makes room."""

    def __init__(self, fold: Fold, *, max_entities: int) -> None:
        self.fold = fold
        self._states = np.zeros(min(FIRST_CAPACITY, max_entities), fold.state_dtype)
        self._held: OrderedDict[str, Held] = OrderedDict()  # least recently used first
        self._free = list(range(len(self._states)))
        self._max_entities = max_entities

    def __len__(self) -> int:
        return len(self._held)

    def get(self, entity: str) -> Held | None:
        """What is held, marked as just used."""
        held = self._held.get(entity)
        if held is not None:
            self._held.move_to_end(entity)
        return held

    def of(self, entities: Sequence[str]) -> list[Held | None]:
        """What is held of each, marked as just used."""
        found = list(map(self._held.get, entities))
        for entity, one in zip(entities, found, strict=True):
            if one is not None:
                self._held.move_to_end(entity)
        return found

    def rows(self, entity: str) -> bytes:
        """What was taken over of an entity and is not committed yet."""
        held = self._held.get(entity)
        return b"" if held is None else held.rows

    def states(self, held: Sequence[Held]) -> States:
        """A copy of the states of these entities, (batch,)."""
        return self._states[[one.slot for one in held]]

    def is_silent(self, held: Sequence[Held]) -> npt.NDArray[np.bool_]:
        """Whether entities (batch,) are known to have fallen silent."""
        flags: npt.NDArray[np.bool_] = self._states["entity"]["is_silent"][
            [one.slot for one in held]
        ]
        return flags

    def put(self, entity: str, state: npt.NDArray[np.void] | np.void, held: Held) -> Held:
        """Keep a state; the slot of `held` is chosen here."""
        self._place(entity, held)
        self._states[held.slot] = state
        return held

    def write(self, held: Sequence[Held], states: States) -> None:
        """Replace the states (batch,) of entities that are held."""
        self._states[[one.slot for one in held]] = states

    def drop(self, entity: str) -> None:
        """Forget an entity; the next point loads it from Redis."""
        if (held := self._held.pop(entity, None)) is not None:
            self._free.append(held.slot)

    def _place(self, entity: str, held: Held) -> None:
        known = self._held.get(entity)
        held.slot = known.slot if known is not None else self._take_slot()
        self._held[entity] = held
        self._held.move_to_end(entity)

    def _take_slot(self) -> int:
        if not self._free:
            self._make_room()
        return self._free.pop()

    def _make_room(self) -> None:
        size = len(self._states)
        if size >= self._max_entities:
            self.drop(next(iter(self._held)))
            return
        grown = min(2 * size, self._max_entities)
        self._states = np.concatenate([self._states, np.zeros(grown - size, self._states.dtype)])
        self._free.extend(range(size, grown))
