"""How fast to learn: the optimiser, and the learning rate of every update."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from trainer.config import NetworkConfig

LAST_RATE = 0.02  # share of the learning rate that is left at the end of its cosine decay


def optimiser_of(parameters: Iterable[nn.Parameter], config: NetworkConfig) -> torch.optim.Adam:
    """AdamW (Loshchilov and Hutter, ICLR 2019), or Adam with L2 in the gradient."""
    kind = torch.optim.Adam if config.optimiser == "adam" else torch.optim.AdamW
    return kind(parameters, lr=config.learning_rate, weight_decay=config.l2)


def rate_of(config: NetworkConfig, *, epoch: int, step: int) -> float:
    """The learning rate of an update; epochs and steps count from 1."""
    if config.anneal_factor is not None:
        return float(
            config.learning_rate * config.anneal_factor ** ((epoch - 1) // config.anneal_epochs)
        )
    decay = 0.5 * (1 + math.cos(math.pi * step / (config.epochs * config.epoch_steps)))
    return config.learning_rate * (LAST_RATE + (1 - LAST_RATE) * decay)
