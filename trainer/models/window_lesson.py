"""What a network over whole windows learns from: windows of the fit parts, drawn at random."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from service.errors import TrainingFailed
from trainer.configs_window import WindowConfig
from trainer.models.window_network import WindowNetwork
from trainer.training import Loss
from trainer.windows import Rows

BATCH = 512  # windows, where there is no gradient
HELD_OUT_WINDOWS = 1024  # at most, evenly spread: an epoch must not be mostly validation
SETTLED_WINDOWS = 16_384  # at most, evenly spread


class WindowRows:
    """All windows of `length` rows that lie within one of the pieces (time, dimension)."""

    def __init__(self, pieces: Sequence[Rows], *, length: int) -> None:
        self._rows = torch.from_numpy(np.concatenate(pieces))
        stops = np.cumsum([len(piece) for piece in pieces])
        starts = [
            np.arange(stop - len(piece), stop - length + 1)
            for piece, stop in zip(pieces, stops, strict=True)
        ]
        self._starts = torch.from_numpy(np.concatenate(starts))
        self._places = torch.arange(length)
        if not len(self._starts):
            longest = max(len(piece) for piece in pieces)
            raise TrainingFailed(
                f"expected {length} rows without a break to fit and to validate, got at most "
                f"{longest} in a row; give more rows or a smaller window_length"
            )

    def __len__(self) -> int:
        return len(self._starts)

    def at(self, places: Tensor) -> Tensor:
        """Windows (B, T, D), oldest row first."""
        return self._rows[self._starts[places][:, None] + self._places]

    def spread(self, most: int) -> Iterator[Tensor]:
        """At most so many windows, evenly spread over all, in batches."""
        chosen = torch.linspace(0, len(self) - 1, min(len(self), most), dtype=torch.float64).long()
        for places in torch.split(chosen, BATCH):
            yield self.at(places)


class WindowLesson:
    """Random windows of the fit parts; what is lost on them is the network's to say."""

    def __init__(
        self,
        network: WindowNetwork,
        seen: WindowRows,
        held_out: WindowRows,
        *,
        config: WindowConfig,
    ) -> None:
        self.network, self.config = network, config
        self._seen, self.held_out = seen, held_out

    def next_loss(self, step: int) -> Loss:
        """Of random windows."""
        places = torch.randint(len(self._seen), (self.config.batch,))
        return self.network.loss(self._seen.at(places), step=step)

    def validation_loss(self) -> float:
        """Mean over held-out windows, evenly spread."""
        settle_on(self.network, self._seen)
        total = count = 0.0
        for x in self.held_out.spread(HELD_OUT_WINDOWS):
            total += float(self.network.held_out_loss(x)) * len(x)
            count += len(x)
        return total / count


@torch.no_grad()
def settle_on(network: WindowNetwork, seen: WindowRows) -> None:
    """Let a network take from seen windows what is not learned."""
    network.eval()
    network.settle(seen.spread(SETTLED_WINDOWS))
