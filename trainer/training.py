"""The optimisation loop: lanes in, the best weights out; knows nothing of series or scaling."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from service.errors import TrainingFailed
from trainer.config import Config
from trainer.models.gru_vae import Evidence, GruVae
from trainer.windows import Lanes

LAST_RATE = 0.02  # share of the learning rate that is left at the end of its cosine decay


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

    def __init__(
        self, network: GruVae, lanes: Lanes, validation: Sequence[Tensor], *, config: Config
    ) -> None:
        self.history: list[Progress] = []
        self.best_epoch = 0
        self._network, self._lanes, self._validation = network, lanes, validation
        self._config = config
        self._total = config.epochs * config.epoch_steps
        self._optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.l2
        )
        self._state = network.fresh(config.lanes)
        self._started = time.monotonic()

    def run(self, on_progress: Watcher) -> None:
        """Train until the validation loss has not improved for `patience` epochs."""
        best = self.validation_loss()
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
    def validation_loss(self) -> float:
        """Negative lower bound per point, with the same noise every time."""
        self._network.eval()
        generator = torch.Generator().manual_seed(self._config.seed)
        total, points = 0.0, 0
        for x in self._validation:  # (run, step, D)
            evidence, _ = self._network(x, self._network.fresh(len(x)), generator=generator)
            total += float(evidence.loss()) * x.shape[0] * x.shape[1]
            points += x.shape[0] * x.shape[1]
        return total / points

    def _epoch(self, epoch: int, on_progress: Watcher) -> Progress:
        self._network.train()
        steps, losses = self._config.epoch_steps, []
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1):
            losses.append(self._update(epoch, step))
            on_progress(self._progress(epoch, step, loss=losses[-1]))
        held_out = self._finite(self.validation_loss(), epoch, epoch * steps)
        progress = self._progress(
            epoch, epoch * steps, loss=math.fsum(losses) / steps, validation_loss=held_out
        )
        self.history.append(progress)
        on_progress(progress)
        return progress

    def _update(self, epoch: int, step: int) -> float:
        """One step of AdamW on the next chunk of every lane."""
        config = self._config
        x, is_fresh = next(self._lanes)  # (B, T, D), (B,)
        decay = 0.5 * (1 + math.cos(math.pi * step / self._total))
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * decay)
        beta = min(1.0, step / (config.beta_epochs * config.epoch_steps or 1))
        evidence, self._state = self._network(x, self._state.detached(is_fresh))
        loss = evidence.loss(beta)
        value = self._finite(float(loss.detach()), epoch, step, evidence)
        self._optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), config.gradient_norm)
        self._finite(float(norm), epoch, step, evidence)
        self._optimiser.step()
        self._network.contract()
        return value

    def _progress(
        self, epoch: int, step: int, *, loss: float, validation_loss: float | None = None
    ) -> Progress:
        left = (time.monotonic() - self._started) / step * (self._total - step)
        return Progress(epoch, self._config.epochs, step, self._total, loss, validation_loss, left)

    def _finite(
        self, value: float, epoch: int, step: int, evidence: Evidence | None = None
    ) -> float:
        """The value, unless it is not a number: then training is over."""
        if math.isfinite(value):
            return value
        terms = {} if evidence is None else evidence._asdict()
        culprits = [name for name, term in terms.items() if not bool(term.isfinite())]
        if evidence is None:
            term = "the validation loss"
        elif culprits:
            term = f"the {' and '.join(culprits)} term"
        else:
            term = "the gradient"
        raise TrainingFailed(
            f"{term} is {value} in epoch {epoch}, step {step}; try a smaller learning_rate "
            f"(now {self._config.learning_rate:g}) or gradient_norm "
            f"(now {self._config.gradient_norm:g}), a longer beta warm-up, or another seed"
        )
