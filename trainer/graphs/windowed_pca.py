"""The graphs of windowed PCA: two products, and the last rows as the only state."""

import torch
from torch import Tensor, nn

from trainer.fitted import Fitted
from trainer.frame import Answer, Frame, Prediction
from trainer.models.pca import WindowPca

Step = tuple[Tensor, Tensor, Tensor, Tensor]  # the same, and the next lags


class Reconstruction(nn.Module):
    """What the directions explain of the newest of some rows."""

    basis: Tensor
    newest: Tensor

    def __init__(self, fitted: Fitted, pca: WindowPca) -> None:
        super().__init__()
        self.frame = Frame(fitted)
        basis = torch.tensor(pca.basis, dtype=torch.float32)
        self.register_buffer("basis", basis)  # (T D, k)
        self.register_buffer("newest", basis[: len(pca.mean)].T.contiguous())  # (k, D)

    def forward(self, scaled: Tensor, entity_index: Tensor, rows: Tensor) -> Answer:
        """Scaled values (B, D), standardised rows (B, T, D), newest first."""
        frame = self.frame
        window = (frame.lag_scale * rows).flatten(1)  # scaled units, from the training mean
        expected = frame.lag_mean + window @ self.basis @ self.newest
        unit = frame.residual_scale.expand_as(expected)
        prediction = Prediction(expected, unit, (scaled - expected).abs())
        return frame.answer(scaled, entity_index, rows=rows, prediction=prediction)


class StepGraph(nn.Module):
    """One row per entity and the rows before it -> the answer and the next lags."""

    def __init__(self, fitted: Fitted, pca: WindowPca) -> None:
        super().__init__()
        self.reconstruction, self.steps = Reconstruction(fitted, pca), pca.steps

    def forward(self, values: Tensor, entity_index: Tensor, lags: Tensor) -> Step:
        """values (B, D), lags (B, kept rows, D) standardised and newest first."""
        frame = self.reconstruction.frame
        scaled = frame.scaled(values, entity_index)
        newest = frame.standardised(frame.clipped(scaled))
        rows = torch.cat([newest[:, None], lags], dim=1)
        answer = self.reconstruction(scaled, entity_index, rows[:, : self.steps])
        return (*answer, rows[:, :-1])


class WindowGraph(nn.Module):
    """A window -> the answer for its last row."""

    def __init__(self, fitted: Fitted, pca: WindowPca) -> None:
        super().__init__()
        self.reconstruction = Reconstruction(fitted, pca)

    def forward(self, window: Tensor, entity_index: Tensor) -> Answer:
        """window (B, T, D)."""
        frame = self.reconstruction.frame
        scaled = frame.scaled_window(window, entity_index)
        rows = frame.standardised(frame.clipped(scaled)).flip(1)  # newest first
        answer: Answer = self.reconstruction(scaled[:, -1], entity_index, rows)
        return answer


def state_shapes(pca: WindowPca) -> dict[str, tuple[int, ...]]:
    """The rows before the newest; one even where none is looked at, since a state has a shape."""
    return {"lags": (max(pca.steps - 1, 1), len(pca.mean))}
