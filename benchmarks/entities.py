"""What one more entity costs: memory, and time per point from 100 entities to 100,000.

    python -m benchmarks.entities

In memory the fold with the arena; on a part of the range the whole path of a point with Redis. All
fleets of a kind take turns, 100 entities at a time.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Protocol

import typer
from msgspec import Struct

from benchmarks.fleets import BATCH, ArenaFleet, StoredFleet
from benchmarks.machine import Machine, machine
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from benchmarks.stores import Persistence, redis_server
from service.scoring.bundle import Bundle
from service.scoring.fold import Fold

RESULTS = Path("benchmarks/results/entities.json")
COUNTS = (100, 1_000, 10_000, 100_000)
STORED_COUNTS = (100, 1_000, 10_000)
MODES: tuple[Persistence, ...] = ("everysec", "always")
IN_MEMORY = "no store"


class Round(Struct, frozen=True):
    """What one turn showed."""

    persistence: str  # or "no store"
    entities: int
    us_per_point: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    state_bytes: int
    bytes_per_entity: dict[int, float]  # of memory, by entities
    rounds: list[Round]


class Fleet(Protocol):
    """Entities that get points."""

    def advance(self) -> int: ...


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    rounds: Annotated[int, typer.Option(min=1, help="Of each fleet.")] = 11,
    seconds: Annotated[float, typer.Option(min=0.05, help="Length of a turn.")] = 0.5,
    quick: Annotated[bool, typer.Option("--quick", help="One short round, small fleets.")] = False,
) -> None:
    """Measure memory per entity and time per point."""
    counts, stored = (COUNTS[:2], STORED_COUNTS[:1]) if quick else (COUNTS, STORED_COUNTS)
    rounds, seconds = (1, 0.05) if quick else (rounds, seconds)
    facts, bundle = machine(), chosen_bundle(bundles)
    fold = Fold(bundle)
    fleets = {count: ArenaFleet(fold, count) for count in counts}
    found = list(_turns(fleets, IN_MEMORY, rounds=rounds, seconds=seconds))
    fleets.clear()
    memory = {count: _bytes_per_entity(bundle, count) for count in counts if count > BATCH}
    for mode in MODES:
        found += _with_store(bundle, mode, counts=stored, rounds=rounds, seconds=seconds)
    result = Result(facts, bundle.title, fold.state_dtype.itemsize, memory, found)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """Time per point and memory per entity."""
    modes = list(dict.fromkeys(one.persistence for one in result.rounds))
    counts = sorted({one.entities for one in result.rounds})
    yield Sheet(
        name="entities",
        said=f"Microseconds per point by number of entities, {BATCH} at a time ({result.model}); "
        "without a store the fold and the arena alone, with one the whole path in that persistence "
        "mode, without HTTP.",
        head=("entities", *modes),
        lines=[[f"{n:,}", *(_cell(result.rounds, n, mode) for mode in modes)] for n in counts],
    )
    yield Sheet(
        name="entities-memory",
        said=f"Memory of the process per entity; its state has {result.state_bytes:,} bytes. The "
        "arena doubles when it is full. Without a store (persistence: none).",
        head=("entities", "bytes per entity", "over the state"),
        lines=[
            [f"{count:,}", figure(kept), f"{kept / result.state_bytes:.2f}"]
            for count, kept in result.bytes_per_entity.items()
        ],
    )


def _cell(rounds: Sequence[Round], entities: int, persistence: str) -> str:
    own = [
        one.us_per_point
        for one in rounds
        if (one.entities, one.persistence) == (entities, persistence)
    ]
    return f"{median(own):.1f}" if own else "-"


def _bytes_per_entity(bundle: Bundle, count: int) -> float:
    """In a process of its own: memory that was freed before would be used again."""
    words = [sys.executable, "-m", "benchmarks.fleets", str(bundle.folder), str(count)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def _with_store(
    bundle: Bundle, mode: Persistence, *, counts: Sequence[int], rounds: int, seconds: float
) -> list[Round]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gaugewatch-bench-"))
        server = stack.enter_context(redis_server(Path(folder), mode))
        fleets = {count: StoredFleet(bundle, count, url=server.url) for count in counts}
        for fleet in fleets.values():
            stack.callback(fleet.close)
        return list(_turns(fleets, mode, rounds=rounds, seconds=seconds))


def _turns(
    fleets: Mapping[int, Fleet], persistence: str, *, rounds: int, seconds: float
) -> Iterator[Round]:
    for fleet in fleets.values():
        fleet.advance()
    for _ in range(rounds):
        for count, fleet in fleets.items():
            points, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds or not points:
                points += fleet.advance()
            yield Round(persistence, count, 1e6 * elapsed / points)


if __name__ == "__main__":
    typer.run(main)
