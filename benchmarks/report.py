"""What the rounds come to: medians, ratios, the machine, and a table."""

import os
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.rounds import Round
from service.scoring.bundle import Bundle

OURS, NAIVE = "gaugewatch", "naive"
PACKAGES = ("gaugewatch", "fastapi", "uvicorn", "pydantic", "onnxruntime", "numpy", "redis")
FIGURES = (
    "points_per_second",
    "points_per_service_cpu_second",
    "store_cpu_us_per_point",
    "latency_ms_p50",
    "latency_ms_p99",
)


def machine(bundle: Bundle, *, store: str) -> dict[str, Any]:
    """Facts without which the figures say nothing."""
    manifest = bundle.manifest
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "store": store,
        "bundle": bundle.title,
        "dimensions": len(manifest.dimensions),
        "window_length": manifest.window_length,
    }


def summary(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Medians of every load in every mode, and ours over naive."""
    return [
        {
            "durability": durability,
            "load": load,
            OURS: ours,
            NAIVE: naive,
            "ratio": {
                name: ours[name] / naive[name]
                for name in ("points_per_second", "points_per_service_cpu_second")
            },
        }
        for durability, load, ours, naive in _pairs(rounds)
    ]


def tables(rounds: Sequence[Round], facts: dict[str, Any]) -> Iterator[Table]:
    """The medians for a terminal, one table per persistence mode."""
    for durability in dict.fromkeys(one.durability for one in rounds):
        shown = Table(title=f"persistence: {durability} ({facts['store']})", title_justify="left")
        for name in ("load", "service"):
            shown.add_column(name, no_wrap=True)
        for name in ("points\n/s", "points\n/CPU-s", "store µs\n/point", "p50\nms", "p99\nms"):
            shown.add_column(name, justify="right", no_wrap=True)
        for _, load, ours, naive in _pairs([one for one in rounds if one.durability == durability]):
            shown.add_row(load, OURS, *_row(ours))
            shown.add_row("", NAIVE, *_row(naive))
            ratios = (f"{ours[name] / naive[name]:.1f} x" for name in FIGURES[:2])
            shown.add_row("", "ratio", *ratios, style="bold", end_section=True)
        yield shown


def _row(figures: dict[str, float]) -> Iterator[str]:
    for name in FIGURES:
        figure = figures[name]
        yield f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def _pairs(
    rounds: Sequence[Round],
) -> Iterator[tuple[str, str, dict[str, float], dict[str, float]]]:
    for durability, load in dict.fromkeys((one.durability, one.load) for one in rounds):
        chosen = [one for one in rounds if (one.durability, one.load) == (durability, load)]
        ours, naive = ([one for one in chosen if one.service == name] for name in (OURS, NAIVE))
        yield durability, load, _medians(ours), _medians(naive)


def _medians(rounds: Sequence[Round]) -> dict[str, float]:
    figures = {
        name: median(getattr(one, name) for one in rounds)
        for name in FIGURES
        if name != "store_cpu_us_per_point"
    }
    store_us = [1e6 * one.store_cpu_seconds / max(one.points, 1) for one in rounds]
    return figures | {"store_cpu_us_per_point": median(store_us)}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
