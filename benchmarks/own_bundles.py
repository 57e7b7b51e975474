"""A bundle for each of 28 machines, as the papers do it, against one bundle for all of them.

    python -m benchmarks.own_bundles

In memory, the fold with the arena: every bundle has a session of ONNX Runtime and constants of its
own, and scores its machine alone; the shared one scores all in one batch. Both take turns. Nothing
is kept anywhere, so there is no persistence mode.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from msgspec import Struct

from benchmarks.fleets import ArenaFleet, resident_bytes
from benchmarks.machine import Machine, machine
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from service.scoring.bundle import load_bundle
from service.scoring.fold import Fold

RESULTS = Path("benchmarks/results/own_bundles.json")
MACHINES = 28  # of the Server Machine Dataset
EACH, SHARED = "one each", "one for all"


class Round(Struct, frozen=True):
    """What one turn showed."""

    bundles: str
    us_per_point: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    mebibytes: dict[str, float]  # of the process, beyond what it had without
    rounds: list[Round]


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    rounds: Annotated[int, typer.Option(min=1, help="Of either.")] = 15,
    seconds: Annotated[float, typer.Option(min=0.05, help="Length of a turn.")] = 0.3,
    quick: Annotated[bool, typer.Option("--quick", help="One short round.")] = False,
) -> None:
    """Measure time per point and memory."""
    rounds, seconds = (1, 0.05) if quick else (rounds, seconds)
    facts, bundle = machine(), chosen_bundle(bundles)
    fleets = {kind: fleets_of(bundle.folder, kind) for kind in (EACH, SHARED)}
    found = [
        Round(kind, us)
        for _ in range(rounds)
        for kind, own in fleets.items()
        for us in _turn(own, seconds)
    ]
    memory = {kind: _mebibytes(bundle.folder, kind) for kind in fleets}
    result = Result(facts, bundle.title, memory, found)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """Time and memory of either."""
    yield Sheet(
        name="own-bundles",
        said=f"{MACHINES} machines, a point of each in turn, with a bundle each and with one for "
        f"all ({result.model}); in process (persistence: none).",
        head=("bundles", "µs per point", "MiB of memory"),
        lines=[
            [kind, figure(median(_times(result, kind))), figure(memory)]
            for kind, memory in result.mebibytes.items()
        ],
    )


def fleets_of(folder: Path, kind: str) -> list[ArenaFleet]:
    """All machines in one fleet, or each in one of its own."""
    if kind == SHARED:
        return [ArenaFleet(Fold(load_bundle(folder)), MACHINES)]
    return [ArenaFleet(Fold(load_bundle(folder)), 1) for _ in range(MACHINES)]


def _turn(fleets: list[ArenaFleet], seconds: float) -> Iterator[float]:
    points, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not points:
        points += sum(fleet.advance() for fleet in fleets)
    yield 1e6 * elapsed / points


def _times(result: Result, kind: str) -> list[float]:
    return [one.us_per_point for one in result.rounds if one.bundles == kind]


def _mebibytes(folder: Path, kind: str) -> float:
    """In a process of its own: memory that was freed before would be used again."""
    words = [sys.executable, "-c", _GROWTH, str(folder), kind]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def growth_mebibytes(folder: Path, kind: str) -> float:
    """What this process takes more with these fleets at work."""
    fleets_of(folder, SHARED)[0].advance()
    before = resident_bytes()
    fleets = fleets_of(folder, kind)
    for fleet in fleets:
        fleet.advance()
    return (resident_bytes() - before) / 2**20


_GROWTH = (
    "import sys; from pathlib import Path; from benchmarks.own_bundles import growth_mebibytes;"
    "print(growth_mebibytes(Path(sys.argv[1]), sys.argv[2]))"
)

if __name__ == "__main__":
    typer.run(main)
