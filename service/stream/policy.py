"""Policies: what opens and ends an incident, said once for all, by pattern, or for one entity.

A policy says some fields and inherits the others: from the default, then every pattern that
matches, in their order, then the entity's own. Limits are in `policy_limits`.
"""

from collections.abc import Callable
from functools import cached_property, lru_cache, reduce
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from service.stream.patterns import MAX_REMEMBERED, matcher, remembering

Direction = Literal["both", "up", "down", "none"]
BoolArray = npt.NDArray[np.bool_]
TimeArray = npt.NDArray[np.int64]


class DimensionPolicy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which deviations of one dimension are asked for."""

    direction: Direction | None = None
    min_deviation: float | None = None  # of |value - expected|, in the unit of the dimension


class Maintenance(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A time in which nothing opens: `start_ms` <= time of the point < `end_ms`."""

    start_ms: int
    end_ms: int
    every_seconds: int | None = None  # and again so much later, without end


class Policy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What one level says; None is inherited."""

    budget: float | None = None  # false incidents per entity and day; moves the threshold
    open_count: int | None = None  # so many flagged ...
    open_window: int | None = None  # ... of the last so many points open an incident
    resolve_after: int | None = None  # quiet points in a row
    resolve_below: float | None = None  # score at or below which a point is quiet
    cool_down_seconds: float | None = None  # after an incident ended, nothing opens
    lateness_seconds: float | None = None  # out of order by so much; points are held so long
    alert_while_calibrating: bool | None = None
    muted_until_ms: int | None = None  # nothing opens at points before
    maintenance: tuple[Maintenance, ...] = ()  # those of all levels hold together
    direction: Direction | None = None  # of every dimension that `dimensions` does not name
    min_deviation: float | None = None
    dimensions: dict[str, DimensionPolicy] = {}  # merged by name, field by field

    def __hash__(self) -> int:
        """Of equal policies equal."""
        single = (getattr(self, name) for name in SINGLE)
        return hash((*single, self.maintenance, frozenset(self.dimensions.items())))

    def of_dimension(self, name: str) -> DimensionPolicy:
        """What is asked of one dimension; what nobody said is "both" and 0."""
        own = self.dimensions.get(name, _NOTHING)
        smallest = _first(own.min_deviation, self.min_deviation)
        return DimensionPolicy(
            direction=own.direction or self.direction or "both",
            min_deviation=0.0 if smallest is None else smallest,
        )


# Fields with one value, which a later level replaces; `maintenance` and `dimensions` add up.
SINGLE: Final = tuple(
    name for name in Policy.__struct_fields__ if name not in ("maintenance", "dimensions")
)
UNSAID: Final = Policy(  # what holds where no level says anything; the budget is the bundle's
    open_count=1,
    open_window=1,
    resolve_after=5,
    resolve_below=1.0,
    cool_down_seconds=0.0,
    lateness_seconds=0.0,
    alert_while_calibrating=False,
    direction="both",
    min_deviation=0.0,
)
_NOTHING: Final = DimensionPolicy()


class Patterned(Struct, frozen=True, forbid_unknown_fields=True):
    """The policy of entities whose names match a shell pattern."""

    pattern: str
    policy: Policy


class Level(NamedTuple):
    """One policy of an entity, and who says it: `default`, `pattern <pattern>`, `entity`."""

    source: str
    policy: Policy


class Policies(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """What the operators say, of all entities."""

    default: Policy = Policy()
    patterns: tuple[Patterned, ...] = ()  # every one that matches, the later wins
    entities: dict[str, Policy] = {}

    def of(self, entity: str) -> Policy:
        """The merged policy of an entity. Equal ones are one object, so that they can be grouped.

        Fields that no level says are None; `open_window`, where said, is at least `open_count`.
        """
        if not self.patterns and entity not in self.entities:
            return self._unmatched
        return self._merged(entity)

    def tells_calibrating(self, entity: str) -> bool:
        """Whether alerts of an entity are sent although no bundle was trained on it."""
        return bool(self.of(entity).alert_while_calibrating)

    def levels(self, entity: str) -> list[Level]:
        """What holds of an entity, the strongest last."""
        levels = [Level("default", self.default)]
        levels += [
            Level(f"pattern {one.pattern}", one.policy)
            for one, matches in zip(self.patterns, self._matchers, strict=True)
            if matches(entity)
        ]
        own = self.entities.get(entity)
        return levels if own is None else [*levels, Level("entity", own)]

    @cached_property
    def _unmatched(self) -> Policy:
        return _wide_enough(self.default)

    @cached_property
    def _matchers(self) -> list[Callable[[str], object]]:
        return [matcher(one.pattern) for one in self.patterns]

    @cached_property
    def _merged(self) -> Callable[[str], Policy]:
        same = lru_cache(MAX_REMEMBERED)(_itself)
        same(self._unmatched)

        def of(entity: str) -> Policy:
            return same(_wide_enough(reduce(merged, (one.policy for one in self.levels(entity)))))

        return remembering(of)


def merged(base: Policy, over: Policy) -> Policy:
    """What `over` says, and what `base` says where `over` is silent."""
    said = {name: value for name in SINGLE if (value := getattr(over, name)) is not None}
    dimensions = {
        name: _dimension_merged(base.dimensions.get(name, _NOTHING), own)
        for name, own in over.dimensions.items()
    }
    return msgspec.structs.replace(
        base,
        **said,
        maintenance=tuple(dict.fromkeys(base.maintenance + over.maintenance)),
        dimensions={**base.dimensions, **dimensions},
    )


def closed(policy: Policy, timestamps_ms: TimeArray) -> BoolArray:
    """Whether nothing may open at these times of points: muted, or in maintenance."""
    is_closed = timestamps_ms < (policy.muted_until_ms or 0)
    for window in policy.maintenance:
        since_ms = timestamps_ms - window.start_ms
        if window.every_seconds is not None:
            since_ms = np.where(since_ms < 0, since_ms, since_ms % (window.every_seconds * 1000))
        is_closed |= (since_ms >= 0) & (since_ms < window.end_ms - window.start_ms)
    return is_closed  # (point,)


def _itself(policy: Policy) -> Policy:
    """Remembered, the first of all equal ones."""
    return policy


def _dimension_merged(base: DimensionPolicy, over: DimensionPolicy) -> DimensionPolicy:
    return DimensionPolicy(
        direction=over.direction or base.direction,
        min_deviation=_first(over.min_deviation, base.min_deviation),
    )


def _wide_enough(policy: Policy) -> Policy:
    """With a window that holds the count; levels may have said them apart."""
    if policy.open_count is None or (policy.open_window or 1) >= policy.open_count:
        return policy
    return msgspec.structs.replace(policy, open_window=policy.open_count)


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one
