"""Ingest: the door of the stream floor. Points in, verdicts out, in batches and in order."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np
import structlog

from service.errors import BadPoints, GaugewatchError, StoreUnavailable
from service.stream.answers import Answer, of_request
from service.stream.batcher import Batcher, Requests
from service.stream.lanes import Lanes
from service.stream.messages import EntityView, Point, ShadowReport, Verdict
from service.stream.models import Models
from service.stream.path import Attempted, PointPath
from service.stream.recorder import Recorder
from service.stream.serving import Serving
from service.stream.sift import grouped, in_order
from service.stream.store import MAX_ENTITIES_PER_CALL, Store
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
        on_stage: Callable[[str, float], None] | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        limits = limits or Limits()
        self._store = store
        self._models = models
        max_entities = max(limits.max_entities, MAX_ENTITIES_PER_CALL)
        self._lanes = Lanes(
            models, max_entities=max_entities, silence_periods=limits.silence_periods
        )
        self._has_silence = limits.silence_periods > 0
        self._ticking: asyncio.Task[None] | None = None
        self._path = PointPath(store, models, self._lanes, on_stage=on_stage)
        self._viewer = Viewer(store.twin())
        self._recorder = recorder
        self._heard: list[tuple[str, Callable[[], None]]] = []  # by stage, for after the answers
        self._batcher = Batcher(
            self._process,
            rest=self._rest,
            max_queued_points=limits.max_queued_points,
            max_batch_points=limits.max_batch_points,
        )

    async def __aenter__(self) -> Self:
        await self._batcher.__aenter__()
        if self._has_silence:
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

    def shadow_report(self, name: str) -> ShadowReport | None:
        """What the shadow of a bundle found out, in this process."""
        shadow = self._lanes.shadow_of(self._models.serving, name)
        return None if shadow is None else shadow.report()

    async def entity(self, name: str, *, rows: int) -> EntityView:
        """An entity with its newest `rows` points. Raises UnknownEntity, StoreUnavailable."""
        self._models.serving.fold_of(name)
        return await self._viewer.view(self._lanes.wrote, name, rows=rows)

    async def forget(self, name: str) -> None:
        """Delete an entity; its incidents stay. Raises UnknownEntity, StoreUnavailable."""
        await self._batcher.run(lambda: self._path.forget(name))

    async def tick(self) -> int:
        """Tell which entities fell silent; how many did. Raises StoreUnavailable."""
        return await self._batcher.run(lambda: self._path.tick(self._models.serving))

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                await self.tick()
            except StoreUnavailable:
                continue  # what is due stays due
            except Exception:
                log.exception("silence cannot be told")

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
                    done = self._path.attempt(lane, points, positions, answers=answers)
                    self._hear(serving, done)
                    continue
                except Exception as error:
                    for entity in positions:
                        lane.arena.drop(entity)  # committed or not: nobody knows
                    if not isinstance(error, StoreUnavailable):
                        raise
                    away = error  # and will be for the other groups: nobody waits for each
            answers |= {i: away for group in positions.values() for i in group}

    def _hear(self, serving: Serving, done: Attempted) -> None:
        """Remember what shadows are to score and what is to be recorded."""
        name = done.lane.fold.bundle.manifest.name
        if (shadow := self._lanes.shadow_of(serving, name)) is not None:
            self._heard.append(("shadow", partial(shadow.score, done.arrived, done.rows)))
        if self._recorder is not None:
            self._heard.append(("record", partial(self._recorder.record, done)))

    def _rest(self) -> Callable[[], None] | None:
        """What is done after the answers are out."""
        heard, self._heard = self._heard, []
        return partial(self._tell, heard) if heard else None

    def _tell(self, heard: list[tuple[str, Callable[[], None]]]) -> None:
        for stage, run in heard:
            with self._path.stage(stage):
                run()


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
