"""The suites by name: published data, simulated fleets, and faults put into published data.

`injected` takes each SMD machine's train half as it is in `smd`, so that the fits are shared, and
puts faults into its last part (`calibration_share`). The network and the linear parts never saw
these rows: both are fitted on rows before them. Thresholds and normalisers did see them, in their
clean version; what is measured is how far a fault stands out from calm, not a budget kept.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from service.errors import BadInput
from service.scoring.series import Series
from trainer.benchmark.cases import Case, Suite
from trainer.benchmark.faults import FAULTS, look_at
from trainer.benchmark.fleets import relations, simulated
from trainer.benchmark.injection import inject
from trainer.benchmark.published import PUBLISHED, load_published
from trainer.config import preset

SUITES = (*PUBLISHED, "simulated", "relations", "injected")
DRAWS = 2  # of every fault on every machine


def load_suite(name: str, data: Path, *, seed: int = 0) -> Suite:
    """A suite; `data` is the folder of the published sets, `seed` makes the others.

    Raises BadInput for an unknown name, BadSeries where data is missing.
    """
    if name in PUBLISHED:
        return load_published(name, data)
    if name == "simulated":
        return simulated(seed=seed)
    if name == "relations":
        return relations(seed=seed)
    if name == "injected":
        return injected(load_published("smd", data), seed=seed)
    raise BadInput(f"expected a suite of {', '.join(SUITES)}, came {name!r}")


def injected(machines: Suite, *, seed: int = 0) -> Suite:
    """Every fault and draw in the last part of every machine's train half."""
    cases = tuple(case for machine in machines.cases for case in inject_into(machine, seed=seed))
    title = "Injected faults: calm rows of SMD with known culprits, 1 minute"
    return Suite("injected", title, machines.period_seconds, cases, machines.source)


def inject_into(machine: Case, *, seed: int = 0) -> Iterator[Case]:
    """The cases of one machine; their series keep its entity, which the fits are known by."""
    calm, seen = held_out(machine.train), look_at(machine.train.values)
    for fault in FAULTS:
        for draw in range(DRAWS):
            yield Case(
                f"{machine.entity}/{fault}-{draw}",
                machine.train,
                inject(calm, seen, faults=(fault,), draw=draw, seed=seed),
                is_tuning=machine.is_tuning,
                fitted_as=machine.entity,
            )


def held_out(train: Series) -> Series:
    """The rows of a train half that no weight was fitted to."""
    length = len(train.values)
    start = length - round(length * preset("small").calibration_share)
    return replace(train, timestamps_ms=train.timestamps_ms[start:], values=train.values[start:])
