"""What the board of the fleet lacks: read from Redis, where replicas and earlier starts left it.

First only how many points every entity had, then the newest rows of those of whom the board did
not hear as many. For one thread, over a connection of its own.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final, NamedTuple

import numpy as np
from redis import Redis

from service.stream.commit import Layout
from service.stream.fleet.board import Fleet
from service.stream.fleet.cells import CELLS
from service.stream.fleet.rows import Heard, open_incidents, source_of
from service.stream.keys import entity_keys
from service.stream.lane import Lane
from service.stream.rows import Rows, written
from service.stream.store import MAX_ENTITIES_PER_CALL, Store
from service.stream.stored import Stored
from service.stream.view import LaneOf

ROWS_PER_CALL: Final = 2_000
SEQ_BYTES: Final = (16, 23)  # first and last in the header of the ring, as commit.lua writes it
_SEQ: Final = struct.Struct("<q")


class _Looked(NamedTuple):
    """What was found out about an entity when it was looked at."""

    known_seq: int = 0  # the board has its rows up to here ...
    seq: int = 0  # ... and up to here those of others, but for what was on its way just then
    others: int = 0  # points that the board did not hear of when they were scored


_NEVER: Final = _Looked()


class _Found(NamedTuple):
    """One entity as it is kept: its newest rows, and what is open of it."""

    entity: str
    rows: Rows
    incident_ms: int
    is_silence: bool


class FleetFill:
    """Fills the board, some entities after the other."""

    def __init__(self, fleet: Fleet, store: Store, lane_of: LaneOf) -> None:
        self._fleet, self._store, self._lane_of = fleet, store, lane_of
        self._lanes: dict[Layout, Lane | None] = {}  # met in this round
        self._looked: dict[str, _Looked] = {}  # at those on the board
        self._unreadable: dict[str, int] = {}  # how many points they had
        self._is_stopping = False

    def stop(self) -> None:
        """Let a round end early; for any thread."""
        self._is_stopping = True

    def round(self) -> None:
        """Look at as many entities as the board has places. Raises StoreUnavailable."""
        version, seqs = self._fleet.version, dict[str, int]()
        self._lanes = {}
        for names in self._pages():
            seqs |= self._look(names)
        unseen = sorted(self._fleet.names() - seqs.keys())
        for first in range(0, len(unseen), MAX_ENTITIES_PER_CALL):
            if self._is_stopping:
                return
            names = unseen[first : first + MAX_ENTITIES_PER_CALL]
            found = self._look(names)
            self._fleet.forget((name for name in names if name not in found), unless_after=version)
            seqs |= found
        self._looked = {name: one for name, one in self._looked.items() if name in seqs}
        self._unreadable = {name: seq for name, seq in self._unreadable.items() if name in seqs}
        self._fleet.count(self._store.entity_count())

    def _pages(self) -> Iterator[list[str]]:
        """Names of entities; fewer than are kept where the board is smaller."""
        after, looked_at = None, 0
        while not self._is_stopping and looked_at < self._fleet.max_entities:
            page = self._store.entities(after, MAX_ENTITIES_PER_CALL)
            yield list(dict.fromkeys(page.entities))  # who is renewed meanwhile comes twice
            looked_at, after = looked_at + len(page.entities), page.next
            if after is None:
                return

    def _look(self, names: Sequence[str]) -> dict[str, int]:
        """Read what the board lacks of them; how many points those had that are kept."""
        seqs = self._seqs(names)  # before the board is asked, which hears of points after Redis
        heard = self._fleet.heard(seqs)
        counts = self._lacking(seqs, heard)
        for name in heard.keys() - counts.keys():
            known_seq = self._before(name, seqs[name]).seq
            self._looked[name] = _Looked(known_seq, seqs[name], seqs[name] - heard[name])
        waiting = sorted(counts, key=counts.__getitem__, reverse=True)
        while waiting and not self._is_stopping:
            count = counts[waiting[0]]
            size = min(ROWS_PER_CALL // count, MAX_ENTITIES_PER_CALL)
            some, waiting = waiting[:size], waiting[size:]
            self._read(some, count)
            found = self._fleet.heard(some)
            for name in some:
                if name in found:
                    seq = seqs[name]
                    self._looked[name] = _Looked(seq, seq, seq - heard.get(name, 0))
                else:
                    self._unreadable[name] = seqs[name]
        return seqs

    def _seqs(self, names: Sequence[str]) -> dict[str, int]:
        shards = self._store.options.shards

        def read(redis: Redis, some: Sequence[str]) -> list[bytes]:
            pipeline = redis.pipeline(transaction=False)
            for name in some:
                pipeline.getrange(entity_keys(name, shards)[0], *SEQ_BYTES)
            return list(pipeline.execute())

        answers = zip(names, self._store.shards.ask_each(names, str, read), strict=True)
        return {name: _SEQ.unpack(seq)[0] for name, seq in answers if len(seq) == _SEQ.size}

    def _lacking(self, seqs: Mapping[str, int], heard: Mapping[str, int]) -> dict[str, int]:
        """How many rows are to be read of whom, at least one."""
        counts, room = dict[str, int](), self._fleet.room
        for name, seq in seqs.items():
            before = self._before(name, seq)
            if name in heard:
                is_lacking = seq - heard[name] != before.others
            else:
                is_lacking = room > 0 and self._unreadable.get(name) != seq
                room, before = room - is_lacking, _Looked()
            if is_lacking and seq > before.known_seq:
                counts[name] = min(seq - before.known_seq, CELLS)
        return counts

    def _before(self, name: str, seq: int) -> _Looked:
        """What was found out at the last look, unless the entity began anew since."""
        before = self._looked.get(name, _NEVER)
        return before if before.seq <= seq else _NEVER

    def _read(self, names: Sequence[str], count: int) -> None:
        by_lane: dict[Lane, list[_Found]] = {}
        for name, kept in zip(names, self._store.recent(names, count), strict=True):
            lane = None if kept is None else self._lane(kept[0].layout)
            if kept is None or lane is None:
                continue
            if (one := self._found(lane, name, *kept)) is not None:
                by_lane.setdefault(lane, []).append(one)
        now_ms, known = self._fleet.clock_ms(), self._fleet.heard(names).keys()
        for lane, found in by_lane.items():
            self._fleet.note(_heard(lane, found, now_ms=now_ms, known=known))

    def _found(self, lane: Lane, name: str, stored: Stored, window: bytes) -> _Found | None:
        whole = len(window) // lane.row_dtype.itemsize
        rows = written(np.frombuffer(window, lane.row_dtype, count=whole))
        if len(rows) == 0:
            return None
        opened_ms, is_silence = int(open_incidents(rows, np.array([-1]))[0]), False
        is_readable = len(stored.snapshot) == lane.fold.state_dtype.itemsize
        if stored.snapshot_seq == stored.seq and is_readable:  # it alone has what no point caused
            state = lane.fold.decode(stored.snapshot)[0]["entity"]
            is_silence = bool(state["is_silent"])
            last_ms = int(state["timestamp_ms"])
            opened_ms = last_ms if is_silence else opened_ms * int(state["incident"]["is_open"])
        if self._fleet.has_ended(name, opened_ms, is_silence=is_silence):
            opened_ms, is_silence = 0, False
        return _Found(name, rows, opened_ms, is_silence)

    def _lane(self, layout: Layout) -> Lane | None:
        """One that cannot be read is told of once in a round."""
        if layout not in self._lanes:
            self._lanes[layout] = self._lane_of(layout)
        return self._lanes[layout]


def _heard(lane: Lane, found: Sequence[_Found], *, now_ms: int, known: Set[str]) -> Heard:
    """When the point came is known for those that were here at the last look, about."""
    newest_ms = [int(one.rows["timestamp_ms"][-1]) for one in found]
    pairs = zip(found, newest_ms, strict=True)
    seen_ms = [now_ms if one.entity in known else min(now_ms, newest) for one, newest in pairs]
    return Heard(
        source_of(lane),
        [one.entity for one in found],
        np.array([len(one.rows) for one in found], np.int64),
        np.concatenate([one.rows for one in found], dtype=lane.row_dtype),
        seen_ms=np.array(seen_ms, np.int64),
        incident_ms=np.array([one.incident_ms for one in found], np.int64),
        is_silence=np.array([one.is_silence for one in found], bool),
    )
