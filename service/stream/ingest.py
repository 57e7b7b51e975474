"""Ingest: the door of the stream floor. Points in, verdicts out, in batches and in order."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from service.errors import EntityContended, GaugewatchError, StoreUnavailable
from service.stream.answers import Answer, of_request
from service.stream.batcher import Batcher
from service.stream.caretaker import Caretaker
from service.stream.commit import Layout
from service.stream.hearing import Hearing, Listeners
from service.stream.lane import Lane
from service.stream.lanes import Lanes
from service.stream.messages import EntityView, Point, ShadowReport, Verdict
from service.stream.models import Models
from service.stream.path import Batch, PointPath, wall_clock_ms
from service.stream.posted import Posted
from service.stream.requests import Requests, misfits, quiet_positions, spans
from service.stream.serving import Serving
from service.stream.sift import grouped, in_order
from service.stream.store import MAX_ENTITIES_PER_CALL, Store
from service.stream.ticks import Ticked
from service.stream.view import Viewer

log: structlog.stdlib.BoundLogger = structlog.get_logger()

TICK_SECONDS = 1.0
ATTEMPTS = 3  # at an entity that another replica scores, or takes over, at the same time


@dataclass(frozen=True)
class Limits:
    """What is bounded on the stream floor."""

    max_queued_points: int = 100_000
    max_batch_points: int = 4_096
    max_entities: int = 100_000  # held in memory; at least MAX_ENTITIES_PER_CALL
    silence_periods: float = 0.0  # without a point, then it is told; 0: never


class Ingest:
    """Scores and keeps points. `submit` and `entity` are for the event loop."""

    def __init__(
        self,
        store: Store,
        models: Models,
        *,
        limits: Limits | None = None,
        listeners: Listeners | None = None,
        clock_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        limits, listeners = limits or Limits(), listeners or Listeners()
        self._store = store
        self._models = models
        max_entities = max(limits.max_entities, MAX_ENTITIES_PER_CALL)
        self._lanes = Lanes(
            models, max_entities=max_entities, silence_periods=limits.silence_periods
        )
        self._ticking: asyncio.Task[None] | None = None
        self._path = PointPath(
            store, models, self._lanes, on_stage=listeners.on_stage, clock_ms=clock_ms
        )
        self._caretaker = Caretaker(store, self._lanes, self._path)
        self._viewer = Viewer(store.twin())
        self._hearing = Hearing(listeners, self._lanes)
        self._batcher = Batcher(
            self._process,
            rest=self._hearing.rest,
            max_queued_points=limits.max_queued_points,
            max_batch_points=limits.max_batch_points,
        )

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        self._ticking = asyncio.create_task(self._tick_for_ever())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self._batcher.__aexit__(kind, error, traceback)
        self._viewer.close()

    @property
    def entities(self) -> int:
        """Entities held in memory."""
        return self._lanes.entities

    @property
    def lost_points(self) -> dict[str, int]:
        """Points that Redis had taken and no longer has, by model."""
        models = {fold.bundle.title for fold in self._models.serving.folds.values()}
        return {**dict.fromkeys(models, 0), **self._path.losses.points}

    @property
    def queued_points(self) -> int:
        """Points waiting to be scored, or being scored."""
        return self._batcher.queued_points

    @property
    def dropped_points(self) -> dict[str, int]:
        """Points that were held and will never be scored, by why."""
        return dict(self._path.dropped_points)

    async def submit(
        self, points: Sequence[Point] | Posted, *, is_backfill: bool = False
    ) -> list[Verdict]:
        """One verdict per point, in order. Nobody is alerted of a backfill.

        Raises BadPoints, BodyTooLarge, Overloaded, StoreUnavailable.
        """
        serving = self._models.serving
        posted = points if isinstance(points, Posted) else Posted.of(points)
        serving.check(posted)
        return await self._batcher.submit(posted, checked=serving, is_quiet=is_backfill)

    def shadow_report(self, name: str) -> ShadowReport | None:
        """What the shadow of a bundle found out, in this process."""
        shadow = self._lanes.shadow_of(self._models.serving, name)
        return None if shadow is None else shadow.report()

    async def entity(self, name: str, *, rows: int) -> EntityView:
        """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
        self._models.serving.fold_of(name)
        return await self._viewer.view(self._lanes.wrote, name, rows=rows)

    async def forget(self, name: str) -> None:
        """Delete an entity; its incidents stay, and end. Raises UnknownEntity, StoreUnavailable."""
        serving = self._models.serving
        self._hearing.tell(await self._batcher.run(lambda: self._forget(serving, name)))

    async def accept(self, name: str, incident: str) -> None:
        """Make what this incident shows the normal of its entity, if it is the last one.

        Raises UnknownEntity, StoreUnavailable.
        """
        serving = self._models.serving
        alerts = await self._batcher.run(lambda: self._caretaker.accept(serving, name, incident))
        self._hearing.tell(alerts)

    async def tick(self) -> int:
        """Score what waited long enough, tell who fell silent; how many did.

        Raises StoreUnavailable.
        """
        ticked = await self._batcher.run(self._tick)
        self._hearing.tell(ticked.alerts)
        if (rest := self._hearing.rest()) is not None:
            await self._batcher.run(rest)
        return ticked.silent

    def wrote(self, layout: Layout) -> Lane | None:
        """Whose rows and snapshots have this layout; None if its bundle is gone. For any thread."""
        return self._lanes.wrote(layout)

    def _forget(self, serving: Serving, name: str) -> list[bytes]:
        alerts = self._caretaker.forget(serving, name)
        self._hearing.forget(name)
        return alerts

    def _tick(self) -> Ticked:
        serving = self._models.serving
        ticked = self._caretaker.tick(serving)
        for done in ticked.flushed:
            self._hearing.hear(serving, done)
        return ticked

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except StoreUnavailable as error:
                self._batcher.refuse_waiting(error)  # what is due stays due
            except Exception:
                log.exception("deadlines cannot be looked at")

    def _process(self, requests: Requests) -> list[list[Verdict] | GaugewatchError]:
        """Score the points of several requests, in order."""
        parts = [request.points for request in requests]
        points, order = Posted.joined(parts), in_order(parts)
        answers: dict[int, Answer] = {}
        checked = [request.checked for request in requests]
        quiet = quiet_positions(requests)
        for _ in range(ATTEMPTS):
            serving = self._models.serving
            self._store.commit_epoch = serving.epoch
            answers |= misfits(requests, checked, serving)
            waiting = [position for position in order if position not in answers]
            if not waiting:
                break
            self._score(serving, points, waiting, quiet=quiet, answers=answers)
        contended = EntityContended("another replica keeps scoring this entity; send it again")
        answers |= {position: contended for position in order if position not in answers}
        return [of_request([answers[i] for i in span]) for span in spans(requests)]

    def _score(
        self,
        serving: Serving,
        points: Posted,
        waiting: Sequence[int],
        *,
        quiet: frozenset[int],
        answers: dict[int, Answer],
    ) -> None:
        """Answer what is committed, or cannot be; what was stale keeps waiting."""
        away: StoreUnavailable | None = None
        for name, positions in grouped(points.entities, waiting, serving.name_of):
            lane = self._lanes.of(serving.folds[name])
            if away is None:
                try:
                    batch = Batch(serving, lane, points, positions, quiet)
                    done = self._path.attempt(batch, answers=answers)
                    self._hearing.hear(serving, done)
                    continue
                except Exception as error:
                    for entity in positions:
                        self._path.losses.remember(entity, lane.arena.get(entity))
                        lane.arena.drop(entity)  # committed or not: nobody knows
                    if not isinstance(error, StoreUnavailable):
                        raise
                    away = error  # and will be for the other groups: nobody waits for each
            answers |= {i: away for group in positions.values() for i in group}
