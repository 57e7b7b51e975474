"""What the routes share while the service runs; the lifespan makes it."""

import asyncio
from dataclasses import dataclass, field

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from service.settings import Settings
from service.stream.alerts import AlertFeed
from service.stream.desk import Desk
from service.stream.examples import Examples
from service.stream.fleet.viewer import FleetViewer
from service.stream.incidents import Incidents
from service.stream.ingest import Ingest
from service.stream.models import Models
from service.stream.promise import Promise
from service.stream.rollout import Rollout
from service.stream.store import Store
from service.web.body import Bodies
from service.web.detect_state import Seals
from service.web.metrics import Metrics
from service.web.readiness import Readiness


@dataclass(frozen=True)
class Services:
    """The parts of a running service."""

    settings: Settings
    models: Models
    rollout: Rollout
    ingest: Ingest
    feed: AlertFeed
    metrics: Metrics
    bodies: Bodies
    readiness: Readiness
    incidents: Incidents
    kept: Store  # what the desk reads
    promise: Promise
    fleet: FleetViewer
    examples: Examples
    seals: Seals  # of series that come in pieces
    desk: Desk  # for reads and labels of incidents, and for the promise
    stopping: asyncio.Event = field(default_factory=asyncio.Event)  # streams end now
    subscribers: set[WebSocket] = field(default_factory=set)


def services_of(request: Request) -> Services:
    """Those of the application that answers."""
    services: Services = request.app.state.services
    return services


def json_answer(answer: object) -> Response:
    """Structs of the wire, and what JSON knows, as a response."""
    return Response(msgspec.json.encode(answer), media_type="application/json")
