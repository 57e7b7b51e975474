"""How fast networks learn: along lanes against single windows, and against the usual loop.

    python -m benchmarks.training

The GRU-VAE learns in two ways: by the recipe of OmniAnomaly (Su et al., KDD 2019), every window of
100 from the zero state at stride 1 in batches of 50, and along 32 lanes of 25 points with a
carried state. Network, weights at the start, input, loss, optimiser and learning rate are the same,
and they take turns of equal length. One thread; seconds are of the processor.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from msgspec import Struct
from rich.progress import track

from benchmarks.machine import Machine, machine
from benchmarks.plain_loops import ours_per_second, plain_per_second
from benchmarks.pupils import Judge, Pupil, prepared, seen_rows, series
from benchmarks.sheet import Sheet, figure, keep, show
from service.scoring.series import Series
from trainer.config import GruVaeConfig, Model, preset

RESULTS = Path("benchmarks/results/training.json")
POINTS = 28_479  # as many as a machine of SMD has
LANES, STEPS = 32, 25
SMALL: dict[str, object] = {"hidden": 48, "dense": 48, "latent": 8, "flows": 4}
SIZES: dict[str, dict[str, object]] = {"paper": {}, "small": SMALL}
TITLES = {"paper": "OmniAnomaly (hidden 500)", "small": "small (hidden 48)"}
MODELS: tuple[Model, ...] = (
    "blind_spot",
    "slmr",
    "vae_lstm",
    "rvae",
    "lstm_vae",
    "usad",
    "mtad_gat",
    "dagmm",
    "mad_gan",
)


class Way(Struct, frozen=True):
    """How far one way of learning is after a turn."""

    update_seconds: float  # in this turn
    epoch_seconds: float  # one pass over all rows, scaled from the updates of this turn
    updates: int  # since the start
    seconds: float  # since the start
    carried_loss: float  # held out, runs of 500 points
    window_loss: float  # held out, single windows


class Turn(Struct, frozen=True):
    """What one turn of both ways showed."""

    size: str
    windows: Way
    lanes: Way


class Loops(Struct, frozen=True):
    """Updates per second in one turn of both loops."""

    model: str
    ours: float
    plain: float


class Result(Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    points: int
    turns: list[Turn]
    loops: list[Loops]


def main(
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = RESULTS,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each way and size.")] = 90.0,
    turns: Annotated[int, typer.Option(min=1, help="That these are cut into.")] = 6,
    updates: Annotated[int, typer.Option(min=1, help="Of a loop in a turn.")] = 200,
    quick: Annotated[bool, typer.Option("--quick", help="One short turn, size small.")] = False,
) -> None:
    """Measure how fast networks learn."""
    torch.set_num_threads(1)
    sizes = list(SIZES)[1:] if quick else list(SIZES)
    points = 2_000 if quick else POINTS
    seconds, turns, updates = (0.2, 1, 3) if quick else (seconds, turns, updates)
    facts, data = machine(), series(points)
    learned = [
        turn for size in sizes for turn in _turns(data, size, seconds=seconds / turns, count=turns)
    ]
    loops = [
        one
        for model in track(MODELS, "loops")
        for one in _loops(data, model, updates=updates, count=turns)
    ]
    result = Result(facts, points, learned, loops)
    keep(output, result)
    show(output, list(sheets(result)), machine=facts.line)


def _turns(data: Series, size: str, *, seconds: float, count: int) -> Iterator[Turn]:
    base = preset("omnianomaly", model="gru_vae", threads=1, **SIZES[size])
    lanes = base.model_copy(update={"lesson": "lanes", "lanes": LANES, "tbptt_steps": STEPS})
    pupils = Pupil(data, base), Pupil(data, lanes)
    judge = Judge(pupils[0].fitted, _gru_vae(pupils[0]))
    rows = len(seen_rows(pupils[0].fitted))
    for _ in range(count):
        windows, along = (_way(pupil, judge, rows, seconds=seconds) for pupil in pupils)
        yield Turn(size, windows, along)


def _way(pupil: Pupil, judge: Judge, rows: int, *, seconds: float) -> Way:
    each = pupil.learn(seconds)
    config = _gru_vae(pupil)
    epoch = rows / (config.lanes * config.tbptt_steps)
    if config.lesson == "windows":
        epoch = math.ceil((rows - config.window_length + 1) / config.batch)
    carried, window = judge.losses(pupil.lesson.network)
    return Way(each, each * epoch, pupil.updates, pupil.seconds, carried, window)


def _gru_vae(pupil: Pupil) -> GruVaeConfig:
    config = pupil.lesson.config
    if not isinstance(config, GruVaeConfig):
        raise TypeError(f"expected a GRU-VAE, got {config.model}")
    return config


def _loops(data: Series, model: Model, *, updates: int, count: int) -> Iterator[Loops]:
    config = preset("small", model=model, epochs=1, epoch_steps=updates + 1)
    for _ in range(count):
        ours = ours_per_second(prepared(data, config))
        yield Loops(model, ours, plain_per_second(prepared(data, config), updates=updates))


def sheets(result: Result) -> Iterator[Sheet]:
    """Seconds of an epoch, losses at equal time, updates per second."""
    sizes = list(dict.fromkeys(one.size for one in result.turns))
    turns = {size: [one for one in result.turns if one.size == size] for size in sizes}
    yield _epochs(result, turns)
    yield _losses(turns)
    yield _updates(result)


def _epochs(result: Result, turns: dict[str, list[Turn]]) -> Sheet:
    return Sheet(
        name="training-epochs",
        said="One pass of the GRU-VAE over all rows that are fitted (of a series of "
        f"{result.points:,} points and 38 dimensions), seconds on one thread, median of the turns; "
        "no store (persistence: none). Passes over windows are scaled from the updates that fit "
        "in a turn.",
        head=("size", "windows of 100, stride 1, batch 50", f"{LANES} lanes of {STEPS}", "ratio"),
        lines=[
            [
                TITLES[size],
                figure(median(one.windows.epoch_seconds for one in own)),
                figure(median(one.lanes.epoch_seconds for one in own)),
                f"{median(_ratio(own)):.0f} ({min(_ratio(own)):.0f} to {max(_ratio(own)):.0f})",
            ]
            for size, own in turns.items()
        ],
    )


def _ratio(turns: Sequence[Turn]) -> list[float]:
    return [one.windows.epoch_seconds / one.lanes.epoch_seconds for one in turns]


def _losses(turns: dict[str, list[Turn]]) -> Sheet:
    return Sheet(
        name="training-losses",
        said="Held-out loss of the same network after equal time (negative lower bound per point, "
        "lower is better): over runs of 500 points whose state is carried, as when serving, and "
        "over single windows of 100 from the zero state, as the recipe has it.",
        head=("size", "way", "seconds", "updates", "passes", "carried", "windows"),
        lines=[
            [
                TITLES[size],
                name,
                figure(way.seconds),
                f"{way.updates:,}",
                figure(way.updates * way.update_seconds / way.epoch_seconds),
                f"{way.carried_loss:.2f}",
                f"{way.window_loss:.2f}",
            ]
            for size, own in turns.items()
            for one in _shown(own)
            for name, way in (("windows", one.windows), ("lanes", one.lanes))
        ],
    )


def _shown(turns: list[Turn]) -> list[Turn]:
    """After a third of the time, and at the end."""
    return list({one.lanes.updates: one for one in (turns[len(turns) // 3], turns[-1])}.values())


def _updates(result: Result) -> Sheet:
    models = list(dict.fromkeys(one.model for one in result.loops))
    loops = {model: [one for one in result.loops if one.model == model] for model in models}
    return Sheet(
        name="training-loops",
        said="Updates per second on one thread, preset small: the trainer with its checks and "
        "progress against a plain PyTorch loop over a DataLoader of window copies; the same "
        "network, loss, optimiser and batch. Median of the turns.",
        head=("model", "trainer", "plain loop", "ratio"),
        lines=[
            [
                model,
                figure(median(one.ours for one in own)),
                figure(median(one.plain for one in own)),
                f"{median(one.ours / one.plain for one in own):.2f}",
            ]
            for model, own in loops.items()
        ],
    )


if __name__ == "__main__":
    typer.run(main)
