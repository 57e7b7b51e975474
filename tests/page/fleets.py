"""Simulated fleets with faults, as they are posted to the service."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import httpx2

from service.simulator import FleetConfig, SimulatedEntity, simulate_fleet
from service.simulator.shipped import DEMO_SEED, FLEET_SEED
from tests.system.processes import Service

MOST = 400  # points of a request


def fleet(*, entities: int = 8, points: int = 600, faults: int = 2) -> list[SimulatedEntity]:
    """Machines of the fleet that `simulated-fleet` was trained on; their points end about now.

    The load that is simulated follows the hour. So that a test finds the same values whenever
    it runs, they are those of a fixed day: only the times are moved.
    """
    minute_ms = time.time_ns() // 60_000_000_000 * 60_000
    return [
        replace(
            machine,
            test_timestamps_ms=machine.test_timestamps_ms
            + (minute_ms - int(machine.test_timestamps_ms[-1])),
        )
        for machine in _of_a_fixed_day(entities, points, faults)
    ]


@cache
def _of_a_fixed_day(entities: int, points: int, faults: int) -> list[SimulatedEntity]:
    return simulate_fleet(
        FleetConfig(
            seed=DEMO_SEED,
            fleet_seed=FLEET_SEED,
            entities=entities,
            train_points=points,
            test_points=points,
            faults_per_entity=faults,
        )
    )


def rows(entity: SimulatedEntity, start: int, end: int) -> list[dict[str, object]]:
    """Points of its test stretch, as JSON has them."""
    return [
        {
            "entity": entity.name,
            "timestamp_ms": int(entity.test_timestamps_ms[at]),
            "values": [None if v != v else v for v in entity.test[at].tolist()],
        }
        for at in range(start, end)
    ]


def post(site: Service, points: list[dict[str, object]]) -> list[dict[str, object]]:
    """Send them, some at a time; the verdicts."""
    verdicts: list[dict[str, object]] = []
    for first in range(0, len(points), MOST):
        body = {"points": points[first : first + MOST]}
        answer = httpx2.post(f"{site.url}/v1/points", json=body, timeout=60)
        verdicts += answer.raise_for_status().json()["verdicts"]
    return verdicts


def together(machines: Sequence[SimulatedEntity], start: int, end: int) -> list[dict[str, object]]:
    """The same of many machines, point by point, so that all of them are scored at once."""
    parts = [rows(machine, start, end) for machine in machines]
    return [point for step in zip(*parts, strict=True) for point in step]


def posted(site: Service, *, until: int = 600, entities: int = 8) -> list[SimulatedEntity]:
    """A fleet of which the first `until` points of every machine are kept."""
    machines = fleet(entities=entities)
    post(site, together(machines, 0, until))
    return machines
