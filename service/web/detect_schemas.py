"""Batches in OpenAPI: what the structs of `detect_messages` mean, and the operation.

Documentation only. A test compares both.
"""

from typing import Any, Final

from pydantic import BaseModel, Field

from service.errors import (
    BadBody,
    BadInput,
    BadSeries,
    BodyTooLarge,
    BundleRefused,
    GaugewatchError,
    NotAuthorised,
    Overloaded,
    UnknownBundle,
    UnsupportedEncoding,
)
from service.stream.policy_limits import MAX_BUDGET
from service.web.detect_messages import Ending
from service.web.schemas import Cause, Documented, Milliseconds, Model, Name, Score, Severity, Value

ERRORS: Final[tuple[type[GaugewatchError], ...]] = (
    *(BadBody, NotAuthorised, UnknownBundle, BodyTooLarge, UnsupportedEncoding, BadInput),
    *(BadSeries, BundleRefused, Overloaded),
)
CSV_BODY: Final = "timestamp,cpu,memory,label\n1750000000000,0.31,12.5,0\n1750000060000,0.29,,0\n"


class SeriesColumns(Documented):
    """A whole series, oldest point first."""

    values: list[list[Value]] = Field(
        description="one array of values per point; null: missing", examples=[[[0.31], [None]]]
    )
    timestamp_ms: list[Milliseconds] | None = Field(
        None, description="increasing; left out: the period of the bundle"
    )
    dimensions: list[str] | None = Field(
        None,
        description="names of the values: those of the bundle in any order, others are ignored; "
        "left out: the bundle's order",
    )
    label: list[bool | int] | None = Field(None, description="1: known to be anomalous; else 0")
    state: str | None = Field(None, description="that of the answer to the piece before")
    entity: Name | None = Field(None, description="the same as in the query, if at all")
    faults: Any = Field(None, description="as an example has them; not read")


class PackedSeries(Documented):
    """The same in MessagePack, where blocks are bytes, little end; it may bring its bundle."""

    values: bytes | None = Field(None, description="float32 or float64 by point; NaN: missing")
    timestamp_ms: bytes | list[Milliseconds] | None = Field(None, description="int64, or a list")
    dimensions: list[str] | None = None
    label: bytes | list[bool | int] | None = Field(None, description="a byte a point, or a list")
    state: str | None = None
    entity: Name | None = None
    faults: Any = None
    csv: bytes | None = Field(None, description="in place of the columns")
    bundle: dict[str, bytes] | None = Field(None, description="files of a version to score with")
    bundle_zip: bytes | None = Field(None, description="the same as a zip of their folder")


class DetectedRow(Documented):
    """One point of the series."""

    timestamp_ms: Milliseconds
    status: str = Field(description="scored, calibrating or warming, as of `POST /v1/points`")
    score: Score
    severity: Severity
    p_value: float | None = Field(description="chance of a normal point to be this odd")
    is_anomaly: bool
    causes: list[Cause] = Field(description="largest share first; as many as were asked for")


class Blame(Documented):
    """One dimension's part in an incident."""

    dimension: str
    share: float = Field(description="of all contributions of its anomalies, 0 to 1")


class DetectedIncident(Documented):
    """A run of anomalies; of an open one the numbers are those when it was last told."""

    row: int = Field(description="that opened it, from 0 at the first point of all pieces")
    opened_ms: Milliseconds
    ended_ms: Milliseconds | None = Field(description="null: open at the end of the series")
    ending: Ending | None
    points: int
    anomalies: int = Field(description="of these points")
    peak_score: float
    peak_severity: float
    causes: list[Blame] = Field(description="top causes over the whole incident")


class Measures(Documented):
    """How well the marks find the labels; null where that is undefined."""

    precision: float | None = Field(description="share of marked points that are labelled")
    recall: float | None = Field(description="share of labelled points that are marked")
    f1: float | None = Field(description="harmonic mean of the two")
    composite_f1: float | None = Field(
        description="harmonic mean of precision and the share of events found"
    )
    events: int = Field(description="runs of labelled points")
    events_found: int = Field(description="with at least one marked point")
    false_incidents: int = Field(
        description="runs of marks, up to 4 quiet points apart, that touch no event"
    )
    median_delay_points: float | None = Field(
        description="from the start of an event that was found to its first mark"
    )


class Summary(Documented):
    """All that was found, but the rows."""

    entity: Name | None
    model: Model
    dimensions: tuple[str, ...]
    offset: int = Field(description="points of the pieces before")
    points: int
    scored: int
    anomalies: int
    budget: float | None = Field(description="false incidents per entity and day, if it decided")
    percentile: float | None = Field(description="share of anomalies in percent, if it decided")
    threshold_p: float | None = Field(description="an anomaly has a smaller p-value")
    incidents: list[DetectedIncident]
    measures: Measures | None = Field(description="null: the series had no labels")


class Detected(Summary):
    """All that was found, and every point."""

    rows: list[DetectedRow] = Field(description="oldest first")
    state: str | None = Field(None, description="for the next piece; only if it was asked for")


DOCUMENTED: Final[tuple[type[BaseModel], ...]] = (SeriesColumns, PackedSeries, Detected)
_EXAMPLE: Final = {
    "timestamp_ms": [1750000000000, 1750000060000],
    "dimensions": ["cpu", "memory"],
    "values": [[0.31, 12.5], [0.29, None]],
    "label": [0, 0],
}
_PARAMETERS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "bundle": ({"type": "string"}, "name or name/version; left out: the bundle of the entity"),
    "entity": ({"type": "string"}, "scored with its own calibration, if the bundle knows it"),
    "budget": (
        {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_BUDGET},
        "false incidents per entity and day",
    ),
    "percentile": (
        {"type": "number", "exclusiveMinimum": 0, "maximum": 50},
        "in place of a budget: 1 marks the 1 % of points with the smallest p-values of this series",
    ),
    "contributions": (
        {"enum": ["top", "anomalies", "all"], "default": "top"},
        "causes of a point: the top 5; these of anomalies alone; every dimension",
    ),
    "state": ({"enum": ["return"]}, "the answer ends with a `state` for the next piece"),
}


def operation(problems: dict[int | str, dict[str, Any]]) -> dict[str, Any]:
    """The route, with its problems by status."""
    rows = {"schema": {"type": "string"}}
    body = {"application/json": _of("SeriesColumns") | {"example": _EXAMPLE}}
    answer = {"application/json": _of("Detected"), "text/csv": rows}
    return {
        "tags": ["points"],
        "summary": "Detect anomalies in a whole series",
        "operationId": "post_detect",
        "parameters": [
            {"name": name, "in": "query", "schema": schema, "description": description}
            for name, (schema, description) in _PARAMETERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                **body,
                "text/csv": rows | {"example": CSV_BODY},
                "application/msgpack": _of("PackedSeries"),
            },
        },
        "responses": {
            "200": {"description": "What was found; nothing is kept.", "content": answer},
            **{str(status): problem for status, problem in problems.items()},
        },
    }


def _of(model: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{model}"}}
