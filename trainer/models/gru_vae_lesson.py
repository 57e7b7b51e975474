"""What the GRU-VAE learns: the evidence lower bound, over lanes or over windows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.config import GruVaeConfig
from trainer.memory import Memory, part, under
from trainer.models.gru_vae import GruVae, State
from trainer.shuffled import Shuffled
from trainer.training import Loss
from trainer.windows import Lanes


class GruVaeLesson:
    """Truncated back-propagation: the state of every lane is carried from chunk to chunk."""

    def __init__(
        self, network: GruVae, lanes: Lanes, held_out: Sequence[Tensor], *, config: GruVaeConfig
    ) -> None:
        self.network, self.config = network, config
        self._lanes, self._held_out = lanes, held_out
        self._state = network.fresh(config.lanes)

    def next_loss(self, step: int) -> Loss:
        """Negative lower bound per point of the next chunk of every lane."""
        self.network.contract()
        x, is_fresh = next(self._lanes)  # (B, T, D), (B,)
        evidence, self._state = self.network(x, self._state.detached(is_fresh))
        return Loss(evidence.loss(kl_weight(self.config, step)), evidence._asdict())

    def validation_loss(self) -> float:
        """Negative lower bound per point, with the same noise every time."""
        return held_out_loss(self.network, self._held_out, self.config)

    def memory(self) -> Memory:
        """The lanes, and what each of them carries."""
        carried = {name: t.detach().clone().numpy() for name, t in self._state._asdict().items()}
        return {**under("lanes", self._lanes.memory()), **under("state", carried)}

    def recall(self, memory: Memory) -> None:
        """Go on from there."""
        self._lanes.recall(part("lanes", memory))
        carried = part("state", memory)
        self._state = State(**{name: torch.from_numpy(one) for name, one in carried.items()})


class WindowsLesson:
    """The paper's way: every window starts from the zero state."""

    def __init__(
        self,
        network: GruVae,
        windows: Shuffled,
        held_out: Sequence[Tensor],
        *,
        config: GruVaeConfig,
    ) -> None:
        self.network, self.config = network, config
        self._windows, self._held_out = windows, held_out

    def next_loss(self, step: int) -> Loss:
        """Negative lower bound per point of the next windows."""
        self.network.contract()
        x = next(self._windows)  # (B, T, D)
        evidence, _ = self.network(x, self.network.fresh(len(x)))
        return Loss(evidence.loss(kl_weight(self.config, step)), evidence._asdict())

    def validation_loss(self) -> float:
        """Negative lower bound per point of windows side by side, with the same noise."""
        return held_out_loss(self.network, self._held_out, self.config)

    def memory(self) -> Memory:
        """What of the windows is still to come."""
        return self._windows.memory()

    def recall(self, memory: Memory) -> None:
        """Go on from there."""
        self._windows.recall(memory)


def kl_weight(config: GruVaeConfig, step: int) -> float:
    """Of an update, counted from 1: it grows from 0 over the first epochs."""
    return config.kl_weight * min(1.0, step / (config.beta_epochs * config.epoch_steps or 1))


def held_out_loss(network: GruVae, held_out: Sequence[Tensor], config: GruVaeConfig) -> float:
    """Mean negative lower bound per point of runs (run, step, D), each from the zero state."""
    network.contract()
    generator = torch.Generator().manual_seed(config.seed)
    total, points = 0.0, 0
    for x in held_out:
        evidence, _ = network(x, network.fresh(len(x)), generator=generator)
        total += float(evidence.loss(config.kl_weight)) * x.shape[0] * x.shape[1]
        points += x.shape[0] * x.shape[1]
    return total / points
