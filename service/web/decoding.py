"""Decoding: bodies of points, in every form, to points.

Rows, columns, one point a line, or columns in MessagePack, whose values may be one block of
float32. Of repeated names in one object the last counts, as in most readers.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from service.errors import BadBody, BadPoints, BodyTooLarge, UnsupportedEncoding
from service.settings import Settings
from service.stream.messages import Point
from service.stream.posted import FloatArray, Posted, Values
from service.web.faults import bad_json, entity_fault, timestamp_fault

JSON: Final = b"application/json"
LINES: Final = b"application/x-ndjson"
PACKED: Final = b"application/msgpack"
MAX_ERRORS_LISTED: Final = 100

Row = list[float | None]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows (`points`), or columns: the fields of a point, each as one array over all points."""

    points: list[Point] | UnsetType = UNSET
    entity: str | list[str] | UnsetType = UNSET  # one name: all points are of this entity
    timestamp_ms: list[int] | UnsetType = UNSET
    values: list[Row] | UnsetType = UNSET
    dimensions: list[str] | UnsetType = UNSET  # names of the values of every point, in order


class PackedBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns in MessagePack; `values` are arrays, or point after point as float32, little end."""

    entity: str | list[str]
    timestamp_ms: list[int]
    values: list[Row] | bytes
    dimensions: list[str] | UnsetType = UNSET


_BODY: Final = msgspec.json.Decoder(Body)
_PACKED: Final = msgspec.msgpack.Decoder(PackedBody)
_POINT: Final = msgspec.json.Decoder(Point)
_FLOAT32: Final = np.dtype("<f4")


class Columns(NamedTuple):
    """Points as a body holds them; their times may still be no times."""

    entities: Sequence[str]
    timestamps_ms: Sequence[int]
    values: Sequence[Values] | FloatArray


Read = Callable[[bytes, int], Columns]


def form_of(content_type: bytes) -> Read:
    """Who reads bodies of this content type. Raises UnsupportedEncoding."""
    media_type = content_type.partition(b";")[0].strip().lower()
    try:
        return _FORMS[media_type]
    except KeyError:
        known = ", ".join(name.decode() for name in _FORMS)
        raise UnsupportedEncoding(f"expected content type {known}") from None


def decode(body: bytes, read: Read, settings: Settings) -> Posted:
    """Points of a body. Raises BadBody, BodyTooLarge, BadPoints."""
    limit = settings.max_points_per_request
    columns = read(body, limit)
    if not columns.entities:
        raise BadBody("expected at least one point, came none")
    if len(columns.entities) > limit:
        raise _too_many(limit)
    _check(columns, settings)
    return Posted(columns.entities, np.array(columns.timestamps_ms, np.int64), columns.values)


def _packed(body: bytes, limit: int) -> Columns:
    try:
        packed = _PACKED.decode(body)
    except msgspec.ValidationError as error:
        raise bad_json(error, body, kind=PackedBody) from None
    except (ValueError, RecursionError):
        raise BadBody("the body cannot be read: it is not MessagePack") from None
    values: list[Row] | FloatArray
    if isinstance(packed.values, bytes):
        values = _unpacked(packed.values, len(packed.timestamp_ms), limit)
    else:
        values = packed.values
    return _joined(packed.entity, packed.timestamp_ms, values, packed.dimensions)


def _unpacked(block: bytes, points: int, limit: int) -> FloatArray:
    """Rows of a block of float32; NaN is a missing value."""
    if points > limit:
        raise _too_many(limit)
    if not points or not block or len(block) % (points * _FLOAT32.itemsize):
        raise BadBody(
            f"expected the same number of float32 values for each of {points} points, "
            f"came {len(block)} bytes"
        )
    with np.errstate(invalid="ignore"):  # whatever kind of NaN
        return np.frombuffer(block, _FLOAT32).reshape(points, -1).astype(np.float64)


def _document(body: bytes, _limit: int) -> Columns:
    try:
        document = _BODY.decode(body)
    except (ValueError, RecursionError) as error:
        raise bad_json(error, body) from None
    columns = (document.entity, document.timestamp_ms, document.values)
    if document.points is UNSET and UNSET not in columns:
        return _from_columns(document)
    if document.points is UNSET or columns != (UNSET,) * 3 or document.dimensions is not UNSET:
        raise BadBody("expected `points`, or else `entity`, `timestamp_ms` and `values`")
    return _from_rows(document.points)


def _from_rows(points: Sequence[Point]) -> Columns:
    return Columns(
        [point.entity for point in points],
        [point.timestamp_ms for point in points],
        [point.values for point in points],
    )


def _from_columns(columns: Body) -> Columns:
    entity, timestamps_ms, values = columns.entity, columns.timestamp_ms, columns.values
    assert entity is not UNSET
    assert timestamps_ms is not UNSET
    assert values is not UNSET
    return _joined(entity, timestamps_ms, values, columns.dimensions)


def _joined(
    entity: str | list[str],
    timestamps_ms: list[int],
    values: list[Row] | FloatArray,
    dimensions: list[str] | UnsetType,
) -> Columns:
    entities = [entity] * len(values) if isinstance(entity, str) else entity
    if not len(entities) == len(timestamps_ms) == len(values):
        raise BadBody(
            f"expected columns of one length, came {len(entities)} of entity, "
            f"{len(timestamps_ms)} of timestamp_ms, {len(values)} of values"
        )
    if dimensions is UNSET:
        return Columns(entities, timestamps_ms, values)
    return Columns(entities, timestamps_ms, list(_named(values, dimensions)))


def _named(values: list[Row] | FloatArray, names: list[str]) -> Iterator[dict[str, float | None]]:
    if len(set(names)) < len(names):
        raise BadBody("expected distinct names in `dimensions`")
    wrong = [index for index, row in enumerate(values) if len(row) != len(names)]
    if wrong:
        detail = f"expected {len(names)} values, one for each of `dimensions`"
        raise _bad_points({i: {"code": "wrong_dimension_count", "detail": detail} for i in wrong})
    rows: list[Row] = values.tolist() if isinstance(values, np.ndarray) else values
    return (dict(zip(names, row, strict=True)) for row in rows)


def _lines(body: bytes, limit: int) -> Columns:
    if body.count(b"\n") > 2 * limit:
        raise _too_many(limit)
    points = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            try:
                points.append(_POINT.decode(line))
            except (ValueError, RecursionError) as error:
                raise bad_json(error, line, line_number=number) from None
    return _from_rows(points)


def _check(columns: Columns, settings: Settings) -> None:
    """Refuse names and times that cannot be; usually a request holds few entities."""
    latest_ms = time.time_ns() // 1_000_000 + 1_000 * settings.max_future_seconds
    faults = {
        entity: fault
        for entity in set(columns.entities)
        if (fault := entity_fault(entity, settings.max_entity_characters)) is not None
    }
    times = columns.timestamps_ms
    ends = (timestamp_fault(end(times), latest_ms) for end in (min, max))
    if not faults and not any(ends):
        return
    found = {
        index: fault
        for index, (entity, timestamp_ms) in enumerate(zip(columns.entities, times, strict=True))
        if (fault := faults.get(entity) or timestamp_fault(timestamp_ms, latest_ms))
    }
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


_FORMS: Final[Mapping[bytes, Read]] = {JSON: _document, LINES: _lines, PACKED: _packed}
