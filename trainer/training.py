"""The optimisation loop: a lesson in, the best weights out; knows no model, series or scaling."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from service.errors import TrainingFailed
from trainer.checkpoint import Keeper
from trainer.lesson import Lesson, Loss, Progress, Watcher
from trainer.memory import (
    Checkpoint,
    Memory,
    Remembering,
    arrays,
    optimiser_memory,
    part,
    recall_optimiser,
    tensors,
    under,
)
from trainer.schedule import optimiser_of, rate_of

__all__ = ["Lesson", "Loss", "Progress", "Training", "Watcher"]


@dataclass
class Best:
    """The best weights so far, and since when none was better by `min_change`."""

    loss: float
    weights: dict[str, Tensor]
    epoch: int = 0  # of the weights; 0: the initial ones
    mark: float = math.inf
    improved: int = 0  # the epoch in which the loss last fell by `min_change` below `mark`


class Training:
    """One training of one network; `run` leaves the best weights in it."""

    def __init__(self, lesson: Lesson) -> None:
        self.history: list[Progress] = []
        self._lesson, self._network = lesson, lesson.network
        self._config = config = lesson.config
        self._total = config.epochs * config.epoch_steps
        self._optimiser = optimiser_of(self._network.parameters(), config)
        self._started, self._first_step = time.monotonic(), 0
        self._best = Best(math.inf, {})

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are the best so far; 0: the initial ones."""
        return self._best.epoch

    def run(
        self,
        on_progress: Watcher,
        *,
        keeper: Keeper | None = None,
        on_epoch: Callable[[], None] | None = None,
    ) -> None:
        """Train until the validation loss has not improved for `patience` epochs.

        A keeper gives the checkpoint to go on from, and gets one whenever it is due.
        """
        found = keeper.last() if keeper else None
        epoch = self._begin() if found is None else self._recall(found)
        while not self._is_over(epoch):
            epoch += 1
            self._epoch(epoch, on_progress)
            if keeper and keeper.is_due(epoch, is_over=self._is_over(epoch)):
                keeper.keep(epoch, self._checkpoint(epoch))
            if on_epoch:
                on_epoch()
        self._network.load_state_dict(self._best.weights)
        self._network.eval()

    def _begin(self) -> int:
        loss = self._validation_loss()
        self._best = Best(loss, self._weights(), mark=loss)
        return 0

    def _is_over(self, epoch: int) -> bool:
        patience = self._config.patience
        is_early = bool(patience) and epoch - self._best.improved >= patience
        return is_early or epoch >= self._config.epochs

    def _checkpoint(self, epoch: int) -> Checkpoint:
        """All that the updates of the next epoch depend on."""
        best = {name: one for name, one in vars(self._best).items() if name != "weights"}
        history = [asdict(progress) for progress in self.history]
        memory = {
            **under("weights", arrays(self._network.state_dict())),
            **under("best", arrays(self._best.weights)),
            **under("optimiser", optimiser_memory(self._optimiser)),
            **under("lesson", self._memory_of_lesson()),
            "random": torch.get_rng_state().numpy(),
        }
        return Checkpoint({"epoch": epoch, "best": best, "history": history}, memory)

    def _memory_of_lesson(self) -> Memory:
        return self._lesson.memory() if isinstance(self._lesson, Remembering) else {}

    def _recall(self, found: Checkpoint) -> int:
        """Be where a checkpoint was; the epoch it was written after."""
        memory, told = found.memory, found.told
        self._network.load_state_dict(tensors(part("weights", memory)))
        recall_optimiser(self._optimiser, part("optimiser", memory))
        if isinstance(self._lesson, Remembering):
            self._lesson.recall(part("lesson", memory))
        torch.set_rng_state(torch.from_numpy(memory["random"]))
        self._best = Best(weights=tensors(part("best", memory)), **told["best"])
        self.history = [Progress(**known) for known in told["history"]]
        self._first_step = int(told["epoch"]) * self._config.epoch_steps
        return int(told["epoch"])

    def _weights(self) -> dict[str, Tensor]:
        return copy.deepcopy(self._network.state_dict())

    @torch.no_grad()
    def _validation_loss(self) -> float:
        self._network.eval()
        return self._lesson.validation_loss()

    def _epoch(self, epoch: int, on_progress: Watcher) -> None:
        """The updates of an epoch; validation behind the last one, and between if asked for."""
        steps, every, losses = self._config.epoch_steps, self._config.validate_steps, []
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
            self._network.train()
            losses.append(self._update(epoch, step))
            on_progress(self._progress(epoch, step, loss=losses[-1]))
            if step == epoch * steps or (every and step % every == 0):
                self._validate(epoch, step, loss=math.fsum(losses) / len(losses))
                on_progress(self.history[-1])

    def _validate(self, epoch: int, step: int, *, loss: float) -> None:
        """Measure, remember, and keep the weights if they are the best; `loss` is of training."""
        held_out = self._validation_loss()
        self._expect_finite(held_out, "the validation loss", epoch=epoch, step=step)
        progress = self._progress(epoch, step, loss=loss, validation_loss=held_out)
        self.history.append(progress)
        if held_out < self._best.loss:
            self._best.loss, self._best.epoch, self._best.weights = held_out, epoch, self._weights()
        if held_out < self._best.mark - self._config.min_change:
            self._best.mark, self._best.improved = held_out, epoch

    def _update(self, epoch: int, step: int) -> float:
        """One step of the optimiser on the next batch."""
        for group in self._optimiser.param_groups:
            group["lr"] = rate_of(self._config, epoch=epoch, step=step)
        loss = self._lesson.next_loss(step)
        value = float(loss.value.detach())
        wrong = [name for name, term in loss.terms.items() if not bool(term.isfinite())]
        culprit = f"the {' and '.join(wrong)} term" if wrong else "the loss"
        self._expect_finite(value, culprit, epoch=epoch, step=step)
        self._optimiser.zero_grad()
        loss.value.backward(inputs=list(loss.moved) or None)  # type: ignore[no-untyped-call]
        limit = self._config.gradient_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), limit)
        self._expect_finite(float(norm), "the gradient", epoch=epoch, step=step)
        self._optimiser.step()
        return value

    def _progress(
        self, epoch: int, step: int, *, loss: float, validation_loss: float | None = None
    ) -> Progress:
        seconds = (time.monotonic() - self._started) / (step - self._first_step)
        left = seconds * (self._total - step)
        rate = rate_of(self._config, epoch=epoch, step=step)
        return Progress(
            epoch, self._config.epochs, step, self._total, loss, validation_loss, left, rate
        )

    def _expect_finite(self, value: float, name: str, *, epoch: int, step: int) -> None:
        if not math.isfinite(value):
            raise TrainingFailed(
                f"{name} is {value} in epoch {epoch}, step {step}; try a smaller learning_rate "
                f"(now {self._config.learning_rate:g}) or gradient_norm "
                f"(now {self._config.gradient_norm:g}), or another seed"
            )
