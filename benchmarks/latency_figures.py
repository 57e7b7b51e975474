"""Figures of latency and throughput over HTTP: what is kept, the tables, the curves."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from msgspec import Struct

from benchmarks.curves import Line
from benchmarks.machine import Machine
from benchmarks.sheet import Sheet, figure

SERVICES = ("gaugewatch", "naive")
BATCH_CONNECTIONS = 4


class Open(Struct, frozen=True):
    """One open loop."""

    persistence: str
    service: str
    offered: float  # per second
    due: int
    answered: int
    ms_p50: float
    ms_p99: float
    ms_p999: float
    generator_late_ms_p99: float


class Closed(Struct, frozen=True):
    """One closed loop."""

    persistence: str
    service: str
    points: int  # per request
    points_per_second: float
    points_per_service_cpu_second: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    opened: list[Open]
    closed: list[Closed]


def sheets(result: Result) -> Iterator[Sheet]:
    """Latency by offered load, throughput by size."""
    opened: dict[tuple[str, float], list[Open]] = defaultdict(list)
    for one in result.opened:
        opened[one.persistence, one.offered].append(one)
    closed: dict[tuple[str, int], list[Closed]] = defaultdict(list)
    for other in result.closed:
        closed[other.persistence, other.points].append(other)
    yield Sheet(
        name="latency",
        said="Single points over HTTP in an open loop, milliseconds from the moment a request was "
        f"due, p50 / p99 / p99.9 ({result.model}); median of the rounds, `>` where some had no "
        "answer a second after the last was due.",
        head=("persistence", "offered/s", "Gaugewatch", "naive", "generator late, p99"),
        lines=[[mode, f"{rate:,.0f}", *_open_cells(own)] for (mode, rate), own in opened.items()],
    )
    yield Sheet(
        name="throughput",
        said=f"Points per second over HTTP, {BATCH_CONNECTIONS} connections that each wait for "
        "their answer, by points per request; in brackets per CPU-second of the service.",
        head=("persistence", "points per request", "Gaugewatch", "naive", "ratio per CPU-s"),
        lines=[[mode, f"{size:,}", *_closed_cells(own)] for (mode, size), own in closed.items()],
    )


def latencies(result: Result) -> dict[str, dict[str, Line]]:
    """By persistence mode, then service and percentile: (offered, ms)."""
    points: dict[str, dict[str, dict[float, list[float]]]] = {}
    for one in result.opened:
        lines = points.setdefault(one.persistence, {})
        for name, value in (("p50", one.ms_p50), ("p99", one.ms_p99)):
            line = lines.setdefault(f"{one.service} {name}", defaultdict(list))
            line[one.offered].append(value)
    return _lines(points)


def throughputs(result: Result) -> dict[str, dict[str, Line]]:
    """By persistence mode, then service and measure: (points per request, points/s)."""
    points: dict[str, dict[str, dict[float, list[float]]]] = {}
    for one in result.closed:
        lines = points.setdefault(one.persistence, {})
        for name, value in (
            (one.service, one.points_per_second),
            (f"{one.service} per CPU-s", one.points_per_service_cpu_second),
        ):
            lines.setdefault(name, defaultdict(list))[one.points].append(value)
    return _lines(points)


def _lines(
    points: Mapping[str, Mapping[str, Mapping[float, Sequence[float]]]],
) -> dict[str, dict[str, Line]]:
    return {
        mode: {
            name: [(x, median(values)) for x, values in sorted(line.items())]
            for name, line in lines.items()
        }
        for mode, lines in points.items()
    }


def _open_cells(rounds: Sequence[Open]) -> Iterator[str]:
    for service in SERVICES:
        own = [one for one in rounds if one.service == service]
        mark = "> " if any(one.answered < one.due for one in own) else ""
        names = ("ms_p50", "ms_p99", "ms_p999")
        yield mark + " / ".join(figure(median(getattr(one, n) for one in own)) for n in names)
    yield f"{figure(median(one.generator_late_ms_p99 for one in rounds))} ms"


def _closed_cells(rounds: Sequence[Closed]) -> Iterator[str]:
    per_cpu = []
    for service in SERVICES:
        own = [one for one in rounds if one.service == service]
        per_cpu.append(median(one.points_per_service_cpu_second for one in own))
        yield f"{figure(median(one.points_per_second for one in own))} ({figure(per_cpu[-1])})"
    yield f"{per_cpu[0] / per_cpu[1]:.1f}"
