"""The fleet: every entity on one board, for people who look at all of them at once.

The thread that scores hands over its rows after the answers are out. What other replicas scored
comes with the alert log, and from Redis (`fill`).
"""

import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from service.stream.fleet.cells import ByteArray, Cells, levels_of
from service.stream.fleet.newest import Newest
from service.stream.fleet.places import NO_PLACE, Places
from service.stream.fleet.rows import Heard, IntArray, Source, heard_of
from service.stream.fleet.told import Told, told_of
from service.stream.path import Attempted, wall_clock_ms

Span = Literal["hour", "6h", "day"]

CELL_SECONDS: Final[Mapping[Span, int]] = {"hour": 60, "6h": 360, "day": 1_440}
AHEAD_MS: Final = 300_000  # of our clock; a later point does not say what the newest time is
ODD_NATS: Final = 8.0  # a severity from which on causes are told, also where nothing is anomalous
ENDED_KEPT: Final = 1_024  # incidents that ended lately


class Taken(NamedTuple):
    """Entities of the board as they were at one moment."""

    version: int
    is_whole: bool  # False: only what changed since the version that was asked about
    now_ms: int
    end_ms: int
    on_board: int  # entities
    left_off: int
    sources: list[Source]
    removed: list[str]
    names: list[str]
    newest: npt.NDArray[np.void]  # (entity,) NEWEST
    cells: ByteArray  # (entity, cell)


class Fleet:
    """At most `max_entities` entities; for any thread."""

    def __init__(self, max_entities: int, *, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        self.id = secrets.token_bytes(8)
        self.max_entities = max_entities
        self.clock_ms = clock_ms
        self._lock = threading.Lock()
        self._version = 0
        self._places = Places(max_entities)
        self._newest = Newest(max_entities)
        self._cells = {
            span: Cells(max_entities, seconds=seconds) for span, seconds in CELL_SECONDS.items()
        }
        self._sources: dict[Source, int] = {}
        self._ended = deque[tuple[str, int, bool]](maxlen=ENDED_KEPT)

    @property
    def version(self) -> int:
        """Number of the last change."""
        return self._version

    def hear(self, done: Attempted) -> None:
        """Take the points of a batch into account, those that were kept."""
        heard = heard_of(done, self.clock_ms())
        if heard.entities:
            self.note(heard, is_first=True)

    def note(self, heard: Heard, *, is_first: bool = False) -> None:
        """Take points into account; those that were taken before change nothing.

        `is_first` says that they never were.
        """
        with self._lock:
            self._version += 1
            places = self._places_of(heard.entities)
            if (is_in := places != NO_PLACE).all():
                self._put(heard, places, is_first=is_first)
            elif is_in.any():
                self._put(heard.only(is_in), places[is_in], is_first=is_first)

    def tell(self, content: bytes) -> None:
        """Take an alert of the log into account, whoever wrote it."""
        if (told := told_of(content)) is not None:
            with self._lock:
                self._tell(told)

    def has_ended(self, entity: str, opened_ms: int, *, is_silence: bool) -> bool:
        """Whether the log said lately that this incident is over."""
        with self._lock:
            return (entity, opened_ms, is_silence) in self._ended

    def forget(self, entities: Iterable[str], *, unless_after: int | None = None) -> None:
        """Take entities off the board; not those that changed after that version."""
        with self._lock:
            self._version += 1
            for entity in entities:
                place = self._places.of(entity)
                if place is None:
                    continue
                changed = int(self._newest.changed(np.array([place]))[0])
                if unless_after is None or changed <= unless_after:
                    self._places.leave(entity, self._version)

    def names(self) -> set[str]:
        """Who is on the board."""
        with self._lock:
            return set(self._places.all()[0])

    @property
    def room(self) -> int:
        """Places that are free."""
        with self._lock:
            return self.max_entities - len(self._places)

    def heard(self, entities: Iterable[str]) -> dict[str, int]:
        """How many of their points came by `hear`; of those on the board."""
        with self._lock:
            known = self._places.of_all(entities)
            points = self._newest.heard(np.array(list(known.values()), np.int64))
            return dict(zip(known, points.tolist(), strict=True))

    def count(self, kept: int) -> None:
        """So many entities are kept in Redis."""
        with self._lock:
            self._places.count(kept)

    def taken(self, span: Span, since: int | None = None) -> Taken:
        """All entities with the cells of a span, or those that changed since a version."""
        with self._lock:
            now_ms = self.clock_ms()
            names, numbers = self._places.all()
            places = np.array(numbers, np.int64)
            end_ms = _end_ms(self._newest.times(places), now_ms)
            known = since is not None and since <= self._version
            removed = self._places.left_since(since) if since is not None and known else None
            if since is not None and removed is not None:
                chosen = np.flatnonzero(self._newest.changed(places) > since)
                names, places = [names[at] for at in chosen.tolist()], places[chosen]
            return Taken(
                version=self._version,
                is_whole=removed is None,
                now_ms=now_ms,
                end_ms=end_ms,
                on_board=len(self._places),
                left_off=self._places.left_off,
                sources=list(self._sources),
                removed=removed or [],
                names=list(names),
                newest=self._newest.at(places),
                cells=self._cells[span].read(places, end_ms),
            )

    def _places_of(self, entities: Sequence[str]) -> IntArray:
        pairs = zip(entities, self._places.of_each(entities), strict=True)
        places = [self._begin(entity) if place is None else place for entity, place in pairs]
        return np.array(places, np.int64)

    def _begin(self, entity: str) -> int:
        if (place := self._places.take(entity)) != NO_PLACE:
            self._newest.begin(place)
            for cells in self._cells.values():
                cells.clear(place)
        return place

    def _put(self, heard: Heard, places: IntArray, *, is_first: bool) -> None:
        source = self._sources.setdefault(heard.source, len(self._sources))
        owners, rows = np.repeat(places, heard.counts), heard.rows
        levels, anomalies = levels_of(rows["severity"]), rows["is_anomaly"]
        for cells in self._cells.values():
            cells.put(owners, rows["timestamp_ms"], levels=levels, anomalies=anomalies)
        if (is_odd := anomalies | (rows["severity"] >= ODD_NATS)).any():
            self._newest.blame(owners[is_odd], rows[is_odd], source=source)
        self._newest.put(places, heard, source=source)
        self._newest.mark(places, self._version)
        if is_first:
            self._newest.add(places, heard.counts)

    def _tell(self, told: Told) -> None:
        if told.is_over:
            self._ended.append((told.entity, told.opened_ms, told.is_silence))
        place = self._places.of(told.entity)
        if place is None:
            return
        change = self._newest.end if told.is_over else self._newest.open
        if change(place, told):
            self._version += 1
            self._newest.mark(np.array([place]), self._version)


def _end_ms(times: IntArray, now_ms: int) -> int:
    """The newest time; one clock that is wrong does not say it for all."""
    near = times[times <= now_ms + AHEAD_MS]
    times = near if len(near) else times
    return int(times.max()) if len(times) else now_ms
