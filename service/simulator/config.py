"""What to simulate: how many entities for how long, and the kinds of fault that may strike."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

FaultKind = Literal[
    "spike",
    "level_shift",
    "slow_leak",
    "variance_change",
    "stuck_value",
    "lost_dimension",
    "broken_correlation",
]


class FaultPlan(NamedTuple):
    """How long a fault lasts, in points, and how strong it is, in residual standard deviations.

    The residual is a value minus what its drivers alone would give. A variance change multiplies
    the residual; the kinds without a magnitude have zero.
    """

    shortest: int
    longest: int
    weakest: float
    strongest: float


FAULT_PLANS: dict[FaultKind, FaultPlan] = {
    "spike": FaultPlan(1, 4, 12, 25),
    "level_shift": FaultPlan(30, 90, 6, 12),
    "slow_leak": FaultPlan(120, 240, 14, 24),
    "variance_change": FaultPlan(40, 120, 5, 9),
    "stuck_value": FaultPlan(40, 120, 0, 0),
    "lost_dimension": FaultPlan(30, 90, 0, 0),
    "broken_correlation": FaultPlan(60, 150, 0, 0),
}


@dataclass(frozen=True)
class FleetConfig:
    """What to simulate. Faults are in the test part only, after a warm-up without any."""

    seed: int = 0
    fleet_seed: int = 0
    entities: int = 8
    train_points: int = 4320
    test_points: int = 1440
    period_seconds: float = 60.0
    start_timestamp_ms: int = 1_736_121_600_000  # Monday 2025-01-06 00:00 UTC
    faults_per_entity: int = 4
    fault_kinds: tuple[FaultKind, ...] = tuple(FAULT_PLANS)
    warm_up_points: int = 120
    quiet_points: int = 60  # at least so many between two faults, and after the last

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        least = {"entities": 1, "train_points": 0, "test_points": 1, "faults_per_entity": 0}
        for field, bound in (least | {"warm_up_points": 1, "quiet_points": 1}).items():
            if getattr(self, field) < bound:
                raise ValueError(f"expected {field} >= {bound}, came {getattr(self, field)}")
        if not self.period_seconds > 0:
            raise ValueError(f"expected period_seconds > 0, came {self.period_seconds}")
        if not self.fault_kinds or not set(self.fault_kinds) <= set(FAULT_PLANS):
            raise ValueError(f"expected kinds of {[*FAULT_PLANS]}, came {[*self.fault_kinds]}")
