"""The graphs of models that know only the lags: leave-one-out, and the blind-spot network on it."""

import torch
from torch import Tensor, nn

from trainer.fitted import Fitted
from trainer.frame import Answer, Frame, Prediction
from trainer.linear import LAGS
from trainer.models.blind_spot import MAX_DIVISOR, BlindSpot

Step = tuple[Tensor, Tensor, Tensor, Tensor]  # the same, and the next lags


class Others(nn.Module):
    """Every dimension from all others; the network corrects what is linear, if there is one."""

    def __init__(self, fitted: Fitted, network: BlindSpot | None) -> None:
        super().__init__()
        self.frame, self.network = Frame(fitted), network

    def forward(self, scaled: Tensor, entity_index: Tensor, rows: Tensor) -> Answer:
        """Scaled values (B, D), standardised rows (B, 1 + LAGS, D), newest first."""
        prediction = self._prediction(scaled, rows)
        return self.frame.answer(scaled, entity_index, rows=rows, prediction=prediction)

    def _prediction(self, scaled: Tensor, rows: Tensor) -> Prediction:
        expected, unit = self.frame.leave_one_out(rows), self.frame.residual_scale
        if self.network is None:
            return Prediction(expected, unit.expand_as(expected), (scaled - expected).abs())
        mean, scale = self.network(rows)  # (B, D) each
        expected = expected + unit * mean
        error = (scaled - expected).abs() / scale.clamp(max=MAX_DIVISOR)
        return Prediction(expected, unit * scale, error)


class StepGraph(nn.Module):
    """One row per entity and the rows before it -> the answer and the next lags."""

    def __init__(self, fitted: Fitted, network: BlindSpot | None) -> None:
        super().__init__()
        self.others = Others(fitted, network)

    def forward(self, values: Tensor, entity_index: Tensor, lags: Tensor) -> Step:
        """values (B, D), lags (B, LAGS, D) standardised and newest first."""
        frame = self.others.frame
        scaled = frame.scaled(values, entity_index)
        newest = frame.standardised(frame.clipped(scaled))
        rows = torch.cat([newest[:, None], lags], dim=1)
        return (*self.others(scaled, entity_index, rows), rows[:, :LAGS])


class WindowGraph(nn.Module):
    """A window -> the answer for its last row."""

    def __init__(self, fitted: Fitted, network: BlindSpot | None) -> None:
        super().__init__()
        self.others = Others(fitted, network)

    def forward(self, window: Tensor, entity_index: Tensor) -> Answer:
        """window (B, T, D)."""
        frame = self.others.frame
        scaled = frame.scaled_window(window[:, -1 - LAGS :], entity_index)
        rows = frame.standardised(frame.clipped(scaled)).flip(1)  # newest first
        return self.others(scaled[:, -1], entity_index, rows)  # type: ignore[no-any-return]
