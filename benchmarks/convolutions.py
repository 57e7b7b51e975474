"""The convolutions of SLMR in ONNX Runtime: as Conv and MaxPool, and as the matrices we ship.

    python -m benchmarks.convolutions

The same branch with the same weights, norms folded in both, each in the layout it likes best;
rounds of both take turns on one thread, so that what else the machine does hits both. A point is as
many windows as the service runs for it: every pass, both halves. Fills the table in the page.
"""

import logging
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import figures
from benchmarks.conv_graphs import CONV, DIMENSIONS, OURS, Graph, both_graphs
from trainer.config import SlmrConfig

PAGE = Path("docs/training.md")
RESULTS = Path("benchmarks/results/convolutions.json")
BATCHES = (16, 64, 256)  # points
PACKAGES = ("onnxruntime", "onnx", "torch", "numpy")
Feed = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Round:
    """What one round showed."""

    batch: int
    graph: str
    points_per_second: float


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    rounds: Annotated[int, typer.Option(min=1, help="Of every graph and batch.")] = 21,
    seconds: Annotated[float, typer.Option(min=0.01, help="Length of a round.")] = 0.1,
    quick: Annotated[bool, typer.Option("--quick", help="One short round of each.")] = False,
) -> None:
    """Measure points per second through either graph."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    if quick:
        rounds, seconds = 1, 0.02
    facts = _machine()
    graphs = both_graphs()
    found: list[Round] = []
    for batch in BATCHES:
        found += _measured(graphs, batch, rounds=rounds, seconds=seconds)
    nodes = {name: graph.nodes for name, graph in graphs.items()}
    result = {"machine": facts, "nodes": nodes, "summary": _summary(found), "rounds": found}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if not quick:
        PAGE.write_text(filled(PAGE.read_text(), result))
    console = Console()
    console.print(_table(_summary(found)))
    console.print(f"one core of {facts['cpu']}; all rounds: {output}", soft_wrap=True)


def filled(text: str, result: dict[str, Any]) -> str:
    """The page with its figures up to date."""
    return figures.filled(text, lambda _: _lines(result))


def _lines(result: dict[str, Any]) -> Iterator[str]:
    conv, ours = (f"({result['nodes'][name]} nodes)" for name in (CONV, OURS))
    yield f"| points at once | as `Conv` and `MaxPool` {conv} | as matrices {ours} | ratio |"
    yield "|---:|---:|---:|---:|"
    for one in result["summary"]:
        rates = (f"{one[name]:,.0f}" for name in (CONV, OURS))
        yield f"| {one['batch']} | {' | '.join(rates)} | {one['ratio']:.1f} |"


def _measured(
    graphs: Mapping[str, Graph],
    batch: int,
    *,
    rounds: int,
    seconds: float,
) -> list[Round]:
    feeds: dict[str, Feed] = {}
    for name, (session, _) in graphs.items():
        [taken] = session.get_inputs()
        shape = [size if isinstance(size, int) else batch for size in taken.shape]
        feeds[name] = {"halves": np.random.default_rng(0).normal(size=shape).astype(np.float32)}
        session.run(None, feeds[name])
    return [
        Round(batch, name, batch * _calls_per_second(session, feeds[name], seconds=seconds))
        for _ in range(rounds)
        for name, (session, _) in graphs.items()
    ]


def _calls_per_second(session: ort.InferenceSession, feed: Feed, *, seconds: float) -> float:
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not calls:
        session.run(None, feed)
        calls += 1
    return calls / elapsed


def _summary(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Medians of every batch, and the median of the ratios of neighbouring rounds."""
    found = []
    for batch in BATCHES:
        ours, conv = (
            [one.points_per_second for one in rounds if (one.batch, one.graph) == (batch, graph)]
            for graph in (OURS, CONV)
        )
        ratio = median(one / other for one, other in zip(ours, conv, strict=True))
        found.append({"batch": batch, OURS: median(ours), CONV: median(conv), "ratio": ratio})
    return found


def _table(summary: Sequence[Mapping[str, Any]]) -> Table:
    shown = Table(title="SLMR's convolutions, points/s", title_justify="left")
    for name in ("batch", CONV, OURS, "ratio"):
        shown.add_column(name, justify="right")
    for one in summary:
        cells = [f"{one[name]:,.0f}" for name in ("batch", CONV, OURS)]
        shown.add_row(*cells, f"{one['ratio']:.2f} x")
    return shown


def _machine() -> dict[str, Any]:
    """Facts without which the figures say nothing."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": names[0] if names else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_at_start": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "dimensions": DIMENSIONS,
        "model": SlmrConfig().model_dump(include={"window_length", "conv_groups", "dilations"}),
    }


if __name__ == "__main__":
    typer.run(main)
