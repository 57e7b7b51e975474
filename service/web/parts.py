"""The parts of the application, made from its settings."""

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Literal

import structlog

from service.settings import Settings
from service.stream.alerts import AlertFeed
from service.stream.desk import Desk
from service.stream.embedded import EmbeddedValkey
from service.stream.fleet.board import Fleet
from service.stream.fleet.fill import FleetFill
from service.stream.fleet.viewer import FleetViewer
from service.stream.ingest import Ingest, Limits
from service.stream.models import Models
from service.stream.promise import Promise, reported
from service.stream.recorder import Pace, Recorder
from service.stream.recording import Recording
from service.stream.store import Store, StoreOptions
from service.web.metrics import Metrics
from service.web.observed import DAYS, Observed
from service.web.scoreboard import Scoreboard

log: structlog.stdlib.BoundLogger = structlog.get_logger()


async def embedded_url(settings: Settings, stack: AsyncExitStack) -> str:
    """Address of a private Valkey, which ends with the stack."""
    mode: Literal["always", "everysec"] = (
        "everysec" if settings.durability == "everysec" else "always"
    )
    valkey = EmbeddedValkey(settings.data_directory / "valkey", durability=mode)
    stack.push_async_callback(asyncio.to_thread, valkey.stop)
    await asyncio.to_thread(valkey.__enter__)
    log.info("embedded valkey started", directory=str(valkey.directory), pid=valkey.pid)
    return valkey.url


def store_of(url: str, settings: Settings, stack: AsyncExitStack) -> Store:
    """A store with a connection of its own."""
    options = StoreOptions(
        shards=settings.shards,
        durability=settings.durability,
        replicas=settings.replicas,
        ttl_seconds=settings.entity_ttl_seconds,
        alerts_kept=settings.alert_retention,
        incidents_kept=settings.incident_retention,
        incident_ttl_seconds=settings.incident_ttl_seconds,
        entities_kept=settings.max_kept_entities,
    )
    store = Store(url, options)
    stack.callback(store.close)
    return store


def models_of(settings: Settings) -> Models:
    """Every bundle of the folder, opened."""
    default, budget = settings.default_bundle, settings.false_alarm_budget
    return Models(settings.bundles, default=default, budget=budget)


def feed_of(url: str, settings: Settings, metrics: Metrics, fleet: Fleet) -> AlertFeed:
    """The alert log as subscribers, the page of metrics, and the fleet follow it."""

    def hear(alert: bytes) -> None:
        metrics.hear(alert)
        fleet.tell(alert)

    return AlertFeed(
        url,
        settings.shards,
        queue_size=settings.subscriber_queue,
        max_subscribers=settings.max_subscribers,
        on_alert=hear,
    )


def fleet_viewer_of(
    url: str, settings: Settings, stack: AsyncExitStack, *, fleet: Fleet, ingest: Ingest
) -> FleetViewer:
    """What people see of the fleet, and what fills it from Redis."""
    store = store_of(url, settings, stack)
    viewer = FleetViewer(fleet, FleetFill(fleet, store, ingest.wrote))
    stack.push_async_callback(viewer.close)  # before the store it reads
    return viewer


def limits_of(settings: Settings) -> Limits:
    """What is bounded on the stream floor."""
    return Limits(
        max_queued_points=settings.max_queued_points,
        max_entities=settings.max_entities,
        silence_periods=settings.silence_periods,
    )


def metrics_of(settings: Settings, models: Models) -> Metrics:
    """The page of metrics, of nothing yet."""
    scoreboard = Scoreboard(shown=settings.metrics_entities, max_entities=settings.max_entities)
    return Metrics(budgets=partial(_budgets, models), scoreboard=scoreboard)


async def recorder_of(
    settings: Settings, stack: AsyncExitStack, metrics: Metrics
) -> Recorder | None:
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


def observed_of(promise: Promise, models: Models, desk: Desk) -> Observed:
    """What came of the promise, read on the desk."""
    return Observed(partial(reported, promise, models, days=DAYS), desk)


def _budgets(models: Models) -> dict[str, float]:
    return {fold.bundle.title: fold.budget for fold in models.serving.folds.values()}


def _pace(settings: Settings) -> Pace:
    points = settings.recording_points
    return Pace(points, settings.recording_seconds, backlog=max(Pace.backlog, 2 * points))
