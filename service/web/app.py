"""The application: settings in, FastAPI out, and the order in which its parts start and stop."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware

from service.errors import GaugewatchError, StoreUnavailable
from service.settings import Settings, read_settings
from service.stream.alerts import AlertFeed
from service.stream.desk import Desk
from service.stream.embedded import EmbeddedValkey
from service.stream.incidents import Incidents
from service.stream.ingest import Ingest, Limits
from service.stream.models import Models
from service.stream.recorder import Pace, Recorder
from service.stream.recording import Recording
from service.stream.rollout import Rollout
from service.stream.store import Store, StoreOptions
from service.web.auth import Gate
from service.web.body import Bodies
from service.web.cutoff import CutOff
from service.web.metrics import Metrics
from service.web.openapi import describe
from service.web.problems import HANDLERS
from service.web.readiness import Readiness
from service.web.routes import add_routes
from service.web.scoreboard import Scoreboard
from service.web.services import Services
from service.web.timing import RequestTimes

log: structlog.stdlib.BoundLogger = structlog.get_logger()

START_SECONDS = 5.0  # that Redis may take to answer at the start


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service as an ASGI application. Raises SettingInvalid."""
    chosen = settings or read_settings()
    app = FastAPI(
        title="Gaugewatch",
        version=version("gaugewatch"),
        docs_url=None,  # their pages load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        lifespan=partial(_lifespan, chosen),
        exception_handlers=HANDLERS,
        middleware=[
            Middleware(RequestTimes),
            Middleware(CutOff),
            Middleware(Gate, settings=chosen),
        ],
    )
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    add_routes(app)
    return app


@asynccontextmanager
async def _lifespan(settings: Settings, app: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        try:
            app.state.services = await _start(settings, stack)
        except GaugewatchError as error:
            log.error("start refused", code=error.code, detail=error.detail)
            raise
        log.info("started", bundles=_titles(app.state.services.models))
        yield
    log.info("stopped")


async def _start(settings: Settings, stack: AsyncExitStack) -> Services:
    """Start the parts from the bottom up; the stack ends them from the top down."""
    models = await asyncio.to_thread(
        partial(Models, default=settings.default_bundle, budget=settings.false_alarm_budget),
        settings.bundles,
    )
    url = settings.redis_url or await _embedded_url(settings, stack)
    store, probe = _store(url, settings, stack), _store(url, settings, stack)
    rollout = Rollout(_store(url, settings, stack), models)
    await _agreed(store, rollout)
    stack.push_async_callback(_stopped, asyncio.create_task(rollout.follow()))
    metrics = _metrics(settings, models)
    recorder = await _recorder(settings, stack, metrics)
    ingest = await stack.enter_async_context(
        Ingest(
            store,
            models,
            limits=_limits(settings),
            on_stage=metrics.observe_stage,
            recorder=recorder,
        )
    )
    feed = await stack.enter_async_context(
        AlertFeed(
            url,
            settings.shards,
            queue_size=settings.subscriber_queue,
            max_subscribers=settings.max_subscribers,
        )
    )
    desk = Desk("incidents")
    stack.callback(desk.close)
    services = Services(
        settings=settings,
        models=models,
        rollout=rollout,
        ingest=ingest,
        feed=feed,
        metrics=metrics,
        bodies=Bodies(settings),
        readiness=Readiness(probe, feed, rollout),
        incidents=Incidents(_store(url, settings, stack)),
        desk=desk,
    )
    metrics.watch("entities", "Entities held in memory", lambda: ingest.entities)
    metrics.watch("queued_points", "Points waiting for a verdict", lambda: ingest.queued_points)
    metrics.watch("subscribers", "Open alert sockets", lambda: len(services.subscribers))
    return services


async def _agreed(store: Store, rollout: Rollout) -> None:
    """Check Redis and agree on the configuration; a disk that is busy just now is waited for."""
    deadline_seconds = time.monotonic() + START_SECONDS
    while True:
        try:
            await asyncio.to_thread(store.check)
            await rollout.start()
        except StoreUnavailable:
            if time.monotonic() > deadline_seconds:
                raise
            await asyncio.sleep(0.2)
        else:
            return


async def _embedded_url(settings: Settings, stack: AsyncExitStack) -> str:
    valkey = EmbeddedValkey(settings.data_directory / "valkey", durability=settings.durability)
    stack.push_async_callback(asyncio.to_thread, valkey.stop)
    await asyncio.to_thread(valkey.__enter__)
    log.info("embedded valkey started", directory=str(valkey.directory), pid=valkey.pid)
    return valkey.url


async def _recorder(settings: Settings, stack: AsyncExitStack, metrics: Metrics) -> Recorder | None:
    """Running, if there is a folder to record into; it ends after the last point was scored."""
    name, text = "recorded_points", "Points kept for training, or lost to it"
    if settings.recording_directory is None:
        metrics.watch_counts(name, text, "outcome", lambda: {"written": 0, "lost": 0})
        return None
    recording = Recording(settings.recording_directory, keep_days=settings.recording_days)
    recorder = Recorder(recording, _pace(settings))
    await asyncio.to_thread(recorder.start)
    stack.push_async_callback(asyncio.to_thread, recorder.stop)
    metrics.watch_counts(name, text, "outcome", lambda: recorder.counts)
    log.info("recording", directory=str(settings.recording_directory))
    return recorder


def _store(url: str, settings: Settings, stack: AsyncExitStack) -> Store:
    options = StoreOptions(
        shards=settings.shards,
        durability=settings.durability,
        ttl_seconds=settings.entity_ttl_seconds,
        alerts_kept=settings.alert_retention,
        incidents_kept=settings.incident_retention,
        incident_ttl_seconds=settings.incident_ttl_seconds,
    )
    store = Store(url, options)
    stack.callback(store.close)
    return store


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_queued_points=settings.max_queued_points,
        max_entities=settings.max_entities,
        silence_periods=settings.silence_periods,
    )


def _pace(settings: Settings) -> Pace:
    points = settings.recording_points
    return Pace(points, settings.recording_seconds, backlog=max(Pace.backlog, 2 * points))


def _metrics(settings: Settings, models: Models) -> Metrics:
    scoreboard = Scoreboard(shown=settings.metrics_entities, max_entities=settings.max_entities)
    folds = models.serving.folds.values()
    budgets = {fold.bundle.title: fold.budget for fold in folds}
    return Metrics(budgets=budgets, scoreboard=scoreboard)


def _titles(models: Models) -> list[str]:
    return sorted(fold.bundle.title for fold in models.serving.folds.values())


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
