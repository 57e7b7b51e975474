"""The path of a point, top to bottom: restore, sift, fold, commit, keep, answer."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from service.errors import GaugewatchError, StoreUnavailable
from service.stream.answers import Answer, answers_of, of_request
from service.stream.arena import Held
from service.stream.batcher import Batcher, Requests
from service.stream.commit import Commit, Outcome
from service.stream.lane import Advanced, Arrived, Lane
from service.stream.messages import EntityView, Point, Verdict
from service.stream.models import Models
from service.stream.rows import Rows
from service.stream.sift import Sifted, grouped, sift
from service.stream.store import MAX_ENTITIES_PER_CALL, Store
from service.stream.view import Viewer, log_of

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
        self._viewer = Viewer(store.twin())
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
        self._viewer.close()

    @property
    def entities(self) -> int:
        """Entities held in memory."""
        return sum(len(lane.arena) for lane in self._lanes.values())

    @property
    def queued_points(self) -> int:
        """Points waiting to be scored, or being scored."""
        return self._batcher.queued_points

    async def submit(self, points: Sequence[Point]) -> list[Verdict]:
        """One verdict per point, in order.

        Raises BadPoints, BodyTooLarge, Overloaded, StoreUnavailable.
        """
        self._models.check(points)
        return await self._batcher.submit(points)

    async def entity(self, name: str, *, rows: int) -> EntityView:
        """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
        lane = self._lanes[self._models.name_of(name)]
        return await self._viewer.view(lane, name, rows=rows)

    def _process(self, requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        """Score the points of several requests, in order."""
        points = [point for request in requests for point in request]
        answers: dict[int, Answer] = {}
        away: StoreUnavailable | None = None
        for name, positions in grouped(requests, self._models.name_of):
            if away is None:
                try:
                    answers |= self._score(self._lanes[name], points, positions)
                    continue
                except StoreUnavailable as error:
                    away = error  # and will be for the other groups: nobody waits for each
            answers |= {i: away for group in positions.values() for i in group}
        ends = np.cumsum([len(request) for request in requests]).tolist()
        spans = zip([0, *ends[:-1]], ends, strict=True)
        return [of_request([answers[i] for i in range(*span)]) for span in spans]

    def _score(
        self, lane: Lane, points: Sequence[Point], positions: dict[str, list[int]]
    ) -> dict[int, Answer]:
        """Score distinct entities of one bundle until every one is committed."""
        answers: dict[int, Answer] = {}
        for _ in range(ATTEMPTS):
            try:
                positions = self._attempt(lane, points, positions, answers=answers)
            except Exception:
                for entity in positions:
                    lane.arena.drop(entity)  # committed or not: nobody knows
                raise
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
        commits = lane.commits(arrived, advanced)
        with self._stage("commit"):
            outcomes = self._store.commit(commits)
        stale = self._keep(lane, arrived, advanced, commits=commits, outcomes=outcomes)
        with self._stage("answer"):
            logs = self._logs(lane, sifted)
            stale |= self._moved(lane, logs, but=set(arrived.entities))
            rows = {entity: rows for entity, (_, rows) in logs.items()}
            found = answers_of(lane.reader, sifted, advanced.rows, logs=rows)
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

    def _moved(
        self, lane: Lane, logs: Mapping[str, tuple[bytes, Rows]], *, but: set[str]
    ) -> set[str]:
        """Entities of which only old points came, and whose log is not what the arena says.

        Another replica went on, or Redis came back without its last second.
        """
        moved = set()
        for entity, (token, _) in logs.items():
            held = lane.arena.get(entity)
            if entity not in but and (held is None or held.token != token):
                lane.arena.drop(entity)
                moved.add(entity)
        return moved

    def _logs(self, lane: Lane, sifted: Sifted) -> dict[str, tuple[bytes, Rows]]:
        """Token and kept rows of the entities of which a point came again."""
        again = sifted.owners[sifted.is_usable & ~sifted.is_new]
        return {
            entity: log_of(lane, self._store, entity)
            for entity in (sifted.entities[owner] for owner in np.unique(again).tolist())
        }

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._on_stage is not None:
                self._on_stage(name, time.perf_counter() - start)
