"""From the start of the process to ready: our service, the naive one, and Python alone.

    python -m benchmarks.startup

Redis runs already. Ours must be ready without torch, which is looked for among its mapped files.
All take turns; the first turn, with cold files, is left out.
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from msgspec import Struct

from benchmarks.machine import Machine, machine
from benchmarks.rounds import SERVICES
from benchmarks.servers import Durability
from benchmarks.sheet import Sheet, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from service.scoring.bundle import Bundle

RESULTS = Path("benchmarks/results/startup.json")
PERSISTENCE: Durability = "always"
PYTHON, IMPORTS = "Python alone", "imports of Gaugewatch alone"
COMMANDS = {PYTHON: "pass", IMPORTS: "import service.cli.serve, service.web.app"}


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    has_torch: bool  # whether our service had mapped anything of torch
    seconds: dict[str, list[float]]  # by what, one per turn


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    rounds: Annotated[int, typer.Option(min=1, help="Starts of each.")] = 9,
    quick: Annotated[bool, typer.Option("--quick", help="One start of each.")] = False,
) -> None:
    """Measure seconds to ready."""
    rounds = 1 if quick else rounds
    facts, bundle = machine(), chosen_bundle(bundles)
    found: dict[str, list[float]] = {}
    has_torch = False
    for turn in range(rounds + 1):
        for name, seconds, maps in _turn(bundle):
            has_torch |= "torch" in maps
            if turn:
                found.setdefault(name, []).append(seconds)
    result = Result(facts, bundle.title, has_torch, found)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """Seconds by what was started."""
    torch = "with torch loaded, which must not be" if result.has_torch else "without torch"
    yield Sheet(
        name="startup",
        said=f"Seconds from the start of the process until `/readyz` answers 200 with the "
        f"folder of {result.model}, Redis running (persistence: {PERSISTENCE}), {torch}.",
        head=("what", "median", "best", "worst"),
        lines=[
            [name, *(f"{one:.2f}" for one in (median(seconds), min(seconds), max(seconds)))]
            for name, seconds in result.seconds.items()
        ],
    )


def _turn(bundle: Bundle) -> Iterator[tuple[str, float, str]]:
    """What was started, its seconds, and the files it had mapped if it is ours."""
    for name, code in COMMANDS.items():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        yield name, time.perf_counter() - start, ""
    for service in SERVICES:
        with contextlib.ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="gaugewatch-bench-")
            path = Path(stack.enter_context(folder)) / service.__name__
            running = stack.enter_context(service(bundle, PERSISTENCE, path))
            maps = Path(f"/proc/{running.service_pid}/maps").read_text()
            is_ours = running.name == "gaugewatch"
            yield running.name, running.start_seconds, maps if is_ours else ""


if __name__ == "__main__":
    typer.run(main)
