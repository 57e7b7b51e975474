"""Limits of policies: what a document may say, and where it says something else."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from service.errors import BadInput
from service.stream.policy import DimensionPolicy, Maintenance, Policies, Policy

MAX_PATTERNS: Final = 1_000
MAX_ENTITIES: Final = 100_000
MAX_DIMENSIONS: Final = 10_000
MAX_MAINTENANCE: Final = 100
MAX_NAME_CHARACTERS: Final = 200  # of a pattern, and of a dimension
MAX_FAULTS_LISTED: Final = 100
LAST_MS: Final = 7_258_118_400_000  # the year 2200, as for points
LONGEST_CYCLE_SECONDS: Final = 366 * 86_400
MAX_BUDGET: Final = 1e6  # incidents per entity and day: more than anybody has points
LARGEST: Final = sys.float_info.max  # infinity is beyond it, and NaN beyond everything


class Bound(NamedTuple):
    """What a number may be."""

    low: float
    high: float
    words: str
    is_low_allowed: bool = True

    def holds(self, value: float) -> bool:
        """False for NaN and infinity too."""
        return self.low <= value <= self.high and (self.is_low_allowed or value > self.low)


TIME: Final = Bound(0, LAST_MS, "milliseconds since 1970, before the year 2200")
DEVIATION: Final = Bound(0, LARGEST, "a finite number of at least 0")
BOUNDS: Final[Mapping[str, Bound]] = {
    "budget": Bound(0, MAX_BUDGET, "a number above 0, at most a million", is_low_allowed=False),
    "open_count": Bound(1, 32, "1 to 32 points"),
    "open_window": Bound(1, 32, "1 to 32 points"),
    "resolve_after": Bound(1, 1_000, "1 to 1000 points"),
    "resolve_below": Bound(0, 1, "a score above 0, at most 1", is_low_allowed=False),
    "cool_down_seconds": Bound(0, 30 * 86_400, "0 to 2592000 seconds (30 days)"),
    "lateness_seconds": Bound(0, 3_600, "0 to 3600 seconds"),
    "muted_until_ms": TIME,
    "min_deviation": DEVIATION,
}


class Fault(NamedTuple):
    """One thing that is not as it must be."""

    path: str
    detail: str


def checked(policies: Policies) -> Policies:
    """The same document, if all of it can hold. Raises BadInput, which lists the faults."""
    _refuse(_faults(policies))
    return policies


def checked_policy(policy: Policy, *, path: str = "$") -> Policy:
    """The same policy, if it can hold; `path` is where it stands. Raises BadInput."""
    _refuse(_policy_faults(policy, path))
    return policy


def _faults(policies: Policies) -> Iterator[Fault]:
    yield from _too_many("$.patterns", len(policies.patterns), MAX_PATTERNS, "patterns")
    yield from _too_many("$.entities", len(policies.entities), MAX_ENTITIES, "entities")
    yield from _policy_faults(policies.default, "$.default")
    for index, one in enumerate(policies.patterns):
        yield from _name_faults(one.pattern, f"$.patterns[{index}].pattern")
        yield from _policy_faults(one.policy, f"$.patterns[{index}].policy")
    for entity, policy in policies.entities.items():
        yield from _policy_faults(policy, f"$.entities[{_shown(entity)}]")


def _policy_faults(policy: Policy, path: str) -> Iterator[Fault]:
    for name, bound in BOUNDS.items():
        yield from _bound_faults(getattr(policy, name), bound, f"{path}.{name}")
    count, window = policy.open_count, policy.open_window
    if count is not None and window is not None and count > window:
        detail = f"expected at most open_window ({_shown(window)}), came {_shown(count)}"
        yield Fault(f"{path}.open_count", detail)
    windows, dimensions = policy.maintenance, policy.dimensions
    yield from _too_many(f"{path}.maintenance", len(windows), MAX_MAINTENANCE, "windows")
    for index, maintenance in enumerate(windows):
        yield from _maintenance_faults(maintenance, f"{path}.maintenance[{index}]")
    yield from _too_many(f"{path}.dimensions", len(dimensions), MAX_DIMENSIONS, "dimensions")
    for name, dimension in dimensions.items():
        yield from _dimension_faults(name, dimension, f"{path}.dimensions[{_shown(name)}]")


def _maintenance_faults(maintenance: Maintenance, path: str) -> Iterator[Fault]:
    start_ms, end_ms, every = maintenance.start_ms, maintenance.end_ms, maintenance.every_seconds
    yield from _bound_faults(start_ms, TIME, f"{path}.start_ms")
    yield from _bound_faults(end_ms, TIME, f"{path}.end_ms")
    if end_ms <= start_ms:
        detail = f"expected a time after start_ms ({_shown(start_ms)}), came {_shown(end_ms)}"
        yield Fault(f"{path}.end_ms", detail)
        return
    length_seconds = -((start_ms - end_ms) // 1000)  # rounded up
    if every is not None and not length_seconds <= every <= LONGEST_CYCLE_SECONDS:
        least = f"{_shown(length_seconds)} (the length of the window)"
        detail = f"expected {least} to {LONGEST_CYCLE_SECONDS} seconds, came {_shown(every)}"
        yield Fault(f"{path}.every_seconds", detail)


def _dimension_faults(name: str, dimension: DimensionPolicy, path: str) -> Iterator[Fault]:
    yield from _name_faults(name, path)
    yield from _bound_faults(dimension.min_deviation, DEVIATION, f"{path}.min_deviation")


def _bound_faults(value: float | None, bound: Bound, path: str) -> Iterator[Fault]:
    if value is not None and not bound.holds(value):
        yield Fault(path, f"expected {bound.words}, came {_shown(value)}")


def _name_faults(name: str, path: str) -> Iterator[Fault]:
    if not (1 <= len(name) <= MAX_NAME_CHARACTERS and name.isprintable()):
        detail = f"expected 1 to {MAX_NAME_CHARACTERS} printable characters, came {_shown(name)}"
        yield Fault(path, detail)


def _too_many(path: str, came: int, most: int, what: str) -> Iterator[Fault]:
    if came > most:
        yield Fault(path, f"expected at most {most} {what}, came {came}")


def _refuse(faults: Iterable[Fault]) -> None:
    found = list(islice(faults, MAX_FAULTS_LISTED))
    if not found:
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    detail = f"{found[0].path}: {found[0].detail}{more}"
    raise BadInput(detail, errors=[fault._asdict() for fault in found])


def _shown(value: float | str) -> str:
    """A value, cut short; ASCII only, as it came from outside."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
