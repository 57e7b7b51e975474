"""What comes in and what goes out: points, verdicts, alerts. The shapes of the wire, no logic.

The plentiful ones are hidden from the garbage collector: they hold no cycles, and looking for some
in thousands of them would take longer than making them.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

StatusName = Literal[
    "scored", "calibrating", "warming", "held", "duplicate", "conflict", "late", "rejected"
]
AlertKind = Literal["opened", "updated", "resolved"]
AlertReason = Literal[
    "anomaly",
    "lost_dimension",
    "no_data",
    "quiet",
    "new_normal",
    "silence",
    "data_again",
    "abandoned",
    "points_lost",
]


class Point(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Entity, time, and one value per dimension; None, or a name left out, is a missing value."""

    entity: str
    timestamp_ms: int
    values: list[float | None] | dict[str, float | None]


class Cause(Struct, frozen=True, gc=False):
    """One dimension's part in a verdict or an alert."""

    dimension: str
    share: float  # of all contributions; the shares of all dimensions sum to 1, or are all 0
    value: float | None
    expected: float
    band: float  # .99 quantile of |value - expected| on normal points
    deviation: float | None  # value - expected


class Verdict(Struct, frozen=True, omit_defaults=True, gc=False):
    """The conclusion about one point. Numbers are null where nothing was scored, never 0."""

    entity: str
    timestamp_ms: int
    status: StatusName
    score: float | None  # > 1 is anomalous, for every model and entity
    severity: float | None  # nats; ranks, has no threshold
    is_anomaly: bool
    p_value: float | None
    contributions: list[Cause]
    incident: str | None  # id of the incident this point belongs to
    model: str | None  # bundle name/version
    transition: AlertKind | UnsetType = UNSET  # what this point did to its incident
    have: int | UnsetType = UNSET  # while warming: points seen ...
    need: int | UnsetType = UNSET  # ... of so many
    missing: list[str] | UnsetType = UNSET  # dimensions that had no value
    reason: str | UnsetType = UNSET  # code, for held, late, conflict and rejected


class Alert(Struct, frozen=True):
    """A message about an incident, as the alert log keeps it."""

    id: str  # entity + opening time + kind + n: equal whenever the same points are scored again
    kind: AlertKind
    incident: str
    entity: str
    opened_ms: int
    timestamp_ms: int  # of the point that caused this message
    score: float | None
    severity: float | None
    peak_score: float
    peak_severity: float
    points: int  # since the incident opened
    anomalies: int  # of these
    causes: list[Cause]  # opened, updated: of this point; resolved: averaged over the incident
    reason: AlertReason
    model: str
    summary: str  # one line for a person


class Row(Struct, frozen=True):
    """One point of the kept window, with its verdict."""

    timestamp_ms: int
    status: StatusName
    score: float | None
    severity: float | None
    is_anomaly: bool
    values: list[float | None]
    causes: list[Cause]


class EntityView(Struct, frozen=True):
    """What is known of one entity."""

    entity: str
    model: str
    dimensions: list[str]
    points: int  # accepted since its creation
    have: int
    need: int
    status: StatusName  # of the newest point
    incident: str | None
    window: list[Row]  # oldest first


class ShadowReport(Struct, frozen=True):
    """What the active version and the one beside it said of the same points."""

    active: str
    shadow: str
    is_comparable: bool  # False: other dimensions, nothing is compared
    entities: int
    points: int
    compared: int  # scored by both
    score_correlation: float | None  # Spearman, over the newest compared points
    severity_correlation: float | None
    score_difference: dict[str, float | None]  # quantiles of |active - shadow|
    flagged_active: int
    flagged_shadow: int
    flagged_both: int
    flagged_overlap: float | None  # both over either
    incidents_active: int
    incidents_shadow: int
    incidents_together: int  # opened by one while the other's was open


class Version(Struct, frozen=True, forbid_unknown_fields=True):
    """Which version of a bundle is meant."""

    version: str


class ModelState(Struct, frozen=True):
    """The versions of one bundle."""

    name: str
    active: str
    is_pinned: bool  # somebody activated it; otherwise it is what the folder calls current
    before: list[str]  # a rollback goes to the last
    shadow: str | None
    versions: list[str]  # in the folder of this replica
    epoch: int  # of the configuration this replica serves


class Assignment(Struct, frozen=True, forbid_unknown_fields=True):
    """Entities whose names match a shell pattern, and their bundle."""

    pattern: str
    bundle: str


class Assignments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which bundle scores which entity: a single name first, then the first pattern that matches.

    What nothing here decides on is scored by the bundle that was trained on it, else the default.
    """

    default: str | None = None
    patterns: list[Assignment] = []
    entities: dict[str, str] = {}
