"""`POST /v1/points`, the hot route: bytes to points, points to verdicts, verdicts to bytes.

A raw ASGI application, because routing through the framework costs more than decoding. Three forms
of body: rows, columns, and NDJSON with one point a line. Of repeated names in one JSON object the
last counts, as in most readers.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.errors import BadBody, BadInput, BadPoints, BodyTooLarge, UnsupportedEncoding
from service.settings import Settings
from service.stream.messages import Point, Verdict
from service.web.faults import bad_json, entity_fault, timestamp_fault
from service.web.services import Services

JSON: Final = b"application/json"
LINES: Final = b"application/x-ndjson"
MAX_ERRORS_LISTED: Final = 100

Values = list[float | None]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows (`points`), or columns: the fields of a point, each as one array over all points."""

    points: list[Point] | UnsetType = UNSET
    entity: str | list[str] | UnsetType = UNSET  # one name: all points are of this entity
    timestamp_ms: list[int] | UnsetType = UNSET
    values: list[Values] | UnsetType = UNSET
    dimensions: list[str] | UnsetType = UNSET  # names of the values of every point, in order


class VerdictsBody(msgspec.Struct, frozen=True):
    """One verdict per point, in the order of the points."""

    verdicts: Sequence[Verdict]


_BODY: Final = msgspec.json.Decoder(Body)
_POINT: Final = msgspec.json.Decoder(Point)
_ENCODER: Final = msgspec.json.Encoder()


class PostPoints:
    """The route as an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        is_backfill = _is_backfill(scope)
        try:
            is_lines = _is_lines(scope)
            body = await services.bodies.read(scope, receive)
        except ClientDisconnect:
            return
        points = _decoded(services, body, is_lines=is_lines)
        answer = await _answer(services, points, is_backfill=is_backfill)
        headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def _decoded(services: Services, body: bytes, *, is_lines: bool) -> list[Point]:
    with services.metrics.stage("decode"):
        return decode(body, is_lines=is_lines, settings=services.settings)


async def _answer(services: Services, points: Sequence[Point], *, is_backfill: bool) -> bytes:
    """The path of a request."""
    verdicts = await services.ingest.submit(points, is_backfill=is_backfill)
    services.metrics.count(verdicts)
    with services.metrics.stage("encode"):
        return _ENCODER.encode(VerdictsBody(verdicts))


def decode(body: bytes, *, is_lines: bool, settings: Settings) -> list[Point]:
    """Points of a body. Raises BadBody, BodyTooLarge, BadPoints."""
    limit = settings.max_points_per_request
    points = _lines(body, limit) if is_lines else _document(body)
    if not points:
        raise BadBody("expected at least one point, came none")
    if len(points) > limit:
        raise _too_many(limit)
    _check(points, settings)
    return points


def _is_backfill(scope: Scope) -> bool:
    """Whether nobody is to be alerted: `?mode=backfill`."""
    query: bytes = scope["query_string"]
    if query in (b"", b"mode=live"):
        return False
    if query == b"mode=backfill":
        return True
    raise BadInput("expected no query parameters but mode, live or backfill")


def _is_lines(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            if media_type in (JSON, LINES):
                return bool(media_type == LINES)
    raise UnsupportedEncoding(f"expected content type {JSON.decode()} or {LINES.decode()}")


def _document(body: bytes) -> list[Point]:
    try:
        document = _BODY.decode(body)
    except (ValueError, RecursionError) as error:
        raise bad_json(error, body) from None
    columns = (document.entity, document.timestamp_ms, document.values)
    if document.points is UNSET and UNSET not in columns:
        return list(_from_columns(document))
    if document.points is UNSET or columns != (UNSET,) * 3 or document.dimensions is not UNSET:
        raise BadBody("expected `points`, or else `entity`, `timestamp_ms` and `values`")
    return document.points


def _from_columns(columns: Body) -> Iterator[Point]:
    entity, timestamps_ms, values = columns.entity, columns.timestamp_ms, columns.values
    assert entity is not UNSET
    assert timestamps_ms is not UNSET
    assert values is not UNSET
    entities = [entity] * len(values) if isinstance(entity, str) else entity
    if not len(entities) == len(timestamps_ms) == len(values):
        raise BadBody(
            f"expected columns of one length, came {len(entities)} of entity, "
            f"{len(timestamps_ms)} of timestamp_ms, {len(values)} of values"
        )
    rows = values if columns.dimensions is UNSET else _named(values, columns.dimensions)
    return map(Point, entities, timestamps_ms, rows)


def _named(values: list[Values], names: list[str]) -> Iterator[dict[str, float | None]]:
    if len(set(names)) < len(names):
        raise BadBody("expected distinct names in `dimensions`")
    wrong = [index for index, row in enumerate(values) if len(row) != len(names)]
    if wrong:
        detail = f"expected {len(names)} values, one for each of `dimensions`"
        raise _bad_points({i: {"code": "wrong_dimension_count", "detail": detail} for i in wrong})
    return (dict(zip(names, row, strict=True)) for row in values)


def _lines(body: bytes, limit: int) -> list[Point]:
    if body.count(b"\n") > 2 * limit:
        raise _too_many(limit)
    points = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                points.append(_POINT.decode(line))
            except (ValueError, RecursionError) as error:
                raise bad_json(error, line, line_number=number) from None
    return points


def _check(points: Sequence[Point], settings: Settings) -> None:
    """Refuse names and times that cannot be; usually a request holds few entities."""
    latest_ms = time.time_ns() // 1_000_000 + 1_000 * settings.max_future_seconds
    faults = {
        entity: fault
        for entity in {point.entity for point in points}
        if (fault := entity_fault(entity, settings.max_entity_characters)) is not None
    }
    found = {
        index: fault
        for index, point in enumerate(points)
        if (fault := faults.get(point.entity) or timestamp_fault(point.timestamp_ms, latest_ms))
    }
    if found:
        raise _bad_points(found)


def _bad_points(faults: dict[int, dict[str, str]]) -> BadPoints:
    listed: list[Mapping[str, int | str]] = [
        {"index": index, **fault} for index, fault in faults.items()
    ]
    return BadPoints(
        f"{len(faults)} points cannot be used; nothing was kept", errors=listed[:MAX_ERRORS_LISTED]
    )


def _too_many(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"expected at most {limit} points in one request")
