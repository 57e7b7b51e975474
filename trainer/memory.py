"""What a training must remember to go on as if nothing had happened: arrays by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Memory = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """A training after an epoch."""

    told: dict[str, Any]  # JSON: epoch, the best, history
    memory: Memory  # weights, best weights, optimiser, random state, lesson


@runtime_checkable
class Remembering(Protocol):
    """Something that remembers more from update to update than PyTorch's random state."""

    def memory(self) -> Memory:
        """All of it, copied."""

    def recall(self, memory: Memory) -> None:
        """Go on from there."""


def under(name: str, memory: Mapping[str, npt.NDArray[Any]]) -> Memory:
    """The same arrays, each name behind `name/`."""
    return {f"{name}/{key}": value for key, value in memory.items()}


def part(name: str, memory: Mapping[str, npt.NDArray[Any]]) -> Memory:
    """What `under` put there."""
    head = f"{name}/"
    return {key.removeprefix(head): one for key, one in memory.items() if key.startswith(head)}


def random_state(random: np.random.Generator) -> npt.NDArray[np.str_]:
    """Where a generator stands, as JSON: its integers have 128 bits."""
    return np.array(json.dumps(random.bit_generator.state))


def set_random(random: np.random.Generator, state: npt.NDArray[Any]) -> None:
    """Put a generator where another one stood."""
    random.bit_generator.state = json.loads(str(state))


def arrays(tensors: Mapping[str, Tensor]) -> Memory:
    """Copies, by the same names."""
    return {name: tensor.detach().clone().numpy() for name, tensor in tensors.items()}


def tensors(memory: Memory) -> dict[str, Tensor]:
    """The way back."""
    return {name: torch.from_numpy(one) for name, one in memory.items()}


def optimiser_memory(optimiser: torch.optim.Optimizer) -> Memory:
    """What it remembers of each parameter; its settings are the configuration's."""
    state = optimiser.state_dict()["state"]
    return {f"{i}/{name}": one for i, own in state.items() for name, one in arrays(own).items()}


def recall_optimiser(optimiser: torch.optim.Optimizer, memory: Memory) -> None:
    """Go on from there."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, one in tensors(memory).items():
        index, name = key.split("/")
        state.setdefault(int(index), {})[name] = one
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
