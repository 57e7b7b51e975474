"""What else can be read, in OpenAPI: entities, models, alerts, problems."""

from pydantic import ConfigDict, Field

from service.stream.messages import AlertKind, AlertReason, StatusName
from service.web.schemas import (
    Cause,
    Documented,
    IncidentId,
    Milliseconds,
    Model,
    Name,
    Score,
    Severity,
    Value,
)


class Alert(Documented):
    """A message about an incident."""

    id: str = Field(description="equal whenever the same points are scored again")
    kind: AlertKind
    incident: str = Field(examples=["web-01@1750000000000"])
    entity: Name
    opened_ms: Milliseconds
    timestamp_ms: Milliseconds
    score: Score
    severity: Severity
    peak_score: float
    peak_severity: float
    points: int = Field(description="since the incident opened")
    anomalies: int = Field(description="of these points")
    causes: list[Cause] = Field(description="of this point; when resolved, of the whole incident")
    reason: AlertReason
    model: Model
    summary: str = Field(description="one line for a person")


class Row(Documented):
    """One point of the kept window, with its verdict."""

    timestamp_ms: Milliseconds
    status: StatusName
    score: Score
    severity: Severity
    is_anomaly: bool
    values: list[Value]
    causes: list[Cause]


class EntityView(Documented):
    """What is known of one entity."""

    entity: Name
    model: Model
    dimensions: list[str] = Field(examples=[["cpu", "memory"]])
    points: int = Field(description="accepted since its creation")
    have: int = Field(description="points the model has seen in a row")
    need: int = Field(description="points it needs before it scores")
    status: StatusName = Field(description="of the newest point")
    incident: IncidentId
    window: list[Row] = Field(description="oldest first")


class AlertMessage(Documented):
    """On the websocket: an alert, and the cursor that resumes after it."""

    cursor: str
    alert: Alert


class Missed(Documented):
    """How many alerts."""

    missed: int = Field(description="0: nobody knows, the log was begun anew")


class GapMessage(Documented):
    """On the websocket: alerts that are no longer kept and were never sent."""

    cursor: str
    gap: Missed


class Heartbeat(Documented):
    """On the websocket: at once, and after every silence."""

    heartbeat: Milliseconds
    cursor: str


class ModelView(Documented):
    """One bundle that is loaded."""

    name: str = Field(examples=["fleet"])
    version: str = Field(examples=["0f3c9a1b2d4e"])
    digest: str = Field(description="SHA-256 of all that determines a score")
    model: str = Field(description="kind of model", examples=["gru_vae"])
    is_default: bool = Field(description="scores entities that no bundle was trained on")
    dimensions: list[str] = Field(examples=[["cpu", "memory"]])
    entities: int = Field(description="entities it was trained on")
    window_length: int = Field(description="points of a window")
    memory_horizon: int = Field(description="points an entity warms up")
    period_seconds: float
    false_alarm_budget: float = Field(description="false incidents per entity and day")
    created_at: str = Field(description="when it was trained; empty: it does not say")
    metrics: dict[str, dict[str, float]] = Field(description="evaluation, with its floors")


class Version(Documented):
    """Which version of a bundle is meant."""

    version: str = Field(examples=["0f3c9a1b2d4e"])


class ModelStateView(Documented):
    """The versions of one bundle."""

    name: str = Field(examples=["fleet"])
    active: str = Field(description="version in force", examples=["0f3c9a1b2d4e"])
    is_pinned: bool = Field(description="somebody activated it; else the folder calls it current")
    before: list[str] = Field(description="versions before; a rollback goes to the last")
    shadow: str | None = Field(description="version that scores silently")
    versions: list[str] = Field(description="in the folder of this replica")
    epoch: int = Field(description="of the configuration this replica serves")


class ShadowView(Documented):
    """What the active version and the one beside it said of the same points."""

    active: Model
    shadow: Model
    is_comparable: bool = Field(description="false: other dimensions, nothing is compared")
    entities: int
    points: int
    compared: int = Field(description="points that both scored")
    score_correlation: float | None = Field(description="Spearman, newest compared points")
    severity_correlation: float | None
    score_difference: dict[str, float | None] = Field(description="quantiles of the difference")
    flagged_active: int
    flagged_shadow: int
    flagged_both: int
    flagged_overlap: float | None = Field(description="both over either")
    incidents_active: int
    incidents_shadow: int
    incidents_together: int = Field(description="opened while the other one's was open")


class AssignmentView(Documented):
    """Entities whose names match a shell pattern, and their bundle."""

    pattern: str = Field(examples=["web-*"])
    bundle: str = Field(examples=["fleet"])


class AssignmentsView(Documented):
    """Which bundle scores which entity: single names first, then the first pattern that matches."""

    default: str | None = Field(None, description="bundle of entities nothing else decides on")
    patterns: list[AssignmentView] = Field([], description="in the order they are tried")
    entities: dict[str, str] = Field({}, examples=[{"web-01": "fleet"}])


class Fault(Documented):
    """One fault of a body: where it is, or which point has it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    detail: str
    path: str | None = Field(None, examples=["$.points[3].values[0]"])
    line: int | None = Field(None, description="of an NDJSON body, from 1")
    index: int | None = Field(None, description="of the point, from 0")
    code: str | None = Field(None, examples=["wrong_dimension_count"])


class Problem(Documented):
    """RFC 9457; match on `code`."""

    type: str = Field(examples=["urn:gaugewatch:problem:bad_points"])
    title: str = Field(examples=["Bad points"])
    status: int = Field(examples=[422])
    detail: str
    code: str = Field(examples=["bad_points"])
    errors: tuple[Fault, ...] = ()
