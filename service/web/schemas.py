"""Points and verdicts in OpenAPI: what the structs of the wire mean, with examples.

Documentation only; on the wire are the structs of `messages` and `points`. A test compares both.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.stream.messages import AlertKind, StatusName

Name = Annotated[str, Field(description="name of the entity", examples=["web-01"])]
Milliseconds = Annotated[
    int, Field(description="milliseconds since 1970", examples=[1_750_000_000_000])
]
Value = float | None
Model = Annotated[
    str, Field(description="bundle that scored, name/version", examples=["fleet/0f3c9a1b2d4e"])
]
Score = Annotated[
    float | None,
    Field(description="more than 1 is anomalous, for every model and entity; null: not scored"),
]
Severity = Annotated[
    float | None, Field(description="nats; ranks anomalies, has no threshold; null: not scored")
]
IncidentId = Annotated[
    str | None,
    Field(description="incident it belongs to", examples=["web-01@1750000000000"]),
]


class Documented(BaseModel):
    """Immutable and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Point(Documented):
    """One point of one entity; null, or a name left out, is a missing value."""

    entity: Name
    timestamp_ms: Milliseconds
    values: list[Value] | dict[str, Value] = Field(
        description="in the order of the bundle's dimensions, or by their names",
        examples=[[0.31, 12.5, None], {"cpu": 0.31, "memory": 12.5}],
    )


class PointRows(Documented):
    """Points as rows; `application/x-ndjson` has one of these points a line instead."""

    points: list[Point]


class PointColumns(Documented):
    """Points as columns: every field of a point as one array, all of one length."""

    entity: Name | list[Name] = Field(description="one name: all points are of this entity")
    timestamp_ms: list[Milliseconds]
    values: list[list[Value]] = Field(
        description="one array of values per point", examples=[[[0.31, 12.5], [0.29, 12.7]]]
    )
    dimensions: list[str] | None = Field(
        None,
        description="names of the values, in their order; left out: the bundle's order",
        examples=[["cpu", "memory"]],
    )


class Cause(Documented):
    """One dimension's part in a verdict or an alert."""

    dimension: str = Field(examples=["memory"])
    share: float = Field(description="of all contributions, 0 to 1")
    value: Value = Field(description="what came; null: it was missing")
    expected: float = Field(description="what the model expected")
    band: float = Field(description=".99 quantile of |value - expected| on normal points")
    deviation: Value = Field(description="value - expected")


class Verdict(Documented):
    """The conclusion about one point."""

    entity: Name
    timestamp_ms: Milliseconds
    status: StatusName
    score: Score
    severity: Severity
    is_anomaly: bool
    p_value: float | None = Field(description="chance of a normal point to be this odd")
    contributions: list[Cause] = Field(description="the top causes, largest first")
    incident: IncidentId
    model: Model | None
    transition: AlertKind | None = Field(None, description="what it did to its incident")
    have: int | None = Field(None, description="while warming: points seen ...")
    need: int | None = Field(None, description="... of so many")
    missing: list[str] | None = Field(None, description="dimensions without a value")
    reason: str | None = Field(
        None,
        description="code, for held, late, conflict and rejected",
        examples=["older_than_newest"],
    )


class Verdicts(Documented):
    """One verdict per point, in the order of the points."""

    verdicts: list[Verdict]
