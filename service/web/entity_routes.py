"""Routes of entities: listed page by page, looked at, forgotten."""

from enum import Enum
from functools import partial
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from pydantic import Field
from starlette.responses import Response

from service.errors import BadCursor, BadInput, NotAuthorised, StoreUnavailable, UnknownEntity
from service.web import views
from service.web.faults import check_parameters, checked_entity
from service.web.openapi import problem_responses
from service.web.schemas import Documented, Name
from service.web.services import json_answer, services_of

Responses = dict[int | str, dict[str, Any]]

DEFAULT_ROWS: Final = 32
MAX_ROWS: Final = 1_000
DEFAULT_PAGE: Final = 1_000
MAX_PAGE: Final = 10_000


class EntitiesView(Documented):
    """Some of the entities that are kept."""

    count: int = Field(description="of all; who expired is counted until somebody needs the room")
    entities: list[Name]
    next: str | None = Field(description="`after` of the next page; null at the end")


def add_entity_routes(app: FastAPI) -> None:
    """All of them; names of entities may hold slashes."""
    tags: list[str | Enum] = ["entities"]
    listing = problem_responses(BadInput, BadCursor, NotAuthorised, StoreUnavailable)
    one = problem_responses(BadInput, NotAuthorised, UnknownEntity, StoreUnavailable)
    page: Responses = {200: {"model": EntitiesView}, **listing}
    view: Responses = {200: {"model": views.EntityView}, **one}
    app.get("/v1/entities", tags=tags, response_model=None, responses=page)(entities)
    path = "/v1/entities/{entity:path}"
    app.get(path, tags=tags, response_model=None, responses=view)(entity)
    app.delete(path, tags=tags, status_code=204, responses=one)(forget)


async def entities(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="names, at most")] = DEFAULT_PAGE,
    after: Annotated[str | None, Query(description="`next` of the page before")] = None,
) -> Response:
    """The entities that are kept. One that is renewed while pages are read may be on two."""
    services = services_of(request)
    check_parameters(request.query_params, "limit", "after")
    page = await services.desk.ask(partial(services.kept.entities, after, limit))
    count = await services.desk.ask(services.kept.entity_count)
    return json_answer({"count": count, "entities": page.entities, "next": page.next})


async def entity(
    request: Request,
    entity: str,
    rows: Annotated[int, Query(ge=1, le=MAX_ROWS, description="newest points")] = DEFAULT_ROWS,
) -> Response:
    """One entity, with its newest points and their verdicts."""
    services = services_of(request)
    check_parameters(request.query_params, "rows")
    checked_entity(entity, services.settings.max_entity_characters)
    return json_answer(await services.ingest.entity(entity, rows=rows))


async def forget(request: Request, entity: str) -> Response:
    """Delete what is kept of one entity; its next point begins anew. Its incidents stay."""
    services = services_of(request)
    check_parameters(request.query_params)
    checked_entity(entity, services.settings.max_entity_characters)
    await services.ingest.forget(entity)
    return Response(status_code=204)
