"""The blind-spot network: every dimension predicted from all others, its own past left out too.

    rows    r (B, 1 + LAGS, D), standardised, newest first
    first   pre_d = flatten(r) @ W - r_d @ W_d + b_d     W_d: the rows of W that dimension d enters
    shared  h_d = relu(V relu(pre_d) + c), the same V and c for all dimensions
    readout mean m_d and raw scale g_d, linear in h_d with weights of dimension d
    x_d ~ Laplace(m_d, s_d), s_d = low + (high - low) * sigmoid(g_d)

x is what linear leave-one-out leaves over, in units of its root mean square; s is therefore the
scale relative to the linear prediction's. The first layer is additive, so that subtracting the own
part leaves exactly what the others say, for all dimensions in one pass.

The idea of an architecture that cannot see its own target is that of Laine, Karras, Lehtinen, Aila:
High-quality self-supervised deep image denoising, NeurIPS 2019. The bounds on the scale keep it
from growing exactly on unseen inputs, and need neither Softplus nor Log.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from trainer.config import BlindSpotConfig
from trainer.linear import INPUT_LIMIT, LAGS, window_ends
from trainer.training import Loss
from trainer.windows import Rows

READOUT_SCALE = 0.1  # initial mean and scale stay near 0 and 1, yet differ between dimensions
MAX_DIVISOR = 1.0  # of errors: a small scale sharpens them, a large one never excuses any
HELD_OUT_BATCH = 1024  # windows


class BlindSpot(nn.Module):
    """Mean and relative scale of every dimension, from the others."""

    def __init__(self, dimensions: int, config: BlindSpotConfig) -> None:
        super().__init__()
        hidden = config.hidden
        self.scale_low, self.scale_high = config.scale_low, config.scale_high
        inputs = (1 + LAGS) * dimensions
        self.first = nn.Parameter(torch.randn(1 + LAGS, dimensions, hidden) / math.sqrt(inputs / 2))
        self.identity = nn.Parameter(0.1 * torch.randn(dimensions, 1, hidden))  # b
        self.shared = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(config.depth))
        spread = READOUT_SCALE / math.sqrt(hidden)
        self.readout = nn.Parameter(spread * torch.randn(dimensions, hidden, 2))
        self.readout_bias = nn.Parameter(torch.zeros(dimensions, 1, 2))
        one = (1 - self.scale_low) / (self.scale_high - self.scale_low)
        nn.init.constant_(self.readout_bias[:, :, 1], math.log(one / (1 - one)))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (B, 1 + LAGS, D) -> mean (B, D), scale (B, D)."""
        rows = rows.clamp(-INPUT_LIMIT, INPUT_LIMIT)
        everyone = rows.flatten(1) @ self.first.flatten(0, 1)  # (B, H)
        own = rows.permute(2, 0, 1) @ self.first.transpose(0, 1)  # (D, B, H)
        h = torch.relu(everyone - own + self.identity)
        for layer in self.shared:
            h = torch.relu(layer(h))
        mean, raw_scale = (h @ self.readout + self.readout_bias).permute(2, 1, 0)  # (B, D) each
        spread = self.scale_high - self.scale_low
        return mean, self.scale_low + spread * torch.sigmoid(raw_scale)


class Windows:
    """The windows of pieces (time, dimension), and what is asked of the network at their ends."""

    def __init__(self, rows: Sequence[Rows], targets: Sequence[Rows]) -> None:
        self._rows = torch.from_numpy(np.concatenate(rows))
        self._targets = torch.from_numpy(np.concatenate(targets))
        self._ends = torch.from_numpy(window_ends([len(piece) for piece in rows]))
        self._lags = torch.arange(1 + LAGS)

    def __len__(self) -> int:
        return len(self._ends)

    def at(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (B, 1 + LAGS, D), newest first, and targets (B, D)."""
        ends = self._ends[places]
        return self._rows[ends[:, None] - self._lags], self._targets[ends]

    def is_moving(self) -> Tensor:
        """Dimensions (D,) that are not constant; all of them where none moves."""
        is_moving = self._rows.amax(0) > self._rows.amin(0)
        return is_moving | ~is_moving.any()


class BlindSpotLesson:
    """Random windows of the fit parts; the loss is the Laplace negative log-likelihood."""

    def __init__(
        self, network: BlindSpot, seen: Windows, held_out: Windows, *, config: BlindSpotConfig
    ) -> None:
        self.network, self.config = network, config
        self._seen, self._held_out = seen, held_out
        self._moving = seen.is_moving().nonzero().squeeze(1)  # (moving dimension,)

    def next_loss(self, step: int) -> Loss:  # noqa: ARG002  no loss of ours changes with time
        """Of random windows in which some dimensions are hidden from all others."""
        rows, targets = self._seen.at(torch.randint(len(self._seen), (self.config.batch,)))
        is_shown = torch.rand(len(rows), 1, rows.shape[2]) >= self.config.input_dropout
        return self._loss(rows * is_shown, targets)

    def validation_loss(self) -> float:
        """Mean over all held-out windows."""
        total = 0.0
        for start in range(0, len(self._held_out), HELD_OUT_BATCH):
            places = torch.arange(start, min(start + HELD_OUT_BATCH, len(self._held_out)))
            total += float(self._loss(*self._held_out.at(places)).value) * len(places)
        return total / len(self._held_out)

    def _loss(self, rows: Tensor, targets: Tensor) -> Loss:
        """-log Laplace(target; mean, scale) without its constant, over dimensions that move."""
        mean, scale = (part[:, self._moving] for part in self.network(rows))
        misfit = ((targets[:, self._moving] - mean).abs() / scale).mean()
        breadth = scale.log().mean()
        return Loss(misfit + breadth, {"misfit": misfit, "scale": breadth})
