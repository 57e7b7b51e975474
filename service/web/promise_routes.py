"""The route of the promise: false incidents per entity and day, as promised and as they came."""

from functools import partial
from typing import Annotated, Final

from fastapi import FastAPI, Query, Request
from pydantic import Field
from starlette.responses import Response

from service.errors import BadInput, NotAuthorised, StoreUnavailable
from service.stream.promise import reported
from service.web.faults import check_parameters
from service.web.openapi import problem_responses
from service.web.schemas import Documented, Model
from service.web.services import json_answer, services_of

DEFAULT_DAYS: Final = 7
MAX_DAYS: Final = 90


class ModelPromiseView(Documented):
    """What one bundle promised, and what came of it. Rates are per entity and day."""

    model: Model
    promised: float | None = Field(description="false incidents; null: no longer in force")
    entity_days: float | None = Field(
        description="scored points x period; null: no version of the bundle is in force"
    )
    incidents: int = Field(
        description="opened in those days; not silences, nor of entities that are calibrating"
    )
    labelled_true: int
    labelled_false: int
    labelled_new_normal: int
    unlabelled: int
    false_rate: float | None = Field(description="incidents labelled false; null: nothing scored")
    at_most: float | None = Field(description="incidents not labelled true; null: nothing scored")
    is_complete: bool = Field(description="false: more incidents opened than are kept or counted")


def add_promise_route(app: FastAPI) -> None:
    """One route."""
    refusals = problem_responses(BadInput, NotAuthorised, StoreUnavailable)
    responses = {200: {"model": list[ModelPromiseView]}} | refusals
    app.get("/v1/promise", tags=["models"], response_model=None, responses=responses)(promise)


async def promise(
    request: Request,
    days: Annotated[
        int, Query(ge=1, le=MAX_DAYS, description="of UTC, today among them")
    ] = DEFAULT_DAYS,
) -> Response:
    """False incidents per entity and day of every bundle: promised, labelled, and at most."""
    services = services_of(request)
    check_parameters(request.query_params, "days")
    read = partial(reported, services.promise, services.models, days=days)
    return json_answer(await services.desk.ask(read))
