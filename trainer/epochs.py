"""How many updates an epoch of a GRU-VAE has, where it is to see all rows once."""

import math

from trainer.config import Config, GruVaeConfig
from trainer.fitted import Fitted
from trainer.shuffled import window_starts
from trainer.windows import stretches


def counted(fitted: Fitted) -> Config:
    """The configuration, `epoch_steps` 0 replaced by as many as an epoch over all rows has."""
    config = fitted.config
    if not isinstance(config, GruVaeConfig) or config.epoch_steps:
        return config
    pieces = [
        piece.stop - piece.start
        for one, parts in zip(fitted.series, fitted.splits, strict=True)
        for piece in stretches(one, parts.fit)
    ]
    if config.lesson == "windows":
        starts = window_starts(pieces, length=config.window_length, stride=config.stride)
        count = math.ceil(len(starts) / config.batch)
    else:
        count = math.ceil(sum(pieces) / (config.lanes * config.tbptt_steps))
    return config.model_copy(update={"epoch_steps": max(count, 1)})
