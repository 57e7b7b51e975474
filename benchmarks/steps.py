"""One point through the step graph against the whole window through the window graph.

    python -m benchmarks.steps

The same GRU-VAE in ONNX Runtime on one thread, in the size of OmniAnomaly (Su et al., KDD 2019) and
in our preset `small`; beside them `step.int8.onnx` and a plain matrix product, all taking turns.
Nothing is kept anywhere, so there is no persistence mode.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from msgspec import Struct

from benchmarks.machine import Machine, gemm, machine
from benchmarks.sheet import Sheet, figure, keep, show
from benchmarks.step_graphs import Graphs, feed_of, graphs_of
from trainer.config import Preset

RESULTS = Path("benchmarks/results/steps.json")
SIZES: tuple[Preset, ...] = ("paper", "small")
BATCHES = (1, 8, 32, 128, 256)
GEMM_SIZE = 1024
TITLES = {"paper": "OmniAnomaly", "small": "preset small"}


class Round(Struct, frozen=True):
    """What one turn of all graphs showed, in points per second."""

    size: str
    batch: int
    step: float
    int8: float
    window: float
    gemm_gflops: float


class Model(Struct, frozen=True):
    """What was measured of a model beside its speed."""

    size: str
    hidden: int
    window_length: int
    step_flops: int
    precision: dict[str, float]


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    epochs: int
    models: list[Model]
    rounds: list[Round]


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    rounds: Annotated[int, typer.Option(min=1, help="Of every graph and batch.")] = 15,
    seconds: Annotated[float, typer.Option(min=0.01, help="Length of a turn, at least.")] = 0.2,
    epochs: Annotated[int, typer.Option(min=0, help="Of training, before int8 is judged.")] = 2,
    quick: Annotated[bool, typer.Option("--quick", help="One short round, preset small.")] = False,
) -> None:
    """Measure points per second through the graphs."""
    sizes = SIZES[1:] if quick else SIZES
    rounds, seconds = (1, 0.02) if quick else (rounds, seconds)
    facts = machine()
    models: list[Model] = []
    found: list[Round] = []
    for size in sizes:
        graphs = graphs_of(size, epochs=0 if quick else epochs)
        models.append(
            Model(size, graphs.hidden, graphs.window_length, graphs.step_flops, graphs.precision)
        )
        for batch in BATCHES:
            found += _measured(graphs, size, batch, rounds=rounds, seconds=seconds)
    result = Result(facts, 0 if quick else epochs, models, found)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def sheets(result: Result) -> Iterator[Sheet]:
    """Points per second, and what int8 costs."""
    for model in result.models:
        rounds = [one for one in result.rounds if one.size == model.size]
        yield _speed(model, rounds)
    yield _precision(result)


def _speed(model: Model, rounds: Sequence[Round]) -> Sheet:
    lines = []
    for batch in dict.fromkeys(one.batch for one in rounds):
        own = [one for one in rounds if one.batch == batch]
        rates = [median(_of(own, name)) for name in ("window", "step", "int8")]
        share = median(one.step * model.step_flops / 1e9 / one.gemm_gflops for one in own)
        lines.append(
            [
                str(batch),
                *map(figure, rates),
                f"{median(one.step / one.window for one in own):.1f}",
                f"{median(one.int8 / one.step for one in own):.2f}",
                f"{share:.0%}",
            ]
        )
    best = [max(median(_of(rounds, n, b)) for b in BATCHES) for n in ("window", "step", "int8")]
    lines.append(
        ["best", *map(figure, best), f"{best[1] / best[0]:.1f}", f"{best[2] / best[1]:.2f}", ""]
    )
    return Sheet(
        name=f"steps-{model.size}",
        said=f"GRU-VAE, {TITLES[model.size]}: hidden {model.hidden}, window {model.window_length}, "
        f"{model.step_flops / 1e6:.3g} MFLOP per step; points per second on one thread, no store "
        "(persistence: none). The share is of the fp32 matrix product of the same round.",
        head=("batch", "window", "step", "int8 step", "step / window", "int8 / step", "GEMM share"),
        lines=lines,
    )


def _precision(result: Result) -> Sheet:
    return Sheet(
        name="steps-int8",
        said="int8 against float32 on the same calibration rows of a series that was made, after a "
        f"training of {result.epochs} epochs, each carrying its own state: differences of the mean "
        "scaled error, flags at each one's own 99 % quantile.",
        head=("model", "p99 difference, IQR", "flags that flip", "alone against in a batch"),
        lines=[
            [
                TITLES[model.size],
                f"{model.precision['int8_p99_iqr']:.3f}",
                f"{model.precision['int8_flips']:.2%}",
                f"{model.precision['int8_batch']:.2g}",
            ]
            for model in result.models
        ],
    )


def _of(rounds: Sequence[Round], name: str, batch: int | None = None) -> list[float]:
    return [getattr(one, name) for one in rounds if batch in (None, one.batch)]


def _measured(
    graphs: Graphs, size: str, batch: int, *, rounds: int, seconds: float
) -> Iterator[Round]:
    product, square = gemm(GEMM_SIZE)
    feeds = [(session, feed_of(session, batch)) for session in graphs[:3]]
    turns = [_turn(session.run, feed) for session, feed in feeds]
    multiply = _turn(product.run, square)
    for turn in (*turns, multiply):
        turn()
    for _ in range(rounds):
        step, int8, window = (batch * _calls_per_second(turn, seconds) for turn in turns)
        gflops = _calls_per_second(multiply, seconds) * 2 * GEMM_SIZE**3 / 1e9
        yield Round(size, batch, step=step, int8=int8, window=window, gemm_gflops=gflops)


def _turn(run: Callable[[None, object], object], feed: object) -> Callable[[], object]:
    return lambda: run(None, feed)


def _calls_per_second(call: Callable[[], object], seconds: float) -> float:
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not calls:
        call()
        calls += 1
    return calls / elapsed


if __name__ == "__main__":
    typer.run(main)
