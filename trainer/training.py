"""The optimisation loop: a lesson in, the best weights out; knows no model, series or scaling."""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from service.errors import TrainingFailed
from trainer.config import NetworkConfig

LAST_RATE = 0.02  # share of the learning rate that is left at the end of its cosine decay


class Loss(NamedTuple):
    """What is to become small, what it is made of, and which weights move for it."""

    value: Tensor
    terms: Mapping[str, Tensor]
    moved: Sequence[nn.Parameter] = ()  # none named: all of the network


class Lesson(Protocol):
    """A network with its knobs and the data it learns from."""

    @property
    def network(self) -> nn.Module: ...

    @property
    def config(self) -> NetworkConfig: ...

    def next_loss(self, step: int) -> Loss:
        """Of the next batch; `step` counts the updates from 1."""

    def validation_loss(self) -> float:
        """Mean over all that is held out, with the same noise every time."""


@dataclass(frozen=True)
class Progress:
    """Where the training stands, after an update or (then with validation_loss) an epoch."""

    epoch: int
    epochs: int
    step: int
    total: int
    loss: float
    validation_loss: float | None
    seconds_left: float


Watcher = Callable[[Progress], None]


class Training:
    """One training of one network; `run` leaves the best weights in it."""

    def __init__(self, lesson: Lesson) -> None:
        self.history: list[Progress] = []
        self.best_epoch = 0
        self._lesson, self._network = lesson, lesson.network
        self._config = config = lesson.config
        self._total = config.epochs * config.epoch_steps
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=config.learning_rate, weight_decay=config.l2
        )
        self._started = time.monotonic()

    def run(self, on_progress: Watcher) -> None:
        """Train until the validation loss has not improved for `patience` epochs."""
        best = self._validation_loss()
        weights = copy.deepcopy(self._network.state_dict())
        for epoch in range(1, self._config.epochs + 1):
            progress = self._epoch(epoch, on_progress)
            loss = progress.validation_loss
            if loss is not None and loss < best:
                best, self.best_epoch = loss, epoch
                weights = copy.deepcopy(self._network.state_dict())
            if epoch - self.best_epoch >= self._config.patience:
                break
        self._network.load_state_dict(weights)
        self._network.eval()

    @torch.no_grad()
    def _validation_loss(self) -> float:
        self._network.eval()
        return self._lesson.validation_loss()

    def _epoch(self, epoch: int, on_progress: Watcher) -> Progress:
        self._network.train()
        steps, losses = self._config.epoch_steps, []
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
            losses.append(self._update(epoch, step))
            on_progress(self._progress(epoch, step, loss=losses[-1]))
        held_out = self._validation_loss()
        self._expect_finite(held_out, "the validation loss", epoch=epoch, step=epoch * steps)
        progress = self._progress(
            epoch, epoch * steps, loss=math.fsum(losses) / steps, validation_loss=held_out
        )
        self.history.append(progress)
        on_progress(progress)
        return progress

    def _update(self, epoch: int, step: int) -> float:
        """One step of AdamW on the next batch."""
        decay = 0.5 * (1 + math.cos(math.pi * step / self._total))
        for group in self._optimiser.param_groups:
            group["lr"] = self._config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * decay)
        loss = self._lesson.next_loss(step)
        value = float(loss.value.detach())
        wrong = [name for name, term in loss.terms.items() if not bool(term.isfinite())]
        culprit = f"the {' and '.join(wrong)} term" if wrong else "the loss"
        self._expect_finite(value, culprit, epoch=epoch, step=step)
        self._optimiser.zero_grad()
        loss.value.backward(inputs=list(loss.moved) or None)  # type: ignore[no-untyped-call]
        limit = self._config.gradient_norm
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), limit)
        self._expect_finite(float(norm), "the gradient", epoch=epoch, step=step)
        self._optimiser.step()
        return value

    def _progress(
        self, epoch: int, step: int, *, loss: float, validation_loss: float | None = None
    ) -> Progress:
        left = (time.monotonic() - self._started) / step * (self._total - step)
        return Progress(epoch, self._config.epochs, step, self._total, loss, validation_loss, left)

    def _expect_finite(self, value: float, name: str, *, epoch: int, step: int) -> None:
        if not math.isfinite(value):
            raise TrainingFailed(
                f"{name} is {value} in epoch {epoch}, step {step}; try a smaller learning_rate "
                f"(now {self._config.learning_rate:g}) or gradient_norm "
                f"(now {self._config.gradient_norm:g}), or another seed"
            )
