"""Every model on real data, from file to stream: fit, the contract, a service, and `score`.

    python -m benchmarks.every_model --data ../shared/data --folder build/every-model

Each model is fitted to each entity with the command that a user has, for few epochs; its bundle has
to pass the contract, and a real service with a real Redis has to answer a replay as `gaugewatch
score` does. Trips that have an answer below `--folder` are not made again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer
from msgspec import Struct

from benchmarks.machine import Machine, machine
from benchmarks.model_trips import EPOCHS, Case, Trip, trip
from benchmarks.sheet import Sheet, keep, show
from service.errors import GaugewatchError
from trainer.config import Model

RESULTS = Path("benchmarks/results/every_model.json")
FOLDER = Path("build/every-model")
CASES = (
    Case("SMD machine-1-6", "SMD/machine-1-6.npz", 60.0),
    Case("MSL C-1", "MSL/C-1.npz", 60.0),
    Case("ASD omi-4", "ASD/omi-4.npz", 300.0),
    Case("NAB ambient temperature", "NAB/ambient_temperature_system_failure.npz", 3600.0),
)
MODELS: tuple[Model, ...] = get_args(Model)


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    trips: list[Trip]


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    folder: Annotated[Path, typer.Option(help="Of bundles and single answers.")] = FOLDER,
    only: Annotated[list[str] | None, typer.Option(help="Models; repeat for more.")] = None,
    case: Annotated[list[str] | None, typer.Option(help="Of the sets; repeat for more.")] = None,
) -> None:
    """Make the trips that have no answer yet; then write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = [
        f"{model} on {one.name}"
        for one in CASES
        for model in MODELS
        if model in (only or MODELS) and one.name in (case or [other.name for other in CASES])
        if not _answered(model, one, data=data, folder=folder)
    ]
    places = (_place(folder, model, one) for model in MODELS for one in CASES)
    trips = [
        msgspec.json.decode(place.read_bytes(), type=Trip) for place in places if place.is_file()
    ]
    result = Result(machine(), trips)
    keep(output, result)
    show(output, list(sheets(result)), machine=result.machine.line)
    if failed:
        raise SystemExit(f"these failed: {', '.join(failed)}")


def _answered(model: Model, case: Case, *, data: Path, folder: Path) -> bool:
    """Whether there is an answer now."""
    place = _place(folder, model, case)
    if place.is_file():
        return True
    try:
        found = trip(model, case, data=data, output=folder / "bundles")
    except (RuntimeError, AssertionError, GaugewatchError, OSError) as error:
        print(f"{model} on {case.name} FAILED: {type(error).__name__}: {error}", flush=True)
        return False
    keep(place, found)
    print(f"{model} on {case.name}: {_cell(found)}, {found.anomalies} anomalies", flush=True)
    return True


def _place(folder: Path, model: Model, case: Case) -> Path:
    return folder / f"{model}-{Path(case.path).stem}.json"


def sheets(result: Result) -> Iterator[Sheet]:
    """Models by sets."""
    names = [case.name for case in CASES]
    trips = {(one.model, one.case): one for one in result.trips}
    yield Sheet(
        name="every-model",
        said=f"`gaugewatch-trainer fit` of every model ({EPOCHS} epochs), then its bundle in a "
        "service (persistence: everysec): seconds of the fit / points scored / greatest difference "
        "of a score, severity, p-value or contribution from what `gaugewatch score` says of the "
        "same points. 0 is equal bit for bit; statuses and flags are equal everywhere.",
        head=("model", *names),
        lines=[[model, *(_cell(trips.get((model, name))) for name in names)] for model in MODELS],
    )


def _cell(found: Trip | None) -> str:
    if found is None:
        return "not run"
    return f"{found.seconds:.0f} s / {found.scored} / {found.difference:.2g}"


if __name__ == "__main__":
    typer.run(main)
