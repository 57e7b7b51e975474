"""The path of a point, top to bottom: restore, sift, fold, commit, keep, answer."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from service.errors import BadPoints, GaugewatchError, StoreUnavailable
from service.stream.answers import Answer, answers_of, of_request
from service.stream.arena import Held
from service.stream.batcher import Batcher, Requests
from service.stream.commit import Commit, Outcome
from service.stream.lane import Advanced, Arrived, Lane
from service.stream.lanes import Lanes
from service.stream.messages import EntityView, Point, Verdict
from service.stream.models import Models
from service.stream.restore import restore
from service.stream.rollout import refresh
from service.stream.rows import Rows
from service.stream.serving import Serving
from service.stream.sift import Sifted, grouped, in_order, sift
from service.stream.store import MAX_ENTITIES_PER_CALL, Store
from service.stream.view import Viewer, log_of

ATTEMPTS = 3  # at an entity that another replica scores, or takes over, at the same time


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
        self._lanes = Lanes(models, max_entities=max_entities)
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
        return self._lanes.entities

    @property
    def queued_points(self) -> int:
        """Points waiting to be scored, or being scored."""
        return self._batcher.queued_points

    async def submit(self, points: Sequence[Point]) -> list[Verdict]:
        """One verdict per point, in order.

        Raises BadPoints, BodyTooLarge, Overloaded, StoreUnavailable.
        """
        serving = self._models.serving
        serving.check(points)
        return await self._batcher.submit(points, checked=serving)

    async def entity(self, name: str, *, rows: int) -> EntityView:
        """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
        self._models.serving.fold_of(name)
        return await self._viewer.view(self._lanes.wrote, name, rows=rows)

    def _process(self, requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        """Score the points of several requests, in order."""
        points = [point for request in requests for point in request.points]
        order = in_order([request.points for request in requests])
        answers: dict[int, Answer] = {}
        checked = [request.checked for request in requests]
        for _ in range(ATTEMPTS):
            serving = self._models.serving
            self._store.commit_epoch = serving.epoch
            answers |= _misfits(requests, checked, serving)
            waiting = [position for position in order if position not in answers]
            if not waiting:
                break
            self._score(serving, points, waiting, answers=answers)
        contended = StoreUnavailable("another replica keeps scoring this entity; send it again")
        answers |= {position: contended for position in order if position not in answers}
        return [of_request([answers[i] for i in span]) for span in _spans(requests)]

    def _score(
        self,
        serving: Serving,
        points: Sequence[Point],
        waiting: Sequence[int],
        *,
        answers: dict[int, Answer],
    ) -> None:
        """Answer what is committed, or cannot be; what was stale keeps waiting."""
        away: StoreUnavailable | None = None
        for name, positions in grouped(points, waiting, serving.name_of):
            lane = self._lanes.of(serving.folds[name])
            if away is None:
                try:
                    self._attempt(lane, points, positions, answers=answers)
                    continue
                except Exception as error:
                    for entity in positions:
                        lane.arena.drop(entity)  # committed or not: nobody knows
                    if not isinstance(error, StoreUnavailable):
                        raise
                    away = error  # and will be for the other groups: nobody waits for each
            answers |= {i: away for group in positions.values() for i in group}

    def _attempt(
        self,
        lane: Lane,
        points: Sequence[Point],
        positions: dict[str, list[int]],
        *,
        answers: dict[int, Answer],
    ) -> None:
        """The path of a point. What was stale gets no answer."""
        with self._stage("restore"):
            held = restore(lane, self._store, list(positions), lane_of=self._lanes.wrote)
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
        if Outcome.OUTDATED in outcomes:
            self._follow()

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
        return stale

    def _follow(self) -> None:
        """Another replica put a newer configuration in force: adopt it."""
        try:
            refresh(self._models, self._store)
        except StoreUnavailable:
            raise
        except GaugewatchError as error:
            raise StoreUnavailable(
                f"a newer configuration is in force, and cannot be served here: {error.detail}"
            ) from error

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
            entity: log_of(lane, self._store, entity, rows=lane.arena.rows(entity))
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


def _misfits(
    requests: Requests, checked: list[Serving], serving: Serving
) -> dict[int, GaugewatchError]:
    """Answers to requests that fit the bundles of before, and not those of now."""
    answers: dict[int, GaugewatchError] = {}
    for number, span in enumerate(_spans(requests)):
        if checked[number] is serving:
            continue
        checked[number] = serving
        try:
            serving.check(requests[number].points)
        except BadPoints as error:
            answers |= dict.fromkeys(span, error)
    return answers


def _spans(requests: Requests) -> list[range]:
    """Positions of the points of each request."""
    ends = np.cumsum([len(request.points) for request in requests]).tolist()
    return [range(*span) for span in zip([0, *ends[:-1]], ends, strict=True)]
