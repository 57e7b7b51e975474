"""Networks that learn in turns, each update timed by the processor time of this process.

Processor time and not the clock: others may use the machine meanwhile. With one thread on an idle
machine the two are the same.
"""

import math
import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from service.scoring.series import FloatArray, Series
from trainer.config import Config, GruVaeConfig
from trainer.fit import fit
from trainer.fitted import Fitted
from trainer.lesson import Lesson
from trainer.lessons import lesson_of
from trainer.models.gru_vae import GruVae
from trainer.models.gru_vae_lesson import held_out_loss
from trainer.schedule import optimiser_of
from trainer.windows import Rows, in_batches

PERIOD_MS = 60_000
DIMENSIONS, LATENT = 38, 8
CARRIED_STEPS = 500  # of a run whose state is carried


class Pupil:
    """A lesson under its optimiser at a constant rate, as far as it has come."""

    def __init__(self, series: Series, config: Config) -> None:
        self.fitted = prepared(series, config)
        self.lesson = lesson_for(self.fitted)
        self.updates, self.seconds = 0, 0.0
        self._optimiser = optimiser_of(self.lesson.network.parameters(), self.lesson.config)

    def learn(self, seconds: float) -> float:
        """Update for so long, at least once; returns the seconds of an update."""
        self.lesson.network.train()
        before, start, taken = self.updates, time.process_time(), 0.0
        while taken < seconds or self.updates == before:
            self._update()
            taken = time.process_time() - start
        self.seconds += taken
        return taken / (self.updates - before)

    def _update(self) -> None:
        self.updates += 1
        loss = self.lesson.next_loss(self.updates)
        self._optimiser.zero_grad()
        loss.value.backward()  # type: ignore[no-untyped-call]
        limit = self.lesson.config.gradient_norm or math.inf
        torch.nn.utils.clip_grad_norm_(self.lesson.network.parameters(), limit)
        self._optimiser.step()


def prepared(series: Series, config: Config) -> Fitted:
    """Closed-form parts and seeded initial weights, for a training by `config`."""
    blank = fit([series], config.model_copy(update={"epochs": 0}))
    told = blank.config.model_copy(update={"epochs": config.epochs})
    return replace(blank, config=told)


def lesson_for(fitted: Fitted) -> Lesson:
    """What the network learns by its configuration."""
    lesson = lesson_of(fitted)
    if lesson is None:
        raise ValueError(f"expected a network, got {fitted.config.model}")
    return lesson


def seen_rows(fitted: Fitted) -> FloatArray:
    """Clipped scaled rows (time, dimension) of the fit part."""
    return fitted.linear.scaling.clipped(fitted.rows(1)[fitted.splits[0].fit], 1)


class Judge:
    """Held-out rows of one series, on which every GRU-VAE is judged in the same way."""

    def __init__(self, fitted: Fitted, config: GruVaeConfig) -> None:
        part = fitted.splits[0].validation
        clipped = fitted.linear.scaling.clipped(fitted.rows(1)[part], 1)
        rows: Rows = fitted.residual(clipped).astype(np.float32)
        self._config = config
        self._carried = in_batches([rows], steps=CARRIED_STEPS)
        self._windows = in_batches([rows], steps=config.window_length)

    @torch.no_grad()
    def losses(self, network: object) -> tuple[float, float]:
        """Negative lower bound per point: over runs of 500 points, and over single windows."""
        if not isinstance(network, GruVae):
            raise TypeError(f"expected a GRU-VAE, got {type(network)}")
        network.eval()
        return self._loss(network, self._carried), self._loss(network, self._windows)

    def _loss(self, network: GruVae, runs: list[Tensor]) -> float:
        return held_out_loss(network, runs, self._config)


def series(points: int) -> Series:
    """One entity in the size of a machine of SMD: mixed processes, rhythms and noise."""
    random = np.random.default_rng(0)
    walks = random.normal(size=(points, LATENT)).cumsum(axis=0) / np.sqrt(points)
    rhythm = np.sin(np.arange(points)[:, None] / random.uniform(5, 60, LATENT))
    values = (walks + rhythm) @ random.normal(size=(LATENT, DIMENSIONS))
    values += random.normal(scale=0.2, size=values.shape)
    return Series(
        entity="bench",
        dimensions=tuple(f"d{number:02d}" for number in range(DIMENSIONS)),
        timestamps_ms=np.arange(points, dtype=np.int64) * PERIOD_MS,
        values=values,
        label=None,
        segments=(),
    )
