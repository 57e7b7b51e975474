"""What the optimisation loop is given, and what it tells: a lesson, its losses, its progress."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from trainer.config import NetworkConfig


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
    """Where the training stands, after an update or (then with validation_loss) a validation."""

    epoch: int
    epochs: int
    step: int
    total: int
    loss: float
    validation_loss: float | None
    seconds_left: float
    learning_rate: float


Watcher = Callable[[Progress], None]
