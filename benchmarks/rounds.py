"""Rounds: one load on one service for a while, both services taking turns."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load, run, warm
from benchmarks.servers import Durability, Running, gaugewatch, naive
from service.scoring.bundle import Bundle

LOADS = (
    Load("single, c=1", connections=1, points=1),
    Load("single, c=64", connections=64, points=1),
    Load("1000 each, c=2", connections=2, points=1_000),
    Load("1000 packed, c=2", connections=2, points=1_000, is_packed=True),
)
Start = Callable[[Bundle, Durability, Path], AbstractContextManager[Running]]
SERVICES: tuple[Start, ...] = (gaugewatch, naive)
WARM_STEPS = 2  # beyond the memory horizon


@dataclass(frozen=True)
class Round:
    """What one round showed. Latencies are of requests."""

    durability: Durability
    load: str
    service: str
    seconds: float
    requests_sent: int
    requests_answered: int
    points: int
    points_per_second: float
    points_per_service_cpu_second: float
    service_cpu_seconds: float
    store_cpu_seconds: float
    latency_ms_p50: float
    latency_ms_p99: float


def measured(
    bundle: Bundle, durability: Durability, folder: Path, *, rounds: int, seconds: float
) -> Iterator[Round]:
    """All rounds of one persistence mode; every service has a store of its own in that mode."""
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(start(bundle, durability, folder / start.__name__))
            for start in SERVICES
        ]
        for one in running:
            steps = WARM_STEPS + (bundle.manifest.memory_horizon if one.name == "gaugewatch" else 0)
            warm(one.face, one.plant, steps=steps)
        for load in LOADS:
            for _ in range(rounds):
                for one in running:
                    yield _round(one, load, durability, seconds=seconds)


def _round(running: Running, load: Load, durability: Durability, *, seconds: float) -> Round:
    service_before, store_before = running.cpu_seconds()
    answered = run(running.face, running.plant, load, seconds=seconds)
    service_after, store_after = running.cpu_seconds()
    if answered.scored < answered.expected:
        raise RuntimeError(
            f"{running.name} scored {answered.scored} of the last {answered.expected} points"
        )
    points = answered.answered * load.points
    service_cpu_seconds = max(service_after - service_before, 0.01)  # one tick of the clock
    return Round(
        durability=durability,
        load=load.name,
        service=running.name,
        seconds=answered.seconds,
        requests_sent=answered.sent,
        requests_answered=answered.answered,
        points=points,
        points_per_second=points / answered.seconds,
        points_per_service_cpu_second=points / service_cpu_seconds,
        service_cpu_seconds=service_cpu_seconds,
        store_cpu_seconds=store_after - store_before,
        latency_ms_p50=answered.latency_ms(50),
        latency_ms_p99=answered.latency_ms(99),
    )
