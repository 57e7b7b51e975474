"""Policies in OpenAPI. A test compares them with the structs that are sent."""

from pydantic import Field

from service.stream.policy import Direction
from service.stream.policy_limits import MAX_BUDGET
from service.web.schemas import Documented, Milliseconds, Name


class DimensionPolicyView(Documented):
    """Which deviations of one dimension are asked for."""

    direction: Direction | None = Field(None, description="of value - expected")
    min_deviation: float | None = Field(
        None, description="of |value - expected|, in the unit of the dimension", ge=0
    )


class MaintenanceView(Documented):
    """A time of points in which nothing opens: from `start_ms` until before `end_ms`."""

    start_ms: Milliseconds
    end_ms: Milliseconds
    every_seconds: int | None = Field(
        None, description="and again so much later, without end", examples=[604_800]
    )


class PolicyView(Documented):
    """What one level says; what is left out is inherited."""

    budget: float | None = Field(
        None,
        description="false incidents per entity and day; moves the threshold",
        gt=0,
        le=MAX_BUDGET,
    )
    open_count: int | None = Field(None, description="so many flagged ...", ge=1, le=32)
    open_window: int | None = Field(
        None, description="... of the last so many points open an incident", ge=1, le=32
    )
    resolve_after: int | None = Field(None, description="quiet points in a row", ge=1, le=1_000)
    resolve_below: float | None = Field(
        None, description="score at or below which a point is quiet", gt=0, le=1
    )
    cool_down_seconds: float | None = Field(
        None, description="after an incident ended, nothing opens", ge=0, le=2_592_000
    )
    lateness_seconds: float | None = Field(
        None,
        description="points may come so much out of order, and are held so long",
        ge=0,
        le=3600,
    )
    alert_while_calibrating: bool | None = Field(
        None, description="incidents of entities that no bundle was trained on, too"
    )
    muted_until_ms: int | None = Field(
        None, description="nothing opens at points before", examples=[1_750_000_000_000], ge=0
    )
    maintenance: list[MaintenanceView] = Field([], description="those of all levels hold together")
    direction: Direction | None = Field(None, description="of every dimension not in `dimensions`")
    min_deviation: float | None = Field(None, description="likewise", ge=0)
    dimensions: dict[str, DimensionPolicyView] = Field(
        {}, description="merged by name", examples=[{"cpu": {"direction": "up"}}]
    )


class PatternedView(Documented):
    """The policy of entities whose names match a shell pattern."""

    pattern: str = Field(examples=["web-*"])
    policy: PolicyView


class PoliciesView(Documented):
    """What the operators say, of all entities."""

    default: PolicyView = PolicyView()
    patterns: list[PatternedView] = Field([], description="all that match hold, the later wins")
    entities: dict[str, PolicyView] = Field({}, examples=[{"db-01": {"open_count": 3}}])


class PoliciesInForceView(Documented):
    """The document, and the epoch of the configuration that this replica serves."""

    epoch: int
    policies: PoliciesView


class EffectiveView(Documented):
    """What holds of one entity."""

    entity: Name
    bundle: str | None = Field(description="that scores it", examples=["fleet"])
    epoch: int
    policy: PolicyView = Field(description="merged, and what nobody said filled in")
    own: PolicyView | None = Field(description="what is said of this entity alone")
    sources: dict[str, str] = Field(
        description="field -> `default`, `pattern <pattern>` or `entity`; the others: nobody",
        examples=[{"open_count": "pattern web-*", "dimensions.cpu.direction": "entity"}],
    )
    unknown_dimensions: list[str] = Field(description="named, and not of the bundle")
