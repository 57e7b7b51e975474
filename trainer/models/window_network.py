"""What a network over whole windows must say and learn; one file per model fills it in.

Windows x (B, T, D) are clipped scaled rows, oldest first: training values lie between 0 and 1. With
`is_linear_skip` they are what a PCA leaves over, in units of its root mean square.
"""

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn

from trainer.configs_window import WindowConfig
from trainer.training import Loss


class Outlook(NamedTuple):
    """What a network says of the last rows of windows, in the units of its windows."""

    mean: Tensor  # (B, D) what it expects
    scale: Tensor  # (B, D) its spread
    error: Tensor  # (B, D) >= 0
    maps: tuple[Tensor, ...] = ()  # what explains it, in the order of `map_names`


class WindowNetwork(nn.Module):
    """A network that sees the last T rows at every point, and carries nothing from one to another.

    `judge` is what is exported: no reduction over dimensions, nothing random, no Softplus, no Log.
    """

    map_names: tuple[str, ...] = ()

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.is_linear_skip = config.is_linear_skip

    def loss(self, x: Tensor, *, step: int) -> Loss:
        """Of a batch of windows; `step` counts the updates from 1."""
        raise NotImplementedError

    def held_out_loss(self, x: Tensor) -> Tensor:
        """Mean over windows, without chance; it means the same during the whole training."""
        raise NotImplementedError

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """Windows (B, T, D), and their last rows as they came, not clipped (B, D)."""
        raise NotImplementedError

    def settle(self, seen: Iterable[Tensor]) -> None:
        """Before every validation: take from batches of seen windows what is not learned."""
