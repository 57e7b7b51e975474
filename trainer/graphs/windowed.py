"""The graphs of SLMR: it looks at a whole window at every point, so the lags are its lookback."""

import torch
from torch import Tensor, nn

from trainer.fitted import Fitted
from trainer.frame import Answer, Frame, Prediction
from trainer.linear import LAGS
from trainer.models.slmr import MAX_DIVISOR, Slmr
from trainer.models.slmr_baked import BakedSlmr

Step = tuple[Tensor, Tensor, Tensor, Tensor]  # the same, and the next lags
Explained = tuple[Tensor, Tensor, Tensor, Tensor]  # the same, and the attention (B, D)


class Heads(nn.Module):
    """What both heads expect beyond leave-one-out, and their errors."""

    shares: Tensor

    def __init__(self, fitted: Fitted, network: Slmr) -> None:
        super().__init__()
        self.frame, self.network = Frame(fitted), BakedSlmr(network)
        self.register_buffer("shares", torch.tensor(network.shares)[:, None])  # (2, 1)

    def forward(self, scaled: Tensor, entity_index: Tensor, rows: Tensor) -> tuple[Answer, Tensor]:
        """Scaled values (B, D), standardised rows (B, 1 + W, D), newest first."""
        recent, unit = rows[:, : 1 + LAGS], self.frame.residual_scale
        skip, said = self.frame.leave_one_out(recent), self.network(rows)
        apart = ((scaled - skip) / unit)[:, None] - said.mean
        misfit = apart.abs() / said.scale.clamp(max=MAX_DIVISOR)
        both = self.shares * torch.cat([misfit, said.mean, said.scale], dim=2)  # (B, 2, 3 D)
        error, mean, scale = (both[:, 0] + both[:, 1]).chunk(3, dim=1)
        prediction = Prediction(skip + unit * mean, unit * scale, unit * error)
        answer = self.frame.answer(scaled, entity_index, rows=recent, prediction=prediction)
        return answer, said.attention


class StepGraph(nn.Module):
    """One row per entity and the rows before it -> the answer and the next lags."""

    def __init__(self, fitted: Fitted, network: Slmr) -> None:
        super().__init__()
        self.heads = Heads(fitted, network)

    def forward(self, values: Tensor, entity_index: Tensor, lags: Tensor) -> Step:
        """values (B, D), lags (B, W, D) standardised and newest first."""
        frame = self.heads.frame
        scaled = frame.scaled(values, entity_index)
        newest = frame.standardised(frame.clipped(scaled))
        rows = torch.cat([newest[:, None], lags], dim=1)
        answer, _ = self.heads(scaled, entity_index, rows)
        return (*answer, rows[:, :-1])


class WindowGraph(nn.Module):
    """A window -> the answer for its last row, and which dimensions the network attended to."""

    def __init__(self, fitted: Fitted, network: Slmr) -> None:
        super().__init__()
        self.heads = Heads(fitted, network)

    def forward(self, window: Tensor, entity_index: Tensor) -> Explained:
        """window (B, 1 + W, D)."""
        frame = self.heads.frame
        scaled = frame.scaled_window(window, entity_index)
        rows = frame.standardised(frame.clipped(scaled)).flip(1)  # newest first
        answer, attention = self.heads(scaled[:, -1], entity_index, rows)
        return (*answer, attention)
