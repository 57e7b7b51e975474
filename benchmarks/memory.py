"""How much memory a fit takes at most, from file to report: the whole command, alone.

    python -m benchmarks.memory --folder build/memory

Memory does not depend on how long a network learns, so it learns for some updates only; every row
goes through closed forms, calibration and report. Models that have an answer below `--folder` are
not run again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import numpy as np
import numpy.typing as npt
import typer
from msgspec import Struct

from benchmarks.machine import Machine, machine
from benchmarks.sheet import Sheet, keep, show
from trainer.config import CONFIGS, Model, NetworkConfig

RESULTS = Path("benchmarks/results/memory.json")
FOLDER = Path("build/memory")
MODELS: tuple[Model, ...] = ("blind_spot", "gru_vae", "slmr", "usad", "mtad_gat", "pca")
DIMENSIONS, PIECE = 38, 50_000
BOUND_MIB = 2_048
EVENT_EVERY, EVENT_POINTS = 3_000, 60  # of the test half
FEW = ("--epochs", "1", "--set", "epoch_steps=20")

Rows = npt.NDArray[np.float32]


class Peak(Struct, frozen=True):
    """What one command took."""

    model: str
    rows: int
    mib: float
    seconds: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    rows: int
    test_rows: int
    peaks: list[Peak]


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    folder: Annotated[Path, typer.Option(help="Of data, bundles and single answers.")] = FOLDER,
    rows: Annotated[int, typer.Option(min=1_000, help="Of the training half.")] = 1_000_000,
    test_rows: Annotated[int, typer.Option(min=1_000)] = 20_000,
    only: Annotated[list[str] | None, typer.Option(help="Models; repeat for more.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few rows, one model.")] = False,
) -> None:
    """Measure what has no answer yet; then write all of them."""
    chosen = _models(("pca",) if quick else only)
    rows, test_rows = (2_000, 1_000) if quick else (rows, test_rows)
    folder = output.parent / "memory" if quick else folder
    folder.mkdir(parents=True, exist_ok=True)
    facts, data = machine(), folder / f"waves-{rows}-{test_rows}.npz"
    if not data.is_file():
        write_waves(data, rows=rows, test_rows=test_rows)
    for model in chosen:
        _answer(model, data, rows=rows)
    places = [_place(data, model, rows) for model in get_args(Model)]
    known = [place for place in places if place.is_file()]
    peaks = [msgspec.json.decode(place.read_bytes(), type=Peak) for place in known]
    result = Result(facts, rows, test_rows, peaks)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def _models(only: tuple[str, ...] | list[str] | None) -> list[Model]:
    if unknown := set(only or ()) - set(get_args(Model)):
        raise typer.BadParameter(f"expected models, got {sorted(unknown)}")
    return [model for model in get_args(Model) if model in (only or MODELS)]


def write_waves(path: Path, *, rows: int, test_rows: int) -> None:
    """Waves and noise in all dimensions, some of them off in the events of the test half."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(3, DIMENSIONS))
    train = _waves(random, mixing, 0, rows)
    test = _waves(random, mixing, rows, test_rows)
    label = np.arange(test_rows) % EVENT_EVERY >= EVENT_EVERY - EVENT_POINTS
    test[label, :3] += 1.5
    draft = path.with_suffix(".draft.npz")
    np.savez(draft, train=train, test=test, label=label)
    draft.replace(path)


def _waves(random: np.random.Generator, mixing: npt.NDArray[np.float64], at: int, n: int) -> Rows:
    values = np.empty((n, DIMENSIONS), np.float32)
    for start in range(0, n, PIECE):
        part = values[start : start + PIECE]
        times = np.arange(at + start, at + start + len(part))[:, None]
        waves = np.sin(times / np.array([9.0, 31.0, 500.0])) @ mixing
        part[:] = waves + 0.1 * random.normal(size=part.shape)
    return values


def _answer(model: Model, data: Path, *, rows: int) -> None:
    place = _place(data, model, rows)
    if not place.is_file():
        found = measured(model, data, rows=rows)
        keep(place, found)
        print(f"{model}: {found.mib:,.0f} MiB, {found.seconds:.0f} s", flush=True)


def _place(data: Path, model: str, rows: int) -> Path:
    return data.with_name(f"{model}-{rows}.json")


def measured(model: Model, data: Path, *, rows: int) -> Peak:
    """The peak of `gaugewatch-trainer fit` as it is, in a process of its own."""
    words = ["fit", "--data", str(data), "--output", str(data.with_name("bundles"))]
    words += ["--name", model, "--period-seconds", "60", "--model", model, "--quiet"]
    words += FEW if issubclass(CONFIGS[model], NetworkConfig) else ()
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "trainer.cli", *words])
    _, status, used = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{model}: the fit ended with {code}")
    return Peak(model, rows, used.ru_maxrss / 1024, time.monotonic() - started)


def sheets(result: Result) -> Iterator[Sheet]:
    """Of every model the peak."""
    yield Sheet(
        name="memory",
        said=f"Most memory that `gaugewatch-trainer fit` held of {result.rows:,} points to train "
        f"on and {result.test_rows:,} to test on, {DIMENSIONS} dimensions, presets small, from "
        "file to report: peak of the resident set of the process, everything included. No store "
        "(persistence: none).",
        head=("model", "MiB", f"of {BOUND_MIB:,}"),
        lines=[
            [one.model, f"{one.mib:,.0f}", f"{one.mib / BOUND_MIB:.0%}"] for one in result.peaks
        ],
    )


if __name__ == "__main__":
    typer.run(main)
