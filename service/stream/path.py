"""The path of a point, top to bottom: restore, sift, fold, commit, keep, answer."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.errors import GaugewatchError, StoreUnavailable
from service.stream.answers import Answer, answers_of, released_of
from service.stream.arena import Held
from service.stream.commit import Commit, Outcome
from service.stream.drafts import drafts, drafts_of_waiting
from service.stream.keep import drop_moved, keep, keep_waiting
from service.stream.lane import Arrived, Lane
from service.stream.lanes import Lanes
from service.stream.losses import Losses
from service.stream.messages import Verdict
from service.stream.models import Models
from service.stream.posted import Posted
from service.stream.restore import restore
from service.stream.rollout import refresh
from service.stream.rows import Rows
from service.stream.ruling import ruling_of
from service.stream.serving import Serving
from service.stream.sift import Sifted, sift
from service.stream.stage import OnStage, Stage
from service.stream.store import Store
from service.stream.view import log_of
from service.stream.waiting import DROP_REASONS


def wall_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 10**6


@dataclass(frozen=True, eq=False)
class Batch:
    """Points of distinct entities of one bundle."""

    serving: Serving
    lane: Lane
    points: Posted
    positions: Mapping[str, list[int]]  # of the points of each entity
    quiet: frozenset[int] = frozenset()  # positions of a backfill
    is_flush: bool = False  # what waits need wait no longer


@dataclass(frozen=True, eq=False)
class Attempted:
    """New points of one bundle that were scored, for who hears of them after the answers."""

    lane: Lane
    arrived: Arrived
    rows: Rows  # (point,)
    posted: npt.NDArray[np.float64]  # (point, dimension) NaN = missing
    stale: frozenset[str]  # entities whose commit was refused: theirs are not kept
    released: list[Verdict]  # on points that had waited
    alerts: list[bytes]  # that were written


class PointPath:
    """Scores and keeps points; for the scoring thread."""

    def __init__(
        self,
        store: Store,
        models: Models,
        lanes: Lanes,
        *,
        on_stage: OnStage | None,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store, self._models, self._lanes = store, models, lanes
        self._on_stage = on_stage
        self.clock_ms = clock_ms
        self.dropped_points = Counter[str](dict.fromkeys(DROP_REASONS, 0))  # that waited
        self.losses = Losses()

    def attempt(self, batch: Batch, *, answers: dict[int, Answer]) -> Attempted:
        """The path of a point. What was stale gets no answer. Returns what was new."""
        lane, entities = batch.lane, list(batch.positions)
        with self.stage("restore"):
            tells = batch.serving.policies.tells_calibrating
            held = restore(lane, self._store, entities, lane_of=self._lanes.wrote, tells=tells)
        self.losses.compare(entities, held, model=lane.reader.title)
        known = dict(zip(entities, held, strict=True))
        manifest = lane.fold.bundle.manifest
        ruling = ruling_of(batch.serving.policies, entities, manifest, hurries=_hurries(batch))
        sifted = sift(
            lane,
            held,
            batch.points,
            groups=batch.positions,
            lateness_ms=ruling.lateness_ms,
            quiet=batch.quiet,
        )
        arrived, now_ms = sifted.arrived, self.clock_ms()
        with self.stage("fold"):
            advanced = lane.advance(arrived, ruling)
        commits = drafts(lane, arrived, advanced, ruling=ruling, now_ms=now_ms)
        still = drafts_of_waiting(lane, sifted, ruling=ruling, now_ms=now_ms)
        with self.stage("commit"):
            outcomes = self._store.commit([*commits, *still])
        still_held = [sifted.held[number] for number in sifted.still] if still else []
        self.count_dropped([*arrived.held, *still_held], outcomes)
        made, waited = outcomes[: len(commits)], outcomes[len(commits) :]
        refused = keep(lane, arrived, advanced.states, commits=commits, outcomes=made)
        refused |= keep_waiting(lane, still, waited)
        with self.stage("answer"):
            logs = self._logs(lane, sifted, refused)
            refused |= drop_moved(lane, logs, but=set(arrived.entities))
            rows = {entity: rows for entity, (_, rows) in logs.items()}
            for entity in refused:
                self.losses.remember(entity, known[entity])
            found = answers_of(lane.reader, sifted, advanced.rows, logs=rows, refused=refused)
        self._store.confirm(entities)  # also what is only repeated: its first answer was lost
        answers |= found
        if Outcome.OUTDATED in outcomes:
            self.follow()
        return Attempted(
            lane=lane,
            arrived=arrived,
            rows=advanced.rows,
            posted=sifted.line.posted[sifted.is_new],
            stale=frozenset(refused),
            released=released_of(lane.reader, sifted, advanced.rows, refused=refused),
            alerts=written_alerts(commits, outcomes),
        )

    def count_dropped(self, held: Sequence[Held], outcomes: Sequence[Outcome]) -> None:
        """Points that these commits dropped, one per entity."""
        for one, outcome in zip(held, outcomes, strict=True):
            if one.dropped is not None and outcome is Outcome.OK:
                self.dropped_points[one.dropped.reason] += one.dropped.points

    def follow(self) -> None:
        """Another replica put a newer configuration in force: adopt it."""
        try:
            refresh(self._models, self._store)
        except StoreUnavailable:
            raise
        except GaugewatchError as error:
            raise StoreUnavailable(
                f"a newer configuration is in force, and cannot be served here: {error.detail}"
            ) from error

    def _logs(
        self, lane: Lane, sifted: Sifted, refused: Mapping[str, Outcome]
    ) -> dict[str, tuple[bytes, Rows]]:
        """Token and kept rows of the entities of which a point came again."""
        entities = [sifted.entities[owner] for owner in np.unique(sifted.again).tolist()]
        return {
            entity: log_of(lane, self._store, entity, rows=lane.arena.rows(entity))
            for entity in entities
            if entity not in refused
        }

    def stage(self, name: str) -> Stage:
        """Times what runs inside."""
        return Stage(name, self._on_stage)


def written_alerts(commits: Sequence[Commit], outcomes: Sequence[Outcome]) -> list[bytes]:
    """Those of the commits that were made."""
    pairs = zip(commits, outcomes, strict=False)
    return [alert for one, outcome in pairs if outcome is Outcome.OK for alert in one.alerts]


def _hurries(batch: Batch) -> npt.NDArray[np.bool_]:
    """(entity,) A flush waits for nothing, and a backfill is complete."""
    groups = batch.positions.values()
    if batch.is_flush or not batch.quiet:
        return np.full(len(groups), batch.is_flush)
    return np.array([not batch.quiet.isdisjoint(group) for group in groups], bool)
