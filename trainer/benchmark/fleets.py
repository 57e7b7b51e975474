"""The simulated suites: fleets of servers whose faults, onsets and culprits are known exactly.

`simulated` has one of each fault of the simulator per entity. `relations` is a quiet fleet whose
test half only shows what every dimension showed before: nothing but its relations break.
"""

import numpy as np

from service.scoring.series import Segment, Series
from service.simulator import FAULT_PLANS, FleetConfig, SimulatedEntity, simulate_fleet
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.faults import FaultName, look_at
from trainer.benchmark.injection import Layout, inject

ENTITIES = 8
TRAIN_POINTS = 5760  # four days
TEST_POINTS = 4320  # three days
PERIOD_SECONDS = 60.0
RELATION_FAULTS: tuple[FaultName, ...] = ("swap", "pair", "lag")
RELATION_LAYOUT = Layout(segments=9, shortest=20, longest=80, least_change=0.5)
SOURCE = "Gaugewatch's simulator (service/simulator)"


def simulated(*, seed: int) -> Suite:
    """A fleet with one fault of each kind per entity."""
    fleet = simulate_fleet(_config(seed, faults=len(FAULT_PLANS)))
    cases = tuple(
        Case(entity.name, _train(entity), _test(entity), is_tuning=False) for entity in fleet
    )
    title = "Simulated fleet: servers with every kind of fault, 1 minute"
    return Suite("simulated", title, PERIOD_SECONDS, cases, SOURCE)


def relations(*, seed: int) -> Suite:
    """A fleet in which only relations between dimensions break."""
    fleet = simulate_fleet(_config(seed, faults=0))
    cases = tuple(_broken(entity, seed=seed) for entity in fleet)
    title = "Broken relations: simulated servers, every value as before, 1 minute"
    return Suite("relations", title, PERIOD_SECONDS, cases, SOURCE)


def _config(seed: int, *, faults: int) -> FleetConfig:
    return FleetConfig(
        seed=seed,
        fleet_seed=seed,
        entities=ENTITIES,
        train_points=TRAIN_POINTS,
        test_points=TEST_POINTS,
        period_seconds=PERIOD_SECONDS,
        faults_per_entity=faults,
    )


def _broken(entity: SimulatedEntity, *, seed: int) -> Case:
    train = _train(entity)
    test = inject(
        _test(entity),
        look_at(train.values),
        faults=RELATION_FAULTS,
        draw=0,
        seed=seed,
        layout=RELATION_LAYOUT,
    )
    return Case(entity.name, train, test, is_tuning=False)


def _train(entity: SimulatedEntity) -> Series:
    return Series(
        entity.name,
        entity.dimensions,
        entity.train_timestamps_ms,
        entity.train,
        label=None,
        segments=(),
    )


def _test(entity: SimulatedEntity) -> Series:
    return Series(
        entity.name,
        entity.dimensions,
        entity.test_timestamps_ms,
        entity.test,
        entity.label.astype(np.bool_),
        tuple(Segment(fault.start, fault.end, fault.dimensions) for fault in entity.faults),
    )
