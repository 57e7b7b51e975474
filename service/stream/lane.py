"""A lane: one bundle at work. Restores its entities from Redis and folds their new points."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import structlog

from service.scoring.fold import STATE_FORMAT, Decided, Fold, Points, States
from service.scoring.offline import lockstep
from service.stream.arena import Arena, Held
from service.stream.commit import TOKEN_BYTES, Commit, Layout, snapshot_due
from service.stream.explain import alert_of
from service.stream.reader import Reader
from service.stream.rows import Rows, pack, row_dtype
from service.stream.store import Store, Stored

log: structlog.stdlib.BoundLogger = structlog.get_logger()

IDEMPOTENT_ROWS = 128  # a repeat of one of the last so many points gets its first answer
MIN_WINDOW_ROWS = 32
TIMESTAMP = np.dtype("<i8")  # first in every row and every snapshot, whatever the bundle


@dataclass(frozen=True, eq=False)
class Arrived:
    """New points of distinct entities: one entity after the other, each in order."""

    entities: list[str]
    held: list[Held]
    counts: list[int]  # points of each entity, at least one
    timestamps_ms: npt.NDArray[np.int64]  # (point,)
    values: npt.NDArray[np.float32]  # (point, dimension) minus the centre, NaN = missing

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where the points of each entity begin, and behind the last one their number."""
        return np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])


@dataclass(frozen=True, eq=False)
class Advanced:
    """Entities after their new points, before the commit."""

    states: States  # (entity,)
    rows: Rows  # (point,) in the order they arrived
    alerts: list[list[bytes]]  # per entity


class Lane:
    """Fold, arena and row layout of one bundle."""

    def __init__(self, fold: Fold, *, max_entities: int) -> None:
        manifest = fold.bundle.manifest
        self.fold = fold
        self.arena = Arena(fold, max_entities=max_entities)
        self.window = max(manifest.window_length, manifest.memory_horizon, MIN_WINDOW_ROWS)
        self.reader = Reader(fold)
        self.row_dtype = row_dtype(fold)
        self.layout = Layout(
            self.row_dtype.itemsize,
            self.window + IDEMPOTENT_ROWS,
            f"{manifest.digest}.{STATE_FORMAT}",
        )

    def entity_indices(self, entities: Sequence[str]) -> npt.NDArray[np.int64]:
        """Rows of entities in the calibration, 0 for the pooled one."""
        known = self.fold.bundle.entity_indices
        return np.array([known.get(entity, 0) for entity in entities], np.int64)

    def restore(self, store: Store, entities: Sequence[str]) -> list[Held]:
        """What is held of each entity, after loading and replaying what was not."""
        absent = [entity for entity in entities if self.arena.get(entity) is None]
        known: list[tuple[str, Stored]] = []
        for entity, stored in zip(absent, store.load(absent), strict=True):
            if stored is not None and self._is_whole(stored):
                known.append((entity, stored))
            else:
                self._start(entity, stored)
        self._replay(known)
        held = [self.arena.get(entity) for entity in entities]
        return [one for one in held if one is not None]

    def advance(self, arrived: Arrived) -> Advanced:
        """Fold all new points, one after the other per entity, side by side over entities."""
        states = self.arena.states(arrived.held)
        index = self.entity_indices(arrived.entities)
        rows = np.zeros(len(arrived.values), self.row_dtype)
        alerts: list[list[bytes]] = [[] for _ in arrived.entities]
        for time, members in lockstep(arrived.counts):
            at = arrived.starts[members] + time
            points = Points(index[members], arrived.timestamps_ms[at], arrived.values[at])
            states[members], verdicts = self.fold.step(states[members], points)
            packed = np.zeros(len(members), self.row_dtype)
            pack(packed, points, verdicts, center=self._center(points.entity_index))
            rows[at] = packed
            tells = (verdicts.transition > 0) & (points.entity_index > 0)  # calibrating is silent
            for position in np.flatnonzero(tells).tolist():
                member = members[position]
                entity = arrived.entities[member]
                alert = alert_of(self.reader, entity, verdicts, position=position, rows=packed)
                alerts[member].append(alert)
        return Advanced(states, rows, alerts)

    def commits(self, arrived: Arrived, advanced: Advanced) -> list[Commit]:
        """One change per entity, with a new token each."""
        return [self._commit(arrived, advanced, i) for i in range(len(arrived.entities))]

    def _commit(self, arrived: Arrived, advanced: Advanced, member: int) -> Commit:
        entity, held, count = arrived.entities[member], arrived.held[member], arrived.counts[member]
        start, seq = arrived.starts[member], held.seq + count
        is_due = held.needs_snapshot or snapshot_due(entity, held.seq, seq)
        return Commit(
            entity=entity,
            expected_token=held.token,
            new_token=secrets.token_bytes(TOKEN_BYTES),
            seq=seq,
            rows=advanced.rows[start : start + count].tobytes(),
            row_count=count,
            layout=self.layout,
            snapshot=advanced.states[member].tobytes() if is_due else None,
            alerts=tuple(advanced.alerts[member]),
        )

    def _center(self, entity_index: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return self.fold.bundle.calibration.center[entity_index]

    def _is_whole(self, stored: Stored) -> bool:
        """Whether snapshot and rows are of this bundle, all there, and in order."""
        if stored.layout != self.layout or len(stored.snapshot) != self.fold.state_dtype.itemsize:
            return False
        if len(stored.rows) != (stored.seq - stored.snapshot_seq) * self.row_dtype.itemsize:
            return False
        times = np.frombuffer(stored.rows, self.row_dtype)["timestamp_ms"]
        first = np.frombuffer(stored.snapshot, TIMESTAMP, count=1)
        return bool((np.diff(np.concatenate([first, times])) > 0).all())

    def _start(self, entity: str, stored: Stored | None) -> None:
        """A fresh state; if its log is damaged, or of another bundle, it keeps its place in it."""
        state = self.fold.fresh(self.entity_indices([entity]))
        held = Held(slot=-1)
        if stored is not None:
            log.warning("state started again", entity=entity, layout=stored.layout.digest)
            newest = stored.rows[-stored.layout.row_bytes :] or stored.snapshot
            held.token, held.seq = stored.token, stored.seq
            if len(newest) >= TIMESTAMP.itemsize:
                held.timestamp_ms = int(np.frombuffer(newest, TIMESTAMP, count=1)[0])
            held.needs_snapshot = True
        self.arena.put(entity, state[0], held)

    def _replay(self, known: Sequence[tuple[str, Stored]]) -> None:
        """Snapshot + rows since, through the fold. What was decided is read, not decided again."""
        if not known:
            return
        states = np.concatenate([self.fold.decode(stored.snapshot) for _, stored in known])
        packed = np.frombuffer(b"".join(stored.rows for _, stored in known), self.row_dtype)
        counts = [len(stored.rows) // self.row_dtype.itemsize for _, stored in known]
        starts = np.cumsum([0, *counts])
        index = self.entity_indices([entity for entity, _ in known])
        for time, members in lockstep(counts):
            rows = packed[starts[members] + time]
            points = Points(index[members], rows["timestamp_ms"], rows["values"])
            decided = Decided(rows["is_flagged"], rows["score"], rows["severity"])
            states[members], _ = self.fold.step(states[members], points, decided)
        for (entity, stored), state in zip(known, states, strict=True):
            newest = int(state["entity"]["timestamp_ms"])
            self.arena.put(entity, state, Held(-1, stored.token, stored.seq, newest))
