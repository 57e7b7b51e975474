"""Routes of policies: what opens and ends incidents, for all entities, by pattern, for one."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response

from service.errors import BadBody, BadInput, EpochMovedOn, NotAuthorised, StoreUnavailable
from service.stream.effective import effective, in_force, unknown_dimensions
from service.stream.policy import Policies, Policy
from service.stream.policy_limits import checked_policy
from service.web import policy_views as views
from service.web.etag import IF_MATCH, expected_epoch, tagged
from service.web.faults import check_parameters, checked_entity, read_json
from service.web.openapi import problem_responses
from service.web.services import services_of

Body = TypeVar("Body")
ONE_ENTITY: Final = "/v1/policies/entities/{entity:path}"
ENTITY_QUERY: Final = {
    "name": "entity",
    "in": "query",
    "required": True,
    "schema": {"type": "string"},
}


def add_policy_routes(app: FastAPI) -> None:
    """All of them; answers are documented in `policy_views`."""
    refusals = problem_responses(BadInput, NotAuthorised, StoreUnavailable)
    removed = refusals | problem_responses(EpochMovedOn)
    changed = removed | problem_responses(BadBody)
    document, one = (
        {200: {"model": view}} for view in (views.PoliciesInForceView, views.EffectiveView)
    )
    for method, path, handler, responses, more in (
        (app.get, "/v1/policies", policies, document | refusals, {}),
        (app.put, "/v1/policies", replace, document | changed, _body_of("PoliciesView")),
        (app.get, "/v1/policies/effective", show, one | refusals, {"parameters": [ENTITY_QUERY]}),
        (app.put, ONE_ENTITY, replace_one, one | changed, _body_of("PolicyView")),
        (app.delete, ONE_ENTITY, remove_one, one | removed, {"parameters": [IF_MATCH]}),
    ):
        method(
            path, tags=["policies"], response_model=None, responses=responses, openapi_extra=more
        )(handler)


async def policies(request: Request) -> Response:
    """The document of policies, as it was put."""
    check_parameters(request.query_params)
    serving = services_of(request).models.serving
    return tagged(in_force(serving), serving.epoch)


async def replace(request: Request) -> Response:
    """Put another document in its place, on all replicas."""
    services, body = services_of(request), await _body(request, Policies)
    longest = services.settings.max_entity_characters
    await asyncio.to_thread(_check_names, body.entities, longest)
    serving = await services.rollout.change(
        lambda known: known.with_policies(body), expected_epoch=expected_epoch(request)
    )
    return tagged(in_force(serving), serving.epoch)


async def show(request: Request) -> Response:
    """What holds of one entity, with everything filled in, and who said it."""
    services = services_of(request)
    check_parameters(request.query_params, "entity")
    named = request.query_params.getlist("entity")
    if len(named) != 1:
        raise BadInput(f"expected one parameter `entity`, came {len(named)}")
    checked_entity(named[0], services.settings.max_entity_characters)
    serving = services.models.serving
    return tagged(effective(serving, named[0]), serving.epoch)


async def replace_one(request: Request, entity: str) -> Response:
    """Say something of one entity, in place of what was said of it."""
    services = services_of(request)
    checked_entity(entity, services.settings.max_entity_characters)
    body = await _body(request, Policy)
    checked_policy(body)
    if unknown := unknown_dimensions(services.models.serving, entity, body):
        bundle = services.models.serving.name_of(entity)
        detail = f"expected dimensions of bundle {bundle!r}, came {len(unknown)} other names"
        paths = (f"$.dimensions[{name!a}]" for name in unknown[:100])
        raise BadInput(detail, errors=[{"path": path, "detail": detail} for path in paths])
    return await _said(request, entity, body)


async def remove_one(request: Request, entity: str) -> Response:
    """Say nothing of one entity any more; it inherits everything."""
    services = services_of(request)
    check_parameters(request.query_params)
    checked_entity(entity, services.settings.max_entity_characters)
    return await _said(request, entity, None)


async def _said(request: Request, entity: str, policy: Policy | None) -> Response:
    serving = await services_of(request).rollout.change(
        lambda known: known.with_policy_of(entity, policy), expected_epoch=expected_epoch(request)
    )
    return tagged(effective(serving, entity), serving.epoch)


async def _body(request: Request, kind: type[Body]) -> Body:
    check_parameters(request.query_params)
    body = await services_of(request).bodies.read(request.scope, request.receive)
    return await asyncio.to_thread(read_json, body, kind)


def _check_names(entities: Iterable[str], max_characters: int) -> None:
    for entity in entities:
        checked_entity(entity, max_characters)


def _body_of(view: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{view}"}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"requestBody": body, "parameters": [IF_MATCH]}
