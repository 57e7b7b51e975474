"""The path of a point, top to bottom: restore, sift, fold, commit, keep, answer."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from service.errors import GaugewatchError, StoreUnavailable, UnknownEntity
from service.stream.answers import Answer, answers_of, of_request
from service.stream.arena import Held
from service.stream.batcher import Batcher, Requests
from service.stream.commit import TOKEN_BYTES, Commit, Outcome, snapshot_due
from service.stream.lane import IDEMPOTENT_ROWS, Advanced, Arrived, Lane
from service.stream.messages import EntityView, Point, Verdict
from service.stream.models import Models
from service.stream.rows import Rows
from service.stream.sift import Sifted, sift
from service.stream.store import MAX_ENTITIES_PER_CALL, Store

ATTEMPTS = 3  # at an entity that another replica scores at the same time


@dataclass(frozen=True)
class Limits:
    """What is bounded on the stream floor."""

    max_queued_points: int = 100_000
    max_batch_points: int = 4_096
    max_entities: int = 100_000  # held in memory; at least MAX_ENTITIES_PER_CALL


class Ingest:
    """Scores and keeps points. `submit` and `entity` are for the event loop."""

    def __init__(
        self,
        store: Store,
        models: Models,
        *,
        limits: Limits | None = None,
        on_stage: Callable[[str, float], None] | None = None,
    ) -> None:
        limits = limits or Limits()
        self._store = store
        self._models = models
        self._on_stage = on_stage
        max_entities = max(limits.max_entities, MAX_ENTITIES_PER_CALL)
        self._lanes = {
            name: Lane(fold, max_entities=max_entities) for name, fold in models.folds.items()
        }
        self._batcher = Batcher(
            self._process,
            max_queued_points=limits.max_queued_points,
            max_batch_points=limits.max_batch_points,
        )

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._batcher.__aexit__(kind, error, traceback)

    @property
    def entities(self) -> int:
        """Entities held in memory."""
        return sum(len(lane.arena) for lane in self._lanes.values())

    @property
    def queued_points(self) -> int:
        """Points waiting to be scored, or being scored."""
        return self._batcher.queued_points

    async def submit(self, points: Sequence[Point]) -> list[Verdict]:
        """One verdict per point, in order. Raises BadPoints, Overloaded, StoreUnavailable."""
        self._models.check(points)
        return await self._batcher.submit(points)

    async def entity(self, name: str, *, rows: int) -> EntityView:
        """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
        return await self._batcher.run(lambda: self._view(name, rows))

    def _process(self, requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        """Score the points of several requests, in order."""
        points = [point for request in requests for point in request]
        answers: dict[int, Answer] = {}
        for lane, positions in self._grouped(requests):
            answers |= self._score(lane, points, positions)
        ends = np.cumsum([len(request) for request in requests]).tolist()
        spans = zip([0, *ends[:-1]], ends, strict=True)
        return [of_request([answers[i] for i in range(*span)]) for span in spans]

    def _grouped(self, requests: Requests) -> Iterator[tuple[Lane, dict[str, list[int]]]]:
        """Positions of the points of each entity, by bundle, at most one call's worth at once.

        Sorted by time within a request; requests keep their order.
        """
        groups: dict[str, dict[str, list[int]]] = {}
        start = 0
        for request in requests:
            for i in sorted(range(len(request)), key=lambda i: request[i].timestamp_ms):
                entity = request[i].entity
                group = groups.setdefault(self._models.name_of(entity), {})
                group.setdefault(entity, []).append(start + i)
            start += len(request)
        for name, group in groups.items():
            entities = list(group)
            for first in range(0, len(entities), MAX_ENTITIES_PER_CALL):
                chosen = entities[first : first + MAX_ENTITIES_PER_CALL]
                yield self._lanes[name], {entity: group[entity] for entity in chosen}

    def _score(
        self, lane: Lane, points: Sequence[Point], positions: dict[str, list[int]]
    ) -> dict[int, Answer]:
        """Score distinct entities of one bundle until every one is committed."""
        answers: dict[int, Answer] = {}
        for _ in range(ATTEMPTS):
            try:
                positions = self._attempt(lane, points, positions, answers=answers)
            except StoreUnavailable as error:
                for entity in positions:
                    lane.arena.drop(entity)  # committed or not: nobody knows
                return answers | {i: error for group in positions.values() for i in group}
            if not positions:
                return answers
        contended = StoreUnavailable("another replica keeps scoring this entity; send it again")
        return answers | {i: contended for group in positions.values() for i in group}

    def _attempt(
        self,
        lane: Lane,
        points: Sequence[Point],
        positions: dict[str, list[int]],
        *,
        answers: dict[int, Answer],
    ) -> dict[str, list[int]]:
        """The path of a point. Returns the entities that were stale, with their positions."""
        with self._stage("restore"):
            held = lane.restore(self._store, list(positions))
        sifted = sift(lane, held, points, groups=positions)
        arrived = sifted.arrived
        with self._stage("fold"):
            advanced = lane.advance(arrived)
        commits = [
            _commit(lane, arrived, advanced, member=member)
            for member in range(len(arrived.entities))
        ]
        with self._stage("commit"):
            outcomes = self._store.commit(commits)
        stale = self._keep(lane, arrived, advanced, commits=commits, outcomes=outcomes)
        with self._stage("answer"):
            logs = self._logs(lane, sifted)
            found = answers_of(lane.reader, sifted, advanced.rows, logs=logs)
        answers |= {i: answer for i, answer in found.items() if points[i].entity not in stale}
        return {entity: positions[entity] for entity in stale}

    def _keep(
        self,
        lane: Lane,
        arrived: Arrived,
        advanced: Advanced,
        *,
        commits: Sequence[Commit],
        outcomes: Sequence[Outcome],
    ) -> set[str]:
        """Put what was committed into the arena; forget and return what was stale."""
        stale = set()
        newest_ms = arrived.timestamps_ms[arrived.starts[1:] - 1].tolist()
        for member, (commit, outcome) in enumerate(zip(commits, outcomes, strict=True)):
            if outcome is Outcome.OK:
                kept = Held(-1, commit.new_token, commit.seq, newest_ms[member])
                lane.arena.put(commit.entity, advanced.states[member], kept)
                continue
            lane.arena.drop(commit.entity)
            stale.add(commit.entity)
            if outcome is Outcome.OUTDATED:
                self._store.commit_epoch = self._store.epoch()
        return stale

    def _logs(self, lane: Lane, sifted: Sifted) -> dict[str, Rows]:
        """The last rows of the entities of which a point came again."""
        again = sifted.owners[sifted.is_usable & ~sifted.is_new]
        return {
            entity: self._log(lane, entity)
            for entity in (sifted.entities[owner] for owner in np.unique(again).tolist())
        }

    def _log(self, lane: Lane, entity: str) -> Rows:
        found = self._store.recent(entity, IDEMPOTENT_ROWS)
        if found is None or found[0].layout != lane.layout:
            return np.empty(0, lane.row_dtype)
        return np.frombuffer(found[1], lane.row_dtype)

    def _view(self, entity: str, rows: int) -> EntityView:
        lane = self._lanes[self._models.name_of(entity)]
        found = self._store.recent(entity, min(rows, lane.layout.capacity))
        if found is None or found[0].layout != lane.layout:
            raise UnknownEntity("no point of this entity is kept")
        stored, window = found
        log = np.frombuffer(window or stored.rows, lane.row_dtype)
        newest = lane.reader.verdicts([entity], log[-1:])[0]
        is_open = newest.incident is not None and newest.transition != "resolved"
        return EntityView(
            entity=entity,
            model=lane.fold.bundle.title,
            dimensions=list(lane.fold.bundle.manifest.dimensions),
            points=stored.seq,
            have=int(log[-1]["have"]),
            need=lane.fold.need,
            status=newest.status,
            incident=newest.incident if is_open else None,
            window=lane.reader.kept(entity, log),
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if self._on_stage is not None:
            self._on_stage(name, time.perf_counter() - start)


def _commit(lane: Lane, arrived: Arrived, advanced: Advanced, *, member: int) -> Commit:
    entity, held, count = arrived.entities[member], arrived.held[member], arrived.counts[member]
    start = arrived.starts[member]
    seq = held.seq + count
    is_due = held.needs_snapshot or snapshot_due(entity, held.seq, seq)
    return Commit(
        entity=entity,
        expected_token=held.token,
        new_token=secrets.token_bytes(TOKEN_BYTES),
        seq=seq,
        rows=advanced.rows[start : start + count].tobytes(),
        row_count=count,
        layout=lane.layout,
        snapshot=advanced.states[member].tobytes() if is_due else None,
        alerts=tuple(advanced.alerts[member]),
    )
