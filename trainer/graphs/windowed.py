"""The graphs of models that look at a whole window at every point: the lags are their lookback."""

import torch
from torch import Tensor, nn

from trainer.fitted import Fitted
from trainer.frame import Frame, Prediction
from trainer.linear import INPUT_LIMIT, LAGS
from trainer.models.slmr import MAX_DIVISOR, Slmr
from trainer.models.slmr_baked import BakedSlmr
from trainer.models.window_network import WindowNetwork

Step = tuple[Tensor, ...]  # error (B, M, D), expected (B, D), scale (B, D), and the next lags
Explained = tuple[Tensor, ...]  # error, expected, scale, and what explains the network


class Heads(nn.Module):
    """What the heads of an SLMR expect beyond leave-one-out or the mean, and their errors."""

    shares: Tensor

    def __init__(self, fitted: Fitted, network: Slmr) -> None:
        super().__init__()
        self.frame, self.network = Frame(fitted), BakedSlmr(network)
        self.is_linear_skip = network.is_linear_skip
        self.register_buffer("shares", torch.tensor(network.shares)[:, None])  # (heads, 1)

    def forward(self, scaled: Tensor, entity_index: Tensor, rows: Tensor) -> Explained:
        """Scaled values (B, D), standardised rows (B, T, D), newest first; attention (B, D)."""
        recent, unit = rows[:, : 1 + LAGS], self.frame.residual_scale
        skip = self.frame.leave_one_out(recent) if self.is_linear_skip else self.frame.lag_mean
        said = self.network(rows)
        apart = ((scaled - skip) / unit)[:, None] - said.mean
        misfit = apart.abs() / said.scale.clamp(max=MAX_DIVISOR)
        both = self.shares * torch.cat([misfit, said.mean, said.scale], dim=2)  # (B, heads, 3 D)
        whole = both[:, 0] + both[:, 1] if len(self.shares) > 1 else both[:, 0]
        error, mean, scale = whole.chunk(3, dim=1)
        prediction = Prediction(skip + unit * mean, unit * scale, unit * error)
        answer = self.frame.answer(scaled, entity_index, rows=recent, prediction=prediction)
        return (*answer, said.attention)


class Judged(nn.Module):
    """What a network over scaled rows, or over what PCA leaves of them, says of the last one."""

    def __init__(self, fitted: Fitted, network: WindowNetwork) -> None:
        super().__init__()
        self.frame, self.network = Frame(fitted), network

    def forward(self, scaled: Tensor, entity_index: Tensor, rows: Tensor) -> Explained:
        """Scaled values (B, D), standardised rows (B, T, D), newest first; the network's maps."""
        frame, unit = self.frame, self.frame.residual_scale
        clipped = (frame.lag_mean + frame.lag_scale * rows).flip(1)  # (B, T, D) oldest first
        skip = frame.pca(clipped) if self.network.is_linear_skip else torch.zeros_like(clipped)
        x = ((clipped - skip) / unit).clamp(-INPUT_LIMIT, INPUT_LIMIT)
        last = skip[:, -1]
        said = self.network.judge(x, (scaled - last) / unit)
        prediction = Prediction(last + unit * said.mean, unit * said.scale, unit * said.error)
        answer = frame.answer(scaled, entity_index, rows=rows[:, : 1 + LAGS], prediction=prediction)
        return (*answer, *said.maps)


class StepGraph(nn.Module):
    """One row per entity and the rows before it -> the answer and the next lags."""

    def __init__(self, heads: Heads | Judged) -> None:
        super().__init__()
        self.heads, self.frame = heads, heads.frame

    def forward(self, values: Tensor, entity_index: Tensor, lags: Tensor) -> Step:
        """values (B, D), lags (B, T - 1, D) standardised and newest first."""
        scaled = self.frame.scaled(values, entity_index)
        newest = self.frame.standardised(self.frame.clipped(scaled))
        rows = torch.cat([newest[:, None], lags], dim=1)
        return (*self.heads(scaled, entity_index, rows)[:3], rows[:, :-1])


class WindowGraph(nn.Module):
    """A window -> the answer for its last row, and what explains the network."""

    def __init__(self, heads: Heads | Judged) -> None:
        super().__init__()
        self.heads, self.frame = heads, heads.frame

    def forward(self, window: Tensor, entity_index: Tensor) -> Explained:
        """window (B, T, D)."""
        scaled = self.frame.scaled_window(window, entity_index)
        rows = self.frame.standardised(self.frame.clipped(scaled)).flip(1)  # newest first
        said: Explained = self.heads(scaled[:, -1], entity_index, rows)
        return said


def heads_of(fitted: Fitted, network: Slmr | WindowNetwork) -> Heads | Judged:
    """What stands between rows and answer."""
    return Heads(fitted, network) if isinstance(network, Slmr) else Judged(fitted, network)
