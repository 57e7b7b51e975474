"""The fleet that the shipped bundle `simulated-fleet` was trained on, and stretches it never saw.

The training stretch has the seed 1 (`make bundles`); what is shown to people has others.
"""

from service.simulator.config import FleetConfig

FLEET_SEED = 0
ENTITIES = 8
DEMO_SEED = 1_000  # and those above, one for each stretch of the demo
EXAMPLE_SEED = 500
EXAMPLES = FleetConfig(
    seed=EXAMPLE_SEED,
    fleet_seed=FLEET_SEED,
    entities=ENTITIES,
    train_points=0,
    test_points=2_880,
    faults_per_entity=7,  # one of each kind
    start_timestamp_ms=1_767_225_600_000,  # 2026-01-01T00:00:00Z
)
