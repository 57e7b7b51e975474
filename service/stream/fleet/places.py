"""The places of the fleet: who has which, who left, and who found none."""

from collections import deque
from collections.abc import Iterable, Sequence

NO_PLACE = -1


class Places:
    """At most `room` entities, first come first kept."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._places: dict[str, int] = {}
        self._free: list[int] = []  # places that were left
        self._left = deque[tuple[int, str]](maxlen=room)  # with the number of the change
        self._left_unknown_until = 0  # those who left before this change are not known any more
        self._turned_away = set[str]()  # since entities were counted, up to as many as fit
        self._kept = 0  # entities there were when they were counted

    def __len__(self) -> int:
        return len(self._places)

    def of(self, entity: str) -> int | None:
        """Its place, if it has one."""
        return self._places.get(entity)

    def of_each(self, entities: Iterable[str]) -> list[int | None]:
        """The place of each."""
        return list(map(self._places.get, entities))

    def of_all(self, entities: Iterable[str]) -> dict[str, int]:
        """Places of those that have one."""
        return {name: place for name in entities if (place := self.of(name)) is not None}

    def take(self, entity: str) -> int:
        """A place for a new entity, or NO_PLACE."""
        if self._free:
            place = self._free.pop()
        elif len(self._places) < self._room:
            place = len(self._places)
        else:
            if len(self._turned_away) < self._room:
                self._turned_away.add(entity)
            return NO_PLACE
        self._turned_away.discard(entity)
        self._places[entity] = place
        return place

    def leave(self, entity: str, version: int) -> None:
        """It has no place any more."""
        self._free.append(self._places.pop(entity))
        if len(self._left) == self._left.maxlen:
            self._left_unknown_until = self._left[0][0]
        self._left.append((version, entity))

    def left_since(self, version: int) -> list[str] | None:
        """Who left after a change and did not come back; None: that is not known any more."""
        if version < self._left_unknown_until:
            return None
        left = {name for number, name in self._left if number > version}
        return sorted(name for name in left if name not in self._places)

    def all(self) -> tuple[Sequence[str], Sequence[int]]:
        """Names, and the place of each."""
        return list(self._places), list(self._places.values())

    def count(self, kept: int) -> None:
        """So many entities are kept in all."""
        self._kept = kept
        self._turned_away.clear()

    @property
    def left_off(self) -> int:
        """Entities without a place, as far as is known."""
        return max(self._kept - len(self._places), len(self._turned_away))
