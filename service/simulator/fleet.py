"""A fleet: entities with names, timestamps, a healthy train part and a test part with faults."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.simulator.config import FleetConfig
from service.simulator.dimensions import DIMENSION_NAMES, FloatArray
from service.simulator.faults import Fault, with_faults
from service.simulator.physics import draw_traits, run_healthy


@dataclass(frozen=True)
class SimulatedEntity:
    """One entity: raw values of both parts, and what was done to the second."""

    name: str
    dimensions: tuple[str, ...]
    train: FloatArray  # (time, dimension)
    test: FloatArray  # (time, dimension), NaN where a fault lost a dimension
    train_timestamps_ms: npt.NDArray[np.int64]
    test_timestamps_ms: npt.NDArray[np.int64]
    label: npt.NDArray[np.bool_]  # (time,) of test
    faults: tuple[Fault, ...]


def simulate_fleet(config: FleetConfig) -> list[SimulatedEntity]:
    """Simulate every entity; equal configurations give equal fleets."""
    return [_simulate_entity(config, number) for number in range(1, config.entities + 1)]


def _simulate_entity(config: FleetConfig, number: int) -> SimulatedEntity:
    split = config.train_points
    steps = np.arange(split + config.test_points)
    elapsed_ms = np.rint(steps * (config.period_seconds * 1000)).astype(np.int64)
    timestamps_ms = config.start_timestamp_ms + elapsed_ms
    traits = draw_traits(np.random.default_rng([config.fleet_seed, number, 0]))
    healthy = run_healthy(
        config, traits, np.random.default_rng([config.seed, number, 1, traits.key])
    )
    chance = np.random.default_rng([config.seed, number, 2, traits.key])
    test, faults = with_faults(config, healthy, chance)
    label = np.zeros(config.test_points, np.bool_)
    for fault in faults:
        label[fault.start : fault.end + 1] = True
    return SimulatedEntity(
        name=f"node-{number:02d}",
        dimensions=DIMENSION_NAMES,
        train=healthy.values[:split],
        test=test,
        train_timestamps_ms=timestamps_ms[:split],
        test_timestamps_ms=timestamps_ms[split:],
        label=label,
        faults=faults,
    )
