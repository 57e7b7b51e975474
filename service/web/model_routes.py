"""Routes of bundles at run time: versions, activation, rollback, shadows, assignments."""

import asyncio
from typing import Final, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response

from service.errors import (
    BadBody,
    BadInput,
    BundleInvalid,
    BundleRefused,
    EpochMovedOn,
    NotAuthorised,
    StoreUnavailable,
    UnknownBundle,
)
from service.scoring.candidate import check_candidate
from service.stream.configuration import Configuration
from service.stream.messages import Assignment, Assignments, ModelState, Version
from service.stream.rollout import Change
from service.web import views
from service.web.etag import IF_MATCH, expected_epoch, tagged
from service.web.faults import check_parameters, checked_entity, read_json
from service.web.openapi import problem_responses
from service.web.services import Services, json_answer, services_of

Body = TypeVar("Body")
MAX_PATTERN_CHARACTERS: Final = 200


def add_model_routes(app: FastAPI) -> None:
    """All of them; answers are documented in `views`."""
    refusals = problem_responses(BadInput, BadBody, NotAuthorised, UnknownBundle, StoreUnavailable)
    checked = refusals | problem_responses(BundleRefused)
    one, report, chosen = (
        {200: {"model": view}}
        for view in (views.ModelStateView, views.ShadowView, views.AssignmentsView)
    )
    replaced = chosen | refusals | problem_responses(EpochMovedOn)
    for method, path, handler, responses in (
        (app.post, "/v1/models/{name}/activate", activate, one | checked),
        (app.post, "/v1/models/{name}/rollback", roll_back, one | refusals),
        (app.get, "/v1/models/{name}", model, one | refusals),
        (app.get, "/v1/models/{name}/shadow", shadow, report | refusals),
        (app.put, "/v1/models/{name}/shadow", start_shadow, one | checked),
        (app.delete, "/v1/models/{name}/shadow", end_shadow, one | refusals),
        (app.get, "/v1/assignments", assignments, chosen | refusals),
        (app.put, "/v1/assignments", assign, replaced),
    ):
        extra = {"parameters": [IF_MATCH]} if handler is assign else None
        method(
            path, tags=["models"], response_model=None, responses=responses, openapi_extra=extra
        )(handler)


async def model(request: Request, name: str) -> Response:
    """The versions of one bundle, and which of them is in force."""
    check_parameters(request.query_params)
    return _state(services_of(request), name)


async def activate(request: Request, name: str) -> Response:
    """Put a version in force, on all replicas; it is opened and tried before."""
    services, body = services_of(request), await _body(request, Version)
    await _check(services, name, body.version)
    await services.rollout.change(lambda known: known.activated(name, body.version))
    return _state(services, name)


async def roll_back(request: Request, name: str) -> Response:
    """Put the version before in force again."""
    services = services_of(request)
    check_parameters(request.query_params)
    await services.rollout.change(lambda known: known.rolled_back(name))
    return _state(services, name)


async def start_shadow(request: Request, name: str) -> Response:
    """Let a version score silently beside the active one."""
    services, body = services_of(request), await _body(request, Version)
    await _check(services, name, body.version)
    await services.rollout.change(lambda known: known.shadowed(name, body.version))
    return _state(services, name)


async def end_shadow(request: Request, name: str) -> Response:
    """Stop the silent version."""
    services = services_of(request)
    check_parameters(request.query_params)
    await services.rollout.change(lambda known: known.shadowed(name, None))
    return _state(services, name)


async def shadow(request: Request, name: str) -> Response:
    """What the active version and its shadow said of the same points, on this replica."""
    services = services_of(request)
    check_parameters(request.query_params)
    report = services.ingest.shadow_report(name)
    if report is None:
        raise UnknownBundle(f"no version scores silently beside bundle {name!r}"[:200])
    return json_answer(report)


async def assignments(request: Request) -> Response:
    """Which bundle scores which entity, as far as somebody chose."""
    check_parameters(request.query_params)
    serving = services_of(request).models.serving
    return tagged(_assignments(serving.configuration), serving.epoch)


async def assign(request: Request) -> Response:
    """Replace patterns, default, and single entities as a whole."""
    services, body = services_of(request), await _body(request, Assignments)
    for entity in body.entities:
        checked_entity(entity, services.settings.max_entity_characters)
    if any(not 1 <= len(one.pattern) <= MAX_PATTERN_CHARACTERS for one in body.patterns):
        raise BadInput(f"expected patterns of 1 to {MAX_PATTERN_CHARACTERS} characters")
    patterns = tuple((one.pattern, one.bundle) for one in body.patterns)
    serving = await services.rollout.change(
        _assigning(patterns, body), expected_epoch=expected_epoch(request)
    )
    return tagged(_assignments(serving.configuration), serving.epoch)


def _assigning(patterns: tuple[tuple[str, str], ...], body: Assignments) -> Change:
    def change(known: Configuration) -> Configuration:
        return known.patterned(patterns, body.default).with_entities(body.entities)

    return change


async def _check(services: Services, name: str, version: str) -> None:
    """Try a version in a process of its own. Raises UnknownBundle, BundleRefused."""
    folder = await asyncio.to_thread(services.models.folder_of, name, version)
    try:
        await asyncio.to_thread(check_candidate, folder)
    except BundleInvalid as error:
        raise BundleRefused(f"{name}/{version} is refused: {error.detail}") from None


async def _body(request: Request, kind: type[Body]) -> Body:
    check_parameters(request.query_params)
    body = await services_of(request).bodies.read(request.scope, request.receive)
    return read_json(body, kind)


def _state(services: Services, name: str) -> Response:
    configuration = services.models.serving.configuration
    active = configuration.active.get(name)
    if active is None:
        raise UnknownBundle(f"expected a bundle of {sorted(configuration.active)}")
    return json_answer(
        ModelState(
            name=name,
            active=active.version,
            is_pinned=active.is_pinned,
            before=list(active.before),
            shadow=configuration.shadows.get(name),
            versions=services.models.versions(name),
            epoch=services.models.serving.epoch,
        )
    )


def _assignments(configuration: Configuration) -> Assignments:
    return Assignments(
        default=configuration.default,
        patterns=[Assignment(pattern, bundle) for pattern, bundle in configuration.patterns],
        entities=configuration.entities,
    )
