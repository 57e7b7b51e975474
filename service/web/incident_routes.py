"""Routes of incidents: listed, looked at, acknowledged and labelled, taken home as one file."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Annotated, Final, Literal
from urllib.parse import quote

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from service.errors import (
    BadBody,
    BadCursor,
    BadInput,
    NotAuthorised,
    StoreUnavailable,
    UnknownBundle,
    UnknownEntity,
    UnknownIncident,
)
from service.stream.incident_messages import IncidentRows, Wanted
from service.stream.incidents import Noted, Said
from service.stream.replay import packed_file
from service.stream.silence import NO_POINT_MARKS
from service.stream.view import rows_of
from service.web import incident_views as views
from service.web.faults import check_parameters, checked_entity, read_json
from service.web.openapi import problem_responses
from service.web.services import json_answer, services_of

MAX_PAGE: Final = 500
DEFAULT_PAGE: Final = 50
MAX_NOTE_CHARACTERS: Final = 2_000
NPZ: Final = "application/octet-stream"

LabelQuery = Literal["true", "false", "new_normal", "none"]


def add_incident_routes(app: FastAPI) -> None:
    """All of them; names of incidents may hold slashes, so the longer paths come first."""
    refusals = problem_responses(
        BadInput, BadCursor, NotAuthorised, UnknownIncident, StoreUnavailable
    )
    one = {200: {"model": views.IncidentView}} | refusals
    page = {200: {"model": views.IncidentPageView}} | refusals
    file = {200: {"description": "incident.npz", "content": {NPZ: {}}}} | refusals
    rows = {200: {"model": views.IncidentRowsView}} | refusals | problem_responses(UnknownBundle)
    noted = one | problem_responses(BadBody)
    for method, path, handler, responses in (
        (app.get, "/v1/incidents", incidents, page),
        (app.get, "/v1/incidents/{incident:path}/file", incident_file, file),
        (app.get, "/v1/incidents/{incident:path}/rows", incident_rows, rows),
        (app.put, "/v1/incidents/{incident:path}/note", note, noted),
        (app.get, "/v1/incidents/{incident:path}", incident_view, one),
    ):
        method(path, tags=["incidents"], response_model=None, responses=responses)(handler)


class Asked(BaseModel):
    """Which incidents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str | None = Field(None, description="of this entity alone")
    is_open: bool | None = Field(None, description="open, or resolved")
    label: LabelQuery | None = Field(None, description="labelled so")
    since_ms: int | None = Field(None, ge=0, description="opened then or later")
    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    after: str | None = Field(None, description="`next` of the page before")


async def incidents(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """Incidents, the last opened first."""
    services = services_of(request)
    if asked.entity is not None:
        checked_entity(asked.entity, services.settings.max_entity_characters)
    wanted = Wanted(asked.entity, asked.is_open, asked.label, asked.since_ms)
    read = partial(services.incidents.page, wanted, limit=asked.limit, after=asked.after)
    return json_answer(await services.desk.ask(read))


async def incident_view(request: Request, incident: str) -> Response:
    """One incident: the newest that was told about it, and what people said."""
    services = services_of(request)
    check_parameters(request.query_params)
    record = await services.desk.ask(partial(services.incidents.record, incident))
    return json_answer(record.incident)


async def note(request: Request, incident: str) -> Response:
    """Acknowledge or label an incident; null takes back, what is not said stays as it was.

    The label `new_normal` also ends it, if it is open, and the entity learns its normal again.
    """
    services = services_of(request)
    check_parameters(request.query_params)
    said = read_json(await services.bodies.read(request.scope, request.receive), Said)
    if max(len(said.by or ""), len(said.text or "")) > MAX_NOTE_CHARACTERS:
        raise BadInput(f"expected at most {MAX_NOTE_CHARACTERS} characters in `by` and `text`")
    noted = await services.desk.ask(partial(services.incidents.annotate, incident, said))
    if not _is_accepted(noted, said):
        return json_answer(noted.incident)
    with suppress(UnknownEntity, UnknownBundle):  # it is gone: there is no state to change
        await services.ingest.accept(noted.incident.entity, incident)
    record = await services.desk.ask(partial(services.incidents.record, incident))
    return json_answer(record.incident)


def _is_accepted(noted: Noted, said: Said) -> bool:
    """Whether what it shows is called normal now; again, where it did not end the first time."""
    is_news = noted.before.label != "new_normal" or noted.incident.is_open
    is_scored = not noted.incident.incident.endswith(NO_POINT_MARKS)
    return said.label == "new_normal" and is_news and is_scored


async def incident_rows(request: Request, incident: str) -> Response:
    """The points that are kept with one, from somewhat before it opened, with their verdicts."""
    services = services_of(request)
    check_parameters(request.query_params)

    def read() -> IncidentRows:
        return rows_of(services.ingest.wrote, services.incidents.record(incident))

    return json_answer(await services.desk.ask(read))


async def incident_file(request: Request, incident: str) -> Response:
    """All that is kept of one, for `gaugewatch replay-incident`."""
    services = services_of(request)
    check_parameters(request.query_params)
    record = await services.desk.ask(partial(services.incidents.record, incident))
    content = await asyncio.to_thread(packed_file, record)
    name = quote(record.incident.incident, safe="@")
    disposition = f"attachment; filename*=UTF-8''{name}.npz"
    return Response(content, media_type=NPZ, headers={"Content-Disposition": disposition})
