"""The simulator: a seeded fleet of servers with known faults, in memory and on disk.

One latent load per entity (a day, a week, wander, bursts) and a clock of batch jobs drive every
dimension through lags, saturation and queueing; entities differ by gains, offsets and phases only,
so one shared model with per-entity scaling fits all. `fleet_seed` fixes what an entity is, `seed`
what happens to it: another seed and a later start continue the very same fleet.
"""

from service.simulator.config import FAULT_PLANS, FaultKind, FaultPlan, FleetConfig
from service.simulator.dimensions import DIMENSION_NAMES, DIMENSIONS, Dimension
from service.simulator.faults import Fault
from service.simulator.files import write_csv, write_npz
from service.simulator.fleet import SimulatedEntity, simulate_fleet

__all__ = [
    "DIMENSIONS",
    "DIMENSION_NAMES",
    "FAULT_PLANS",
    "Dimension",
    "Fault",
    "FaultKind",
    "FaultPlan",
    "FleetConfig",
    "SimulatedEntity",
    "simulate_fleet",
    "write_csv",
    "write_npz",
]
