"""Routes of examples: which series are at hand for each bundle, and one of them to be sent back."""

import asyncio

from fastapi import FastAPI, Request
from pydantic import Field
from starlette.responses import Response

from service.errors import BadInput, NotAuthorised, UnknownBundle, UnknownExample
from service.web.faults import check_parameters
from service.web.openapi import problem_responses
from service.web.schemas import Documented, Milliseconds, Name, Value
from service.web.services import json_answer, services_of


class ExampleSummaryView(Documented):
    """A series at hand; without an entity: there is none for this bundle."""

    bundle: str
    entity: Name | None
    points: int
    period_seconds: float
    events: int = Field(description="stretches that are known to be anomalous")
    description: str = Field(description="one line for a person")


class KnownFaultView(Documented):
    """A stretch that is known to be anomalous, first and last point included."""

    start_ms: Milliseconds
    end_ms: Milliseconds
    kind: str | None = Field(description="null: the file does not say", examples=["level_shift"])
    culprits: list[str] = Field(description="guilty dimensions, as far as they are known")


class ExampleSeriesView(Documented):
    """A series as `POST /v1/detect` takes it."""

    entity: Name
    timestamp_ms: list[Milliseconds]
    dimensions: tuple[str, ...]
    values: list[list[Value]]
    label: list[int] = Field(default=[], description="1: anomalous; left out where unknown")
    faults: list[KnownFaultView]


def add_example_routes(app: FastAPI) -> None:
    """Both."""
    refusals = problem_responses(BadInput, NotAuthorised)
    unknown = problem_responses(UnknownBundle, UnknownExample)
    for path, handler, responses in (
        ("/v1/examples", examples, {200: {"model": list[ExampleSummaryView]}}),
        (
            "/v1/examples/{bundle}/{entity:path}",
            example,
            {200: {"model": ExampleSeriesView}} | unknown,
        ),
    ):
        every = responses | refusals
        app.get(path, tags=["models"], response_model=None, responses=every)(handler)


async def examples(request: Request) -> Response:
    """The series at hand for each bundle that is loaded."""
    check_parameters(request.query_params)
    return json_answer(await asyncio.to_thread(services_of(request).examples.listed))


async def example(request: Request, bundle: str, entity: str) -> Response:
    """One of them, as `POST /v1/detect` takes it."""
    check_parameters(request.query_params)
    found = await asyncio.to_thread(services_of(request).examples.example, bundle, entity)
    return Response(await asyncio.to_thread(found.encode), media_type="application/json")
