"""How many updates an epoch has, where it is to see all rows once."""

import math
from collections.abc import Sequence

from trainer.config import Config, GruVaeConfig, NetworkConfig, SlmrConfig
from trainer.configs_window import WindowConfig
from trainer.linear import LAGS
from trainer.shuffled import window_starts


def counted(config: Config, pieces: Sequence[int]) -> Config:
    """With `epoch_steps` 0 replaced by as many as an epoch over pieces of so many rows has."""
    if not isinstance(config, NetworkConfig) or config.epoch_steps:
        return config
    return config.model_copy(update={"epoch_steps": max(_updates(pieces, config), 1)})


def _updates(pieces: Sequence[int], config: NetworkConfig) -> int:
    """Of all rows, or of all windows, of pieces of so many rows."""
    match config:
        case GruVaeConfig(lesson="lanes"):
            return math.ceil(sum(pieces) / (config.lanes * config.tbptt_steps))
        case GruVaeConfig(window_length=length, stride=stride, batch=batch):
            return math.ceil(len(window_starts(pieces, length=length, stride=stride)) / batch)
        case SlmrConfig(window_length=length, batch=batch):
            lost = LAGS + length - 2  # the first target of a window has its lags, too
        case WindowConfig(window_length=length, batch=batch):
            lost = length - 1
        case _:
            return 0
    return math.ceil(sum(max(piece - lost, 0) for piece in pieces) / batch)
