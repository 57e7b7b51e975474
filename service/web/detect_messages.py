"""What a batch answers, on the wire; of NaN msgspec makes null."""

from typing import Literal

import msgspec

from service.stream.messages import Cause, StatusName

Contributions = Literal["top", "anomalies", "all"]
Ending = Literal["resolved", "new_normal"]


class DetectedRow(msgspec.Struct, frozen=True, gc=False):
    """One point of the series; numbers are null where it was not scored."""

    timestamp_ms: int
    status: StatusName
    score: float | None
    severity: float | None
    p_value: float | None
    is_anomaly: bool
    causes: list[Cause]


class Blame(msgspec.Struct, frozen=True, gc=False):
    """One dimension's part in an incident."""

    dimension: str
    share: float


class DetectedIncident(msgspec.Struct, frozen=True):
    """A run of anomalies; of an open one the numbers are those when it was last told."""

    row: int  # that opened it, counted from 0 at the first point of all pieces
    opened_ms: int
    ended_ms: int | None
    ending: Ending | None
    points: int
    anomalies: int
    peak_score: float
    peak_severity: float
    causes: list[Blame]


class Measures(msgspec.Struct, frozen=True):
    """How well the marks find the labels; null where that is undefined."""

    precision: float | None
    recall: float | None
    f1: float | None
    composite_f1: float | None
    events: int
    events_found: int
    false_incidents: int
    median_delay_points: float | None


class Summary(msgspec.Struct, frozen=True):
    """All but the rows."""

    entity: str | None
    model: str
    dimensions: tuple[str, ...]
    offset: int  # points of the pieces before
    points: int
    scored: int
    anomalies: int
    budget: float | None
    percentile: float | None
    threshold_p: float | None
    incidents: list[DetectedIncident]
    measures: Measures | None
