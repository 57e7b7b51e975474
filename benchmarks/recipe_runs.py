"""One run of a paper's recipe on one entity: within a bound of time, measured beside the floors."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from service.scoring.series import Series
from trainer.attended import Tell
from trainer.config import Config, NetworkConfig
from trainer.datasets import Halves, Reader, to_train_on
from trainer.fit import fit
from trainer.recipe import Source, configured, of_file
from trainer.run import Order, examine, make
from trainer.training import Progress

CONFIGS = Path("configs")
ROWS = ("bundle", "random", "pca")
KEPT = ("point_adjusted_f1", "average_precision", "vus_pr", "composite_f1")
TRIED = 4  # updates that are timed; the first one warms up


class Recipe(NamedTuple):
    """A configuration and the entities it is run on."""

    name: str  # of the file in `configs/`
    folder: str  # of the data
    entities: tuple[str, ...]
    period_seconds: float = 60.0
    changes: dict[str, dict[str, object]] = {}  # noqa: RUF012  entity -> knobs; never written to


class Run(Struct, frozen=True):
    """What one run showed."""

    recipe: str
    entity: str
    updates: int
    updates_asked: int
    seconds: float  # of fit, export, calibration and scoring
    changes: dict[str, str | int | float]
    measures: dict[str, dict[str, float]]  # row -> measure -> value


class Limits(NamedTuple):
    """What a run may take."""

    minutes: float  # of training
    epochs: int | None = None  # instead of those of the recipe


class Pace(NamedTuple):
    """How long training takes."""

    update_seconds: float
    validation_seconds: float
    epoch_steps: int  # of an epoch over all windows

    def affordable(self, config: NetworkConfig, *, seconds: float) -> int:
        """Updates in so many seconds, with their validations; at least one."""
        every = min(config.validate_steps or self.epoch_steps, self.epoch_steps)
        one = self.update_seconds + self.validation_seconds / every
        return max(1, math.floor((seconds - 2 * self.validation_seconds) / one))


def run(recipe: Recipe, entity: str, *, data: Path, output: Path, limits: Limits) -> Run:
    """Fit, export, calibrate, score and measure; the training is cut to its limits beforehand."""
    started, changes = time.monotonic(), dict(recipe.changes.get(entity, {}))
    halves = halves_of(recipe, entity, data)
    asked = config_of(recipe, changes)
    config, updates, wanted = within(asked, halves.train, limits)
    order = Order(config, f"{recipe.name}-{entity.lower()}", output, recipe.period_seconds)
    bundle = make(order, halves.train, _silent)
    rows = examine(bundle, halves, _silent).evaluation.rows
    measures = {
        row: {name: rows[row][name] for name in KEPT if name in rows[row]}
        for row in ROWS
        if row in rows
    }
    told = {key: value for key, value in changes.items() if isinstance(value, str | int | float)}
    seconds = time.monotonic() - started
    return Run(recipe.name, entity, updates, wanted, seconds, told, measures)


def halves_of(recipe: Recipe, entity: str, data: Path) -> Halves:
    """Both halves of one entity."""
    path = data / recipe.folder / f"{entity}.npz"
    return to_train_on(Reader(recipe.period_seconds, None, None, None, _ignore, {}), path)


def config_of(recipe: Recipe, changes: dict[str, object]) -> NetworkConfig:
    """As the file has it, on one thread, with a few knobs changed."""
    file = of_file(CONFIGS / f"{recipe.name}.toml")
    config: Config = configured(Source({"threads": 1, **changes}), file=file)
    assert isinstance(config, NetworkConfig)
    return config


def within(
    config: NetworkConfig, series: Sequence[Series], limits: Limits
) -> tuple[NetworkConfig, int, int]:
    """The configuration cut to the limits, the updates it has, and those the recipe asks for.

    Whole epochs where one fits, else a part of the first: the rates of learning that fall with
    epochs fall where they would.
    """
    pace = paced(config, series)
    wanted = config.epochs * pace.epoch_steps
    epochs = config.epochs if limits.epochs is None else limits.epochs
    updates = min(epochs * pace.epoch_steps, pace.affordable(config, seconds=60 * limits.minutes))
    epochs = max(1, updates // pace.epoch_steps)
    steps = min(pace.epoch_steps, updates)
    cut = config.model_copy(update={"epochs": epochs, "epoch_steps": steps})
    return cut, epochs * steps, wanted


def paced(config: NetworkConfig, series: Sequence[Series]) -> Pace:
    """Time a few updates and the validation behind them."""
    ticks: list[float] = []

    def watch(progress: Progress) -> None:  # noqa: ARG001  only when it came
        ticks.append(time.monotonic())

    whole = fit(series, config.model_copy(update={"epochs": 0})).config
    assert isinstance(whole, NetworkConfig)
    tried = config.model_copy(update={"epochs": 1, "epoch_steps": TRIED})
    fit(series, tried, on_progress=watch)
    per_update = (ticks[TRIED - 1] - ticks[0]) / (TRIED - 1)
    return Pace(per_update, ticks[-1] - ticks[TRIED - 1], whole.epoch_steps)


def _silent(title: str, *, total: float | None) -> Tell:  # noqa: ARG001  nobody watches
    return _unheard


def _unheard(completed: float, detail: str = "") -> None:
    """Nobody watches."""


def _ignore(text: str) -> None:
    """Nobody reads."""
