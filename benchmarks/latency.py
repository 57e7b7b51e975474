"""Latency against offered load, and throughput against the size of a request.

    python -m benchmarks.latency

Single points over HTTP in an open loop at loads that do not wait for answers, ours beside the naive
service in both persistence modes; then closed loops with larger and larger requests. Every service
has a Redis of its own; both take turns.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer

from benchmarks.curves import draw
from benchmarks.latency_figures import (
    BATCH_CONNECTIONS,
    Closed,
    Open,
    Result,
    latencies,
    sheets,
    throughputs,
)
from benchmarks.load import Load, run, warm
from benchmarks.machine import machine
from benchmarks.open_loop import Arrivals, OpenLoop
from benchmarks.rounds import SERVICES, WARM_STEPS
from benchmarks.servers import Durability, Running
from benchmarks.sheet import keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from service.scoring.bundle import Bundle

RESULTS = Path("benchmarks/results/latency.json")
PICTURES = Path("docs/pictures")
OFFERED = (500, 1_000, 2_000, 3_000, 4_000)
SIZES = (1, 10, 100, 1_000)


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    pictures: Annotated[Path, typer.Option(help="Folder of the pictures.")] = PICTURES,
    rounds: Annotated[int, typer.Option(min=1, help="Of every load and service.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of a round.")] = 5.0,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of few loads.")] = False,
) -> None:
    """Measure latency and throughput over HTTP."""
    offered, sizes = (OFFERED[:1], SIZES[1:3]) if quick else (OFFERED, SIZES)
    rounds, seconds = (1, 0.3) if quick else (rounds, seconds)
    facts, bundle = machine(), chosen_bundle(bundles)
    opened: list[Open] = []
    closed: list[Closed] = []
    for durability in get_args(Durability):
        with _services(bundle, durability) as services:
            for load in offered * rounds:
                opened += [_opened(one, durability, load, seconds) for one in services]
            for size in sizes * rounds:
                closed += [_closed(one, durability, size, seconds) for one in services]
    result = Result(facts, bundle.title, opened, closed)
    keep(output, result)
    pictures.mkdir(parents=True, exist_ok=True)
    draw(pictures / "latency.png", latencies(result), said=("single points/s offered", "ms"))
    said = ("points per request", "points/s")
    draw(pictures / "throughput.png", throughputs(result), said=said)
    show(output, list(sheets(result)), machine=facts.line)


def load(path: Path) -> Result:
    """A kept result."""
    return msgspec.json.decode(path.read_bytes(), type=Result)


@contextlib.contextmanager
def _services(bundle: Bundle, durability: Durability) -> Iterator[list[Running]]:
    """Both services, warm."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gaugewatch-bench-"))
        running = [
            stack.enter_context(start(bundle, durability, Path(folder) / start.__name__))
            for start in SERVICES
        ]
        for one in running:
            horizon = bundle.manifest.memory_horizon if one.name == "gaugewatch" else 0
            warm(one.face, one.plant, steps=WARM_STEPS + horizon)
        yield running


def _opened(running: Running, durability: Durability, offered: int, seconds: float) -> Open:
    with contextlib.closing(OpenLoop(running.face, running.plant)) as loop:
        found: Arrivals = loop.run(offered, seconds=seconds)
    return Open(
        persistence=durability,
        service=running.name,
        offered=offered,
        due=found.due,
        answered=found.answered,
        ms_p50=found.latency_ms(50),
        ms_p99=found.latency_ms(99),
        ms_p999=found.latency_ms(99.9),
        generator_late_ms_p99=found.late_ms_p99,
    )


def _closed(running: Running, durability: Durability, size: int, seconds: float) -> Closed:
    before, _ = running.cpu_seconds()
    load = Load(f"{size} each", connections=BATCH_CONNECTIONS, points=size)
    found = run(running.face, running.plant, load, seconds=seconds)
    after, _ = running.cpu_seconds()
    points = found.answered * size
    per_cpu = points / max(after - before, 0.01)  # one tick of the clock
    return Closed(durability, running.name, size, points / found.seconds, per_cpu)


if __name__ == "__main__":
    typer.run(main)
