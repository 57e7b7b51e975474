"""Windows in random order: an endless supply of batches, every window once per epoch."""

from collections.abc import Sequence

import numpy as np
import torch

from service.errors import TrainingFailed
from trainer.memory import Memory, random_state, set_random
from trainer.windows import Rows


def window_starts(lengths: Sequence[int], *, length: int, stride: int) -> list[int]:
    """First rows of the windows of stacked pieces; none reaches from one piece into another."""
    starts: list[int] = []
    first = 0
    for rows in lengths:
        starts += range(first, first + rows - length + 1, stride)
        first += rows
    return starts


class Shuffled:
    """Batches of windows (batch, time, dimension); the last one of an epoch may be smaller."""

    def __init__(
        self, pieces: Sequence[Rows], *, length: int, stride: int, batch: int, seed: int
    ) -> None:
        lengths = [len(piece) for piece in pieces]
        starts = window_starts(lengths, length=length, stride=stride)
        if not starts:
            raise TrainingFailed(
                f"expected {length} rows without a break, got at most {max(lengths)} in a row; "
                "give more rows or a smaller window_length"
            )
        self._rows, self._starts = np.concatenate(pieces), np.array(starts)
        self._steps, self._batch = np.arange(length), batch
        self._random = np.random.default_rng(seed)
        self._order = np.array([], dtype=np.int64)  # windows that this epoch has not seen yet

    def memory(self) -> Memory:
        """What of this epoch is still to come, and where chance stands."""
        return {"order": self._order.copy(), "random": random_state(self._random)}

    def recall(self, memory: Memory) -> None:
        """Go on from there."""
        self._order = memory["order"]
        set_random(self._random, memory["random"])

    def __next__(self) -> torch.Tensor:
        """The next batch (batch, time, dimension)."""
        if not len(self._order):
            self._order = self._random.permutation(len(self._starts))
        chosen, self._order = self._order[: self._batch], self._order[self._batch :]
        return torch.from_numpy(self._rows[self._starts[chosen][:, None] + self._steps])
