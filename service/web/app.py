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
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import GaugewatchError, StoreUnavailable
from service.settings import Settings, read_settings
from service.stream.desk import Desk
from service.stream.examples import Examples
from service.stream.fleet.board import Fleet
from service.stream.hearing import Listeners
from service.stream.incidents import Incidents
from service.stream.ingest import Ingest
from service.stream.models import Models
from service.stream.promise import Promise
from service.stream.rollout import Rollout
from service.stream.secret import shared_secret
from service.stream.store import Store
from service.web.auth import Gate
from service.web.body import Bodies
from service.web.cutoff import CutOff
from service.web.detect_state import Seals
from service.web.openapi import describe
from service.web.parts import (
    embedded_url,
    feed_of,
    fleet_viewer_of,
    limits_of,
    metrics_of,
    models_of,
    observed_of,
    recorder_of,
    store_of,
)
from service.web.points import PATH as HOT_PATH, PostPoints
from service.web.problems import HANDLERS, Answering
from service.web.readiness import Readiness
from service.web.routes import add_routes
from service.web.services import Services
from service.web.timing import RequestTimes

log: structlog.stdlib.BoundLogger = structlog.get_logger()

START_SECONDS = 5.0  # that Redis may take to answer at the start


class Application(FastAPI):
    """FastAPI, with the hot route in front of its machinery."""

    hot: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == HOT_PATH and scope["method"] == "POST":
            scope["app"] = self
            await self.hot(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service as an ASGI application. Raises SettingInvalid."""
    chosen = settings or read_settings()
    app = Application(
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
    app.hot = RequestTimes(CutOff(Gate(Answering(PostPoints()), chosen)))
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
    models = await asyncio.to_thread(models_of, settings)
    url = settings.redis_url or await embedded_url(settings, stack)
    store, probe = store_of(url, settings, stack), store_of(url, settings, stack)
    rollout = Rollout(store_of(url, settings, stack), models)
    secret = await _agreed(store, rollout)
    stack.push_async_callback(_stopped, asyncio.create_task(rollout.follow()))
    metrics = metrics_of(settings, models)
    recorder = await recorder_of(settings, stack, metrics)
    fleet = Fleet(settings.max_fleet_entities)
    listeners = Listeners(metrics.observe_stage, metrics.count_told, recorder, fleet)
    ingest = Ingest(store, models, limits=limits_of(settings), listeners=listeners)
    await stack.enter_async_context(ingest)
    feed = await stack.enter_async_context(feed_of(url, settings, metrics, fleet))
    kept = store_of(url, settings, stack)  # for the desk
    desk = Desk("incidents")
    stack.callback(desk.close)  # before the store it reads
    readiness = Readiness(probe, feed, rollout)
    stack.push_async_callback(_stopped, asyncio.create_task(readiness.follow()))
    services = Services(
        settings=settings,
        models=models,
        rollout=rollout,
        ingest=ingest,
        feed=feed,
        metrics=metrics,
        bodies=Bodies(settings),
        readiness=readiness,
        kept=kept,
        incidents=Incidents(kept),
        promise=Promise(kept),
        fleet=fleet_viewer_of(url, settings, stack, fleet=fleet, ingest=ingest),
        desk=desk,
        seals=Seals(secret),
        examples=Examples(models, settings.examples_folder, max_points=settings.max_detect_points),
    )
    await _shown(services, stack)
    return services


async def _shown(services: Services, stack: AsyncExitStack) -> None:
    """On the page of metrics: what the parts say of themselves, and what came of the promise."""
    metrics, ingest = services.metrics, services.ingest
    metrics.watch("entities", "Entities held in memory", lambda: ingest.entities)
    metrics.watch("queued_points", "Points waiting for a verdict", lambda: ingest.queued_points)
    text = "Points that were held and will never be scored"
    metrics.watch_counts("dropped_points", text, "reason", lambda: ingest.dropped_points)
    lost = "Points that Redis had taken and no longer has"
    metrics.watch_counts("lost_points", lost, "model", lambda: ingest.lost_points)
    metrics.watch("subscribers", "Open alert sockets", lambda: len(services.subscribers))
    observed = observed_of(services.promise, services.models, services.desk)
    metrics.watch_families(observed.families)
    await observed.refresh()
    stack.push_async_callback(_stopped, asyncio.create_task(observed.follow()))


async def _agreed(store: Store, rollout: Rollout) -> bytes:
    """Check Redis and agree on configuration and secret; a disk that is busy is waited for."""
    deadline_seconds = time.monotonic() + START_SECONDS
    while True:
        try:
            await asyncio.to_thread(store.check)
            await rollout.start()
            return await asyncio.to_thread(shared_secret, store)
        except StoreUnavailable:
            if time.monotonic() > deadline_seconds:
                raise
            await asyncio.sleep(0.2)


def _titles(models: Models) -> list[str]:
    return sorted(fold.bundle.title for fold in models.serving.folds.values())


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
