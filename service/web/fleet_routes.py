"""The route of the fleet: every entity at once, in columns, for a page that draws them."""

from typing import Annotated

from fastapi import FastAPI, Query, Request
from pydantic import Field
from starlette.responses import Response

from service.errors import BadCursor, BadInput, NotAuthorised, Overloaded
from service.stream.fleet.board import Span
from service.stream.messages import StatusName
from service.web.faults import check_parameters
from service.web.openapi import problem_responses
from service.web.schemas import Documented, IncidentId, Milliseconds, Model, Name, Score, Severity
from service.web.services import services_of

_CELLS = (
    "base64 of one byte per entity and cell, entity after entity, oldest cell first: 0 no point, "
    "else 1 + the largest severity in quarter nats, at most 127; 128 more if one was an anomaly"
)


class FleetModelView(Documented):
    """A bundle that scored some of the fleet."""

    model: Model
    period_seconds: float


class FleetColumnsView(Documented):
    """Entities: every list has one item for each."""

    entity: list[Name]
    model: list[int] = Field(description="place among `models` of what scored the newest point")
    status: list[StatusName]
    timestamp_ms: list[Milliseconds] = Field(description="of the newest point")
    seen_ms: list[int] = Field(description="when it came, by the clock of the service")
    score: list[Score]
    severity: list[Severity]
    is_anomaly: list[bool]
    have: list[int] = Field(description="points seen ...")
    need: list[int] = Field(description="... of so many, before there is a score")
    incident: list[IncidentId] = Field(description="that is open")
    causes: list[list[tuple[str, float]]] = Field(
        description="of the newest odd point (anomalous, or a severity of 8 nats): "
        "up to 3 dimensions with their shares"
    )
    caused_ms: list[int | None] = Field(description="time of that point; null: none was odd")
    cells: str = Field(description=_CELLS)


class FleetView(Documented):
    """The fleet, or what changed of it."""

    next: str = Field(description="`since` of the next question")
    is_whole: bool = Field(description="false: only what changed since the cursor")
    now_ms: int = Field(description="clock of the service")
    end_ms: int = Field(description="time of the newest point; it lies in the last cell")
    cell_seconds: int
    cells: int = Field(description="of every entity")
    count: int = Field(description="entities on the board of this replica")
    left_off: int = Field(description="entities for which it has no room, as far as is known")
    models: list[FleetModelView]
    removed: list[Name] = Field(description="entities that are gone since the cursor")
    entities: FleetColumnsView


def add_fleet_route(app: FastAPI) -> None:
    """One route."""
    refusals = problem_responses(BadInput, BadCursor, NotAuthorised, Overloaded)
    responses = {200: {"model": FleetView}} | refusals
    app.get("/v1/fleet", tags=["entities"], response_model=None, responses=responses)(fleet)


async def fleet(
    request: Request,
    since: Annotated[
        str | None, Query(description="`next` of an answer about the same span")
    ] = None,
    span: Annotated[Span, Query(description="of the 60 cells together")] = "hour",
) -> Response:
    """The newest of every entity, and its severity over a span; or what changed since then."""
    services = services_of(request)
    check_parameters(request.query_params, "since", "span")
    answer = await services.fleet.answer(span, since)
    return Response(answer, media_type="application/json")
