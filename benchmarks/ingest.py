"""`make bench`: points per second of our service beside a naive one, in one run.

Rounds of both take turns, so that what else the machine does hits both. Each persistence mode is
measured by itself.
"""

import tempfile
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.report import machine, summary, tables
from benchmarks.rounds import LOADS, SERVICES, Round, measured
from benchmarks.servers import Durability
from benchmarks.shipped import chosen_bundle
from benchmarks.stores import store_version
from service.scoring.bundle import Bundle

RESULTS = Path("benchmarks/results/ingest.json")


def main(
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = Path("exported_models"),
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    rounds: Annotated[int, typer.Option(min=1, help="Of every load and service.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of a round.")] = 4.0,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of each.")] = False,
) -> None:
    """Measure points per second beside a naive service."""
    if quick:
        rounds, seconds = 1, 0.4
    bundle = chosen_bundle(bundles)
    facts = machine(bundle, store=store_version())
    found = _measured(bundle, rounds=rounds, seconds=seconds)
    result = {"machine": facts, "summary": summary(found), "rounds": found}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    console = Console()
    for table in tables(found, facts):
        console.print(table)
    cores, cpu, dimensions = facts["cores"], facts["cpu"], facts["dimensions"]
    console.print(
        f"{bundle.title}, {dimensions} dimensions, {cores} cores of {cpu}", highlight=False
    )
    console.print(f"all rounds: {output}", soft_wrap=True)


def _measured(bundle: Bundle, *, rounds: int, seconds: float) -> list[Round]:
    modes = get_args(Durability)
    total = len(modes) * len(LOADS) * len(SERVICES) * rounds
    found = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rounds", total=total)
        for durability in modes:
            with tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as folder:
                for one in measured(
                    bundle, durability, Path(folder), rounds=rounds, seconds=seconds
                ):
                    found.append(one)
                    progress.advance(task)
    return found


if __name__ == "__main__":
    typer.run(main)
