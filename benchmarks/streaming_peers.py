"""Streaming detectors that learn as they score, in process, beside our fold in process.

    python -m benchmarks.streaming_peers

River and pysad live in an environment of their own, made by pip for this run (or given by
`--python`); without one they are left out, and it is said. All score the same rows on one core and
take turns. Ours gives verdicts with contributions per dimension, theirs one number per point.
Nothing is kept anywhere, so there is no persistence mode.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from msgspec import Struct

from benchmarks.environments import NoEnvironment, beside_peers
from benchmarks.fleets import FIRST_MS, PERIOD_MS, values_of
from benchmarks.machine import Machine, machine
from benchmarks.peer_worker import PEERS
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.shipped import BUNDLES, chosen_bundle
from service.scoring.bundle import Bundle
from service.scoring.fold import Fold, Points

RESULTS = Path("benchmarks/results/streaming_peers.json")
PACKAGES = ("river==0.26.1", "pysad==0.7.0")
WORKER = Path(__file__).parent / "peer_worker.py"
ROWS, BATCHES = 2048, (1, 32, 512)
TITLES = {
    "river-half-space-trees": "river HalfSpaceTrees, 10 trees, height 8",
    "pysad-loda": "pysad LODA",
    **{f"gaugewatch-{batch}": f"Gaugewatch, fold, {batch} at a time" for batch in BATCHES},
}


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    model: str
    skipped: str  # why the peers are missing; "": they are not
    points_per_second: dict[str, list[float]]  # by who, one per round


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    bundles: Annotated[Path, typer.Option(help="Folder of bundles.")] = BUNDLES,
    python: Annotated[Path | None, typer.Option(help="One that has river and pysad.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Of each.")] = 7,
    seconds: Annotated[float, typer.Option(min=0.05, help="Length of a turn.")] = 1.0,
    quick: Annotated[bool, typer.Option("--quick", help="One short round, no download.")] = False,
) -> None:
    """Measure points per second in process."""
    rounds, seconds = (1, 0.1) if quick else (rounds, seconds)
    facts, bundle = machine(), chosen_bundle(bundles)
    measure = partial(_measured, bundle, rounds=rounds, seconds=seconds)
    found, skipped = beside_peers(measure, PACKAGES, python=python, downloads=not quick)
    result = Result(facts, bundle.title, skipped, found)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """Points per second by who."""
    medians = {name: median(rates) for name, rates in result.points_per_second.items()}
    best = max(medians.get(f"gaugewatch-{batch}", 0.0) for batch in BATCHES)
    missing = f" The peers are missing: {result.skipped}." if result.skipped else ""
    yield Sheet(
        name="streaming-peers",
        said="In process on one core, no HTTP and no store (persistence: none), the same rows; "
        f"points per second ({result.model}).{missing}",
        head=("who", "points/s", "our best over it"),
        lines=[
            [TITLES[name], figure(rate), f"{best / rate:.2g}"] for name, rate in medians.items()
        ],
    )


def _measured(
    bundle: Bundle, python: Path | None, *, rounds: int, seconds: float
) -> dict[str, list[float]]:
    values = values_of(bundle, ROWS)
    low, high = values.min(axis=0), values.max(axis=0)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="gaugewatch-bench-") as folder:
        rows = Path(folder) / "rows.npy"
        np.save(rows, (values - low) / (high - low))  # HalfSpaceTrees expects 0 to 1
        for _ in range(rounds):
            for peer in PEERS if python is not None else ():
                found.setdefault(peer, []).append(_peer(python, peer, rows, seconds=seconds))
            for batch in BATCHES:
                rate = _ours(bundle, values, batch, seconds=seconds)
                found.setdefault(f"gaugewatch-{batch}", []).append(rate)
    return found


def _peer(python: Path | None, peer: str, rows: Path, *, seconds: float) -> float:
    words = [str(python), str(WORKER), peer, str(rows), str(seconds)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(words, capture_output=True, text=True, env=one_thread)
    if ended.returncode:
        raise NoEnvironment(ended.stderr.strip()[-500:])
    return float(ended.stdout)


def _ours(bundle: Bundle, values: np.ndarray, batch: int, *, seconds: float) -> float:
    """Points of distinct entities, so many at a time, through the whole fold."""
    fold, index = Fold(bundle), np.zeros(batch, np.int64)
    states, rows, time_ms, points = fold.fresh(index), values.astype(np.float32), FIRST_MS, 0
    states["model"]["have"] = fold.need
    starts = range(0, ROWS - batch + 1, batch)
    states, _ = fold.step(states, Points(index, np.full(batch, time_ms), rows[:batch]))
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for first in starts:
            time_ms += PERIOD_MS
            now = np.full(batch, time_ms, np.int64)
            states, _ = fold.step(states, Points(index, now, rows[first : first + batch]))
            points += batch
    return points / elapsed


if __name__ == "__main__":
    typer.run(main)
