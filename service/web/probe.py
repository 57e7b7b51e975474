"""The probe: one entity in full for Prometheus, as a scrape job with relabelling asks for it.

The page names no entity: the job does, with the label it puts on its target.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.responses import Response

from service.errors import (
    BadInput,
    NotAuthorised,
    Overloaded,
    StoreUnavailable,
    UnknownBundle,
    UnknownEntity,
    UnknownIncident,
)
from service.stream.messages import EntityView
from service.web.families import Labels, counter, gauge
from service.web.faults import check_parameters, checked_entity
from service.web.openapi import problem_responses
from service.web.services import Services, services_of

KEPT: Final = ("scored", "calibrating", "warming")  # statuses of points that are kept
_REFUSALS: Final = (
    *(BadInput, NotAuthorised, UnknownEntity, UnknownBundle),
    *(Overloaded, StoreUnavailable),
)


def add_probe_route(app: FastAPI) -> None:
    """One route."""
    refusals = problem_responses(*_REFUSALS)
    app.get("/probe", tags=["operations"], response_class=Response, responses=refusals)(probe)


async def probe(
    request: Request, entity: Annotated[str, Query(description="name of the entity")]
) -> Response:
    """One entity for Prometheus, in its text format: its newest point and what came of it."""
    services = services_of(request)
    check_parameters(request.query_params, "entity")
    if (came := len(request.query_params.getlist("entity"))) != 1:
        raise BadInput(f"expected one parameter `entity`, came {came}")
    checked_entity(entity, services.settings.max_entity_characters)
    view = await services.ingest.entity(entity, rows=1)
    page = ProbePage(view, is_incident_open=await _is_incident_open(services, view))
    return Response(generate_latest(page), media_type=CONTENT_TYPE_PLAIN_0_0_4)


async def _is_incident_open(services: Services, view: EntityView) -> bool:
    """What was told last; an incident may have ended without a point."""
    if view.incident is None:
        return False
    try:
        record = await services.desk.ask(partial(services.incidents.record, view.incident))
    except UnknownIncident:
        return False  # nobody was told of it
    return record.incident.is_open


class ProbePage(Collector):
    """Everything that is said of one entity."""

    def __init__(self, view: EntityView, *, is_incident_open: bool) -> None:
        """`view` has one row: the newest point."""
        self._view, self._newest = view, view.window[-1]
        self._is_incident_open = is_incident_open

    def collect(self) -> Iterator[Metric]:
        """What has no number is left out, and never 0."""
        view, newest = self._view, self._newest
        yield self._one("success", "1: a point of the entity is kept", 1)
        yield self._one(
            "score", "Score of the newest point, more than 1 is anomalous", newest.score
        )
        yield self._one("severity", "Severity of the newest point, in nats", newest.severity)
        yield self._one("is_anomaly", "1: the newest point is an anomaly", newest.is_anomaly)
        yield self._one("incident_open", "1 while an incident is open", self._is_incident_open)
        yield counter("probe_points", "Points accepted", "model", {view.model: view.points})
        text = "1 for the status of the newest point"
        yield self._by("status", text, {one: one == newest.status for one in KEPT}, label="status")
        text = "Time of the newest point"
        yield self._one("newest_point_timestamp_seconds", text, newest.timestamp_ms / 1000)
        yield from self._of_dimensions()

    def _of_dimensions(self) -> Iterator[Metric]:
        causes, names = self._newest.causes, self._view.dimensions
        text = "Share of a leading cause in the newest point, 0 to 1"
        yield self._by("cause_ratio", text, {one.dimension: one.share for one in causes})
        values = dict(zip(names, self._newest.values, strict=True))
        yield self._by("value", "Value of the newest point, in its unit", values)
        text = "What the model expected of a leading cause, in its unit"
        yield self._by("expected", text, {one.dimension: one.expected for one in causes})
        text = "How far normal values of a leading cause stray, in its unit"
        yield self._by("band", text, {one.dimension: one.band for one in causes})

    def _one(self, name: str, text: str, number: float | None) -> Metric:
        values: dict[Labels, float] = {} if number is None else {(self._view.model,): number}
        return gauge(f"probe_{name}", text, values, labels=("model",))

    def _by(
        self,
        name: str,
        text: str,
        numbers: Mapping[str, float | None],
        *,
        label: str = "dimension",
    ) -> Metric:
        values: dict[Labels, float] = {
            (self._view.model, key): number for key, number in numbers.items() if number is not None
        }
        return gauge(f"probe_{name}", text, values, labels=("model", label))
