"""The path of a point, top to bottom: restore, sift, fold, commit, keep, answer."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.errors import GaugewatchError, StoreUnavailable, UnknownEntity
from service.stream.answers import Answer, answers_of
from service.stream.arena import Held
from service.stream.commit import Commit, Outcome
from service.stream.lane import Advanced, Arrived, Lane
from service.stream.lanes import Lanes
from service.stream.messages import Point
from service.stream.models import Models
from service.stream.restore import restore
from service.stream.rollout import refresh
from service.stream.rows import Rows
from service.stream.serving import Serving
from service.stream.sift import Sifted, sift
from service.stream.store import Store
from service.stream.ticks import due_entities, fall_silent, forget_deadlines
from service.stream.view import log_of


@dataclass(frozen=True, eq=False)
class Attempted:
    """New points of one bundle that were scored, for who hears of them after the answers."""

    lane: Lane
    arrived: Arrived
    rows: Rows  # (point,)
    posted: npt.NDArray[np.float64]  # (point, dimension) NaN = missing
    stale: frozenset[str]  # entities whose commit was refused: theirs are not kept


class PointPath:
    """Scores and keeps points of distinct entities of one bundle; for the scoring thread."""

    def __init__(
        self,
        store: Store,
        models: Models,
        lanes: Lanes,
        *,
        on_stage: Callable[[str, float], None] | None,
    ) -> None:
        self._store, self._models, self._lanes = store, models, lanes
        self._on_stage = on_stage

    def attempt(
        self,
        lane: Lane,
        points: Sequence[Point],
        positions: dict[str, list[int]],
        *,
        answers: dict[int, Answer],
    ) -> Attempted:
        """The path of a point. What was stale gets no answer. Returns what was new."""
        with self.stage("restore"):
            held = restore(lane, self._store, list(positions), lane_of=self._lanes.wrote)
        sifted = sift(lane, held, points, groups=positions)
        arrived = sifted.arrived
        with self.stage("fold"):
            advanced = lane.advance(arrived)
        commits = lane.commits(arrived, advanced, now_ms=time.time_ns() // 10**6)
        with self.stage("commit"):
            outcomes = self._store.commit(commits)
        stale = self._keep(lane, arrived, advanced, commits=commits, outcomes=outcomes)
        with self.stage("answer"):
            logs = self._logs(lane, sifted)
            stale |= self._moved(lane, logs, but=set(arrived.entities))
            rows = {entity: rows for entity, (_, rows) in logs.items()}
            found = answers_of(lane.reader, sifted, advanced.rows, logs=rows)
        answers |= {i: answer for i, answer in found.items() if points[i].entity not in stale}
        if Outcome.OUTDATED in outcomes:
            self._follow()
        posted = sifted.posted[sifted.is_new]
        return Attempted(lane, arrived, advanced.rows, posted, frozenset(stale))

    def tick(self, serving: Serving) -> int:
        """Tell which entities fell silent; how many did."""
        now_ms = time.time_ns() // 10**6
        groups: dict[str, list[str]] = {}
        for entity in due_entities(self._store, now_ms):
            if (name := serving.bundle_of(entity)) is None:
                forget_deadlines(self._store, [entity])
            else:
                groups.setdefault(name, []).append(entity)
        self._store.commit_epoch = serving.epoch
        return sum(
            self._fall_silent(self._lanes.of(serving.folds[name]), entities)
            for name, entities in groups.items()
        )

    def forget(self, entity: str) -> None:
        """Delete what is kept of an entity; other replicas notice at its next point."""
        self._lanes.drop(entity)
        if self._store.load([entity]) == [None]:
            raise UnknownEntity("no point of this entity is kept")
        self._store.delete([entity])
        forget_deadlines(self._store, [entity])

    def _fall_silent(self, lane: Lane, due: Sequence[str]) -> int:
        for entity in due:
            lane.arena.drop(entity)  # another replica may know better than our memory
        held = restore(lane, self._store, due, lane_of=self._lanes.wrote)
        waits = ~lane.arena.is_silent(held) & np.array([one.seq > 0 for one in held])
        chosen = np.flatnonzero(waits).tolist()
        forget_deadlines(self._store, [due[i] for i in np.flatnonzero(~waits).tolist()])
        entities, held = [due[i] for i in chosen], [held[i] for i in chosen]
        states, commits = fall_silent(lane, entities, held)
        outcomes = self._store.commit(commits)
        for commit, state, one, outcome in zip(commits, states, held, outcomes, strict=True):
            lane.arena.drop(commit.entity)
            if outcome is Outcome.OK:
                kept = Held(-1, commit.new_token, commit.seq, one.timestamp_ms)
                lane.arena.put(commit.entity, state, kept)
        if Outcome.OUTDATED in outcomes:
            self._follow()
        return outcomes.count(Outcome.OK)

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
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._on_stage is not None:
                self._on_stage(name, time.perf_counter() - start)
