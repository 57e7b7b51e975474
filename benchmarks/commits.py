"""The atomic commit against a list per entity, and what Redis keeps of an entity.

    python -m benchmarks.commits

`Store.commit` writes row and header, a snapshot when one is due, checks the token and answers with
the outcome; the list gets RPUSH, LTRIM and LRANGE in a pipeline and gives the window back. Both
talk to the same server, one point of each of 256 entities at a time, and take turns.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from msgspec import Struct
from redis import Redis

from benchmarks.commit_ways import ENTITIES, WINDOW, Commits, Lists, Memory, Writes, memory_of
from benchmarks.machine import Machine, machine
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from benchmarks.stores import PATIENT, PERSISTENCE, redis_server
from service.scoring.fold import Fold
from service.stream.lane import Lane
from service.stream.store import Store

RESULTS = Path("benchmarks/results/commits.json")
VALUE_BYTES = 4


class Round(Struct, frozen=True):
    """What one turn of both showed, in points per second."""

    persistence: str
    commit: float
    lists: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    row_bytes: int
    snapshot_bytes: int
    value_bytes: int
    rounds: list[Round]
    memory: Memory


@dataclass(frozen=True)
class Measured:
    """Rounds of one persistence mode, and the memory after them."""

    rounds: list[Round]
    memory: Memory


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    rounds: Annotated[int, typer.Option(min=1, help="Of each way and mode.")] = 15,
    seconds: Annotated[float, typer.Option(min=0.05, help="Length of a turn.")] = 0.5,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of each.")] = False,
) -> None:
    """Measure points per second into Redis, and bytes per entity."""
    rounds, seconds = (1, 0.05) if quick else (rounds, seconds)
    facts, lane = machine(), Lane(Fold(chosen_bundle(bundles)), max_entities=len(ENTITIES))
    found = [_measured(lane, mode, rounds=rounds, seconds=seconds) for mode in PERSISTENCE]
    result = Result(
        machine=facts,
        row_bytes=lane.row_dtype.itemsize,
        snapshot_bytes=lane.fold.state_dtype.itemsize,
        value_bytes=VALUE_BYTES * lane.fold.dimensions,
        rounds=[one for measured in found for one in measured.rounds],
        memory=found[-1].memory,
    )
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """Points per second, and bytes per entity."""
    yield Sheet(
        name="commits",
        said=f"One point of each of {len(ENTITIES)} entities at a time on one Redis, window "
        f"{WINDOW}; points per second. Ours writes rows of {result.row_bytes} bytes with their "
        f"verdicts and snapshots of {result.snapshot_bytes} bytes when due, the list "
        f"{result.value_bytes} bytes of values.",
        head=("persistence", "commit", "RPUSH + LTRIM + LRANGE", "ratio"),
        lines=[
            [
                mode,
                figure(median(one.commit for one in own)),
                figure(median(one.lists for one in own)),
                f"{median(one.commit / one.lists for one in own):.1f}",
            ]
            for mode in PERSISTENCE
            if (own := [one for one in result.rounds if one.persistence == mode])
        ],
    )
    memory = result.memory
    yield Sheet(
        name="commits-memory",
        said="Bytes of an entity in Redis (`MEMORY USAGE`, names of the keys included) over the "
        "bytes that were put in, full rings; the same in every persistence mode.",
        head=("what", "kept", "payload", "ratio"),
        lines=[
            [name, figure(kept), figure(payload), f"{kept / payload:.2f}"]
            for name, kept, payload in (
                ("header + ring + snapshot", memory.kept, memory.payload),
                ("list", memory.list_kept, memory.list_payload),
            )
        ],
    )


def _measured(lane: Lane, persistence: str, *, rounds: int, seconds: float) -> Measured:
    mode = next(one for one in PERSISTENCE if one == persistence)
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as folder,
        redis_server(Path(folder), mode) as server,
        closing(Store(server.url, PATIENT)) as store,
        Redis.from_url(server.url) as redis,
    ):
        commits, lists = Commits(store, lane), Lists(redis, VALUE_BYTES * lane.fold.dimensions)
        commits.fill()
        lists.fill()
        found = []
        for _ in range(rounds):
            ours, theirs = (_points_per_second(one, seconds) for one in (commits, lists))
            found.append(Round(persistence, ours, theirs))
        return Measured(found, memory_of(redis))


def _points_per_second(ways: Writes, seconds: float) -> float:
    spent, points = 0.0, 0
    while spent < seconds:
        ways.prepare()
        start = time.perf_counter()
        ways.write()
        spent += time.perf_counter() - start
        points += len(ENTITIES)
    return points / spent


if __name__ == "__main__":
    typer.run(main)
