"""How many updates an epoch has, where it is to see all rows once."""

import math
from collections.abc import Sequence

from trainer.config import Config, GruVaeConfig, NetworkConfig, SlmrConfig
from trainer.configs_window import WindowConfig
from trainer.fitted import Fitted
from trainer.linear import LAGS
from trainer.shuffled import window_starts
from trainer.windows import stretches


def counted(fitted: Fitted) -> Config:
    """The configuration, `epoch_steps` 0 replaced by as many as an epoch over all rows has."""
    config = fitted.config
    if not isinstance(config, NetworkConfig) or config.epoch_steps:
        return config
    pieces = [
        piece.stop - piece.start
        for one, parts in zip(fitted.series, fitted.splits, strict=True)
        for piece in stretches(one, parts.fit)
    ]
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
