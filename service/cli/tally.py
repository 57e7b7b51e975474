"""What a demo found of the faults that were injected."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from service.simulator import Fault, SimulatedEntity
from service.stream.messages import Alert, Verdict
from service.web.metrics import REPEATED

GRACE_POINTS = 5  # an incident that opens so soon after a fault ends still found it
TOLD_CAUSES = 5


@dataclass
class Tally:
    """What happened, for the last line."""

    latencies_ms: list[float] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)


def summary(fleets: Sequence[Sequence[SimulatedEntity]], tally: Tally) -> dict[str, float | None]:
    """The last line: what was injected, what was found, how soon, and whether causes were right."""
    faults = [(entity, fault) for fleet in fleets for entity in fleet for fault in entity.faults]
    opened = [alert for alert in tally.alerts if alert.kind == "opened"]
    finds = [_first_find(entity, fault, opened) for entity, fault in faults]
    found = [
        (entity, fault, alert)
        for (entity, fault), alert in zip(faults, finds, strict=True)
        if alert is not None
    ]
    false = [a for a in opened if not any(_is_about(a, entity, fault) for entity, fault in faults)]
    delays = [_row(entity, alert.opened_ms) - fault.start for entity, fault, alert in found]
    hits = [_hit_rate(fault, _last_told(alert, tally.alerts)) for _, fault, alert in found]
    return {
        "points": len(tally.verdicts),
        "scored": sum(_is_newly_scored(verdict) for verdict in tally.verdicts),
        "incidents": len(opened),
        "faults_injected": len(faults),
        "faults_found": len(found),
        "false_incidents": len(false),
        "median_delay_points": float(np.median(delays)) if delays else None,
        "culprit_hit_rate": round(float(np.mean(hits)), 3) if hits else None,
        "latency_ms_p50": round(float(np.percentile(tally.latencies_ms, 50)), 2),
        "latency_ms_p99": round(float(np.percentile(tally.latencies_ms, 99)), 2),
    }


def _is_newly_scored(verdict: Verdict) -> bool:
    return verdict.score is not None and verdict.status not in REPEATED


def _row(entity: SimulatedEntity, timestamp_ms: int) -> int:
    return int(np.searchsorted(entity.test_timestamps_ms, timestamp_ms))


def _is_about(alert: Alert, entity: SimulatedEntity, fault: Fault) -> bool:
    """An incident of this entity that opened during the fault, or just after it."""
    first, last = entity.test_timestamps_ms[[0, -1]]
    if alert.entity != entity.name or not first <= alert.opened_ms <= last:
        return False
    return fault.start <= _row(entity, alert.opened_ms) <= fault.end + GRACE_POINTS


def _first_find(entity: SimulatedEntity, fault: Fault, opened: Sequence[Alert]) -> Alert | None:
    about = [alert for alert in opened if _is_about(alert, entity, fault)]
    return min(about, key=lambda alert: alert.opened_ms, default=None)


def _last_told(opened: Alert, alerts: Sequence[Alert]) -> Alert:
    """The last message about the incident, which blames with the most evidence."""
    return [alert for alert in alerts if alert.incident == opened.incident][-1]


def _hit_rate(fault: Fault, alert: Alert) -> float:
    """Share of the guilty dimensions among as many top causes."""
    wanted = min(len(fault.names), TOLD_CAUSES)
    blamed = {cause.dimension for cause in alert.causes[:wanted]}
    return len(blamed & set(fault.names)) / wanted
