"""What surrounds the network in every graph: scaling, the closed-form members, and units.

Torch twins of `trainer.linear`, in float32, with the constants of all entities gathered by
`entity_index`.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.fit import INPUT_LIMIT, Fitted
from trainer.linear import CLIP_HIGH, CLIP_LOW
from trainer.models.gru_vae import bounded_scale

MEMBERS = ("pca", "leave_one_out", "network")
FINITE_LIMIT = 1e9  # of scaled values, so that no difference of infinities becomes NaN

Answer = tuple[Tensor, Tensor, Tensor]  # error (B, M, D), expected (B, D), scale (B, D)


class Frame(nn.Module):
    """Scaling, the closed-form members, and the units that go in and out of the network."""

    scaling: Tensor
    pca_mean: Tensor
    pca_basis: Tensor
    lag_mean: Tensor
    lag_scale: Tensor
    lag_weights: Tensor
    residual_scale: Tensor

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        scaling, pca = fitted.linear.scaling, fitted.linear.pca
        leave_one_out = fitted.linear.leave_one_out
        self.is_linear_skip = fitted.config.is_linear_skip
        constants = {
            "scaling": np.hstack([scaling.offset, scaling.span]),  # (E, 2 D)
            "pca_mean": pca.mean,  # (D,)
            "pca_basis": pca.basis,  # (D, k)
            "lag_mean": leave_one_out.mean,  # (D,)
            "lag_scale": leave_one_out.scale,  # (D,)
            "lag_weights": leave_one_out.weights,  # (5 D, D)
            "residual_scale": fitted.residual_scale,  # (D,)
        }
        for name, constant in constants.items():
            self.register_buffer(name, torch.tensor(constant, dtype=torch.float32))

    def scaled(self, values: Tensor, entity_index: Tensor) -> Tensor:
        """Centred raw values (B, D) in scaled units; the errors are taken from these."""
        offset, span = functional.embedding(entity_index, self.scaling).chunk(2, dim=1)
        return ((values - offset) / span).clamp(-FINITE_LIMIT, FINITE_LIMIT)

    def scaled_window(self, window: Tensor, entity_index: Tensor) -> Tensor:
        """The same for (B, T, D)."""
        offset, span = functional.embedding(entity_index, self.scaling)[:, None].chunk(2, dim=2)
        return ((window - offset) / span).clamp(-FINITE_LIMIT, FINITE_LIMIT)

    def clipped(self, scaled: Tensor) -> Tensor:
        """What may enter a model."""
        return scaled.clamp(CLIP_LOW, CLIP_HIGH)

    def pca(self, clipped: Tensor) -> Tensor:
        """The reconstruction by PCA, any leading axes."""
        return self.pca_mean + (clipped - self.pca_mean) @ self.pca_basis @ self.pca_basis.T

    def standardised(self, clipped: Tensor) -> Tensor:
        """One row of the lags; zero is the training mean."""
        return (clipped - self.lag_mean) / self.lag_scale

    def leave_one_out(self, rows: Tensor) -> Tensor:
        """Standardised rows (B, 1 + LAGS, D), newest first -> expectation of the first (B, D)."""
        return self.lag_mean + self.lag_scale * (rows.flatten(1) @ self.lag_weights)

    def skip(self, clipped: Tensor) -> Tensor:
        """What the network adds to: the PCA reconstruction, or only the mean."""
        if self.is_linear_skip:
            return self.pca(clipped)
        return self.pca_mean + torch.zeros_like(clipped)

    def network_input(self, clipped: Tensor) -> Tensor:
        """The residual of the skip in units of its standard deviation."""
        residual = (clipped - self.skip(clipped)) / self.residual_scale
        return residual.clamp(-INPUT_LIMIT, INPUT_LIMIT)

    def answer(self, scaled: Tensor, entity_index: Tensor, *, rows: Tensor, head: Tensor) -> Answer:
        """Scaled values (B, D), standardised rows and the network's head (B, 2 D) -> outputs."""
        offset, span = functional.embedding(entity_index, self.scaling).chunk(2, dim=1)
        clipped = self.clipped(scaled)
        mean, raw_scale = head.chunk(2, dim=1)  # (B, D) each
        expected = self.skip(clipped) + self.residual_scale * mean
        views = (self.pca(clipped), self.leave_one_out(rows), expected)
        error = torch.stack([(scaled - view).abs() for view in views], dim=1)  # (B, M, D)
        scale = bounded_scale(raw_scale) * self.residual_scale * span
        return error, expected * span + offset, scale
