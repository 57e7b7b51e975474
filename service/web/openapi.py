"""The OpenAPI document: what FastAPI knows of its routes, plus the hot route and the messages."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.errors import (
    BadBody,
    BadInput,
    BadPoints,
    BodyTooLarge,
    GaugewatchError,
    NotAuthorised,
    Overloaded,
    StoreUnavailable,
    UnsupportedEncoding,
)
from service.web import detect_schemas, schemas, views
from service.web.problems import MEDIA_TYPE

DESCRIPTION: Final = """\
Streaming anomaly detection: which entity misbehaves, how sure that is, and which dimensions are
to blame.

Alerts come over the websocket `/v1/alerts?entity=&after=<cursor>` as `AlertMessage`, `GapMessage`
and `Heartbeat`. `after` is a cursor as it came with a message, or `earliest`; without it, from now
on. Close codes: 4400 bad cursor, entity or parameter, 1012 the service stops, 1013 come back later.

Errors are `Problem`s. After a 503 send the same request again: nothing is scored twice.
"""
DOCUMENTED: Final[tuple[type[BaseModel], ...]] = (
    schemas.PointRows,
    schemas.PointColumns,
    schemas.Verdicts,
    views.EntityView,
    views.AlertMessage,
    views.GapMessage,
    views.Heartbeat,
    views.ModelView,
    views.Problem,
    *detect_schemas.DOCUMENTED,
)
REFERENCE: Final = "#/components/schemas/{model}"
TAGS: Final = [
    {"name": "points", "description": "Points in, verdicts out."},
    {"name": "entities", "description": "What is known of one entity."},
    {"name": "models", "description": "Loaded bundles."},
    {"name": "policies", "description": "What opens and ends incidents, and when nothing does."},
    {"name": "incidents", "description": "What was told, what people say of it, one to take home."},
    {"name": "operations", "description": "For probes and Prometheus."},
]
_MODE: Final = {
    "name": "mode",
    "in": "query",
    "description": "backfill: points of the past, nobody is alerted",
    "schema": {"type": "string", "enum": ["live", "backfill"], "default": "live"},
}
_ROWS: Final = {"points": [{"entity": "web-01", "timestamp_ms": 1750000000000, "values": [1, 2]}]}
_COLUMNS: Final = {
    "entity": "web-01",
    "timestamp_ms": [1750000000000, 1750000060000],
    "dimensions": ["cpu", "memory"],
    "values": [[0.31, 12.5], [0.29, None]],
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=DESCRIPTION,
            tags=TAGS,
            routes=app.routes,
        )
        document["paths"]["/v1/points"] = {"post": _points_operation()}
        problems = problem_responses(*detect_schemas.ERRORS)
        document["paths"]["/v1/detect"] = {"post": detect_schemas.operation(problems)}
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(_components())
        app.openapi_schema = document
    return app.openapi_schema


def problem_responses(*errors: type[GaugewatchError]) -> dict[int | str, dict[str, Any]]:
    """Answers of a route that are problems."""
    content = {MEDIA_TYPE: {"schema": _reference("Problem")}}
    by_status: dict[int | str, list[str]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(f"`{error.code}`: {error.__doc__}")
    return {
        status: {"description": " ".join(lines), "content": content}
        for status, lines in by_status.items()
    }


def _points_operation() -> dict[str, Any]:
    errors = (BadBody, BadInput, NotAuthorised, BodyTooLarge, UnsupportedEncoding, BadPoints)
    responses = problem_responses(*errors, Overloaded, StoreUnavailable)
    return {
        "tags": ["points"],
        "summary": "Score points",
        "operationId": "post_points",
        "parameters": [_MODE],
        "requestBody": {"required": True, "content": _points_content()},
        "responses": {
            "200": {
                "description": "One verdict per point, in their order; all are kept.",
                "content": {
                    "application/json": {"schema": _reference("Verdicts")},
                    "application/msgpack": {"schema": {"type": "string", "format": "binary"}},
                },
            },
            **{str(status): response for status, response in responses.items()},
        },
    }


def _points_content() -> dict[str, Any]:
    line = '{"entity": "web-01", "timestamp_ms": 1750000000000, "values": {"cpu": 0.31}}\n'
    return {
        "application/json": {
            "schema": {"oneOf": [_reference("PointRows"), _reference("PointColumns")]},
            "examples": {"rows": {"value": _ROWS}, "columns": {"value": _COLUMNS}},
        },
        "application/x-ndjson": {"schema": {"type": "string"}, "example": line},
        "application/msgpack": {"schema": {"type": "string", "format": "binary"}},
    }


def _components() -> dict[str, Any]:
    """JSON schemas by name."""
    _, schema = models_json_schema(
        [(model, "serialization") for model in DOCUMENTED], ref_template=REFERENCE
    )
    definitions: dict[str, Any] = schema["$defs"]
    return definitions


def _reference(model: str) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model)}
