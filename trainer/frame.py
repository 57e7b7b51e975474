"""What surrounds the network in every graph: scaling, the members, and units.

Torch twins of `trainer.linear` and `trainer.nearest`, in float32, with the constants of all
entities gathered by `entity_index`.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import Member
from trainer.fitted import Fitted
from trainer.linear import CLIP_HIGH, CLIP_LOW, LAGS

FINITE_LIMIT = 1e9  # of scaled values, so that no difference of infinities becomes NaN

Answer = tuple[Tensor, Tensor, Tensor]  # error (B, M, D), expected (B, D), scale (B, D)


class Prediction(NamedTuple):
    """What a model says of scaled values, in scaled units."""

    expected: Tensor  # (B, D)
    scale: Tensor  # (B, D)
    error: Tensor  # (B, D), the member that is the model itself


class Frame(nn.Module):
    """Scaling in front of a model, members beside it, and raw units behind it."""

    scaling: Tensor
    pca_mean: Tensor
    pca_basis: Tensor
    lag_mean: Tensor
    lag_scale: Tensor
    lag_weights: Tensor
    centroids: Tensor
    centroid_norms: Tensor
    residual_scale: Tensor

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        scaling, pca = fitted.linear.scaling, fitted.linear.pca
        leave_one_out = fitted.linear.leave_one_out
        self.members: tuple[Member, ...] = fitted.config.members
        self.own: Member = fitted.config.own
        constants = {
            "scaling": np.hstack([scaling.offset, scaling.span]),  # (E, 2 D)
            "pca_mean": pca.mean,  # (D,)
            "pca_basis": pca.basis,  # (D, k)
            "lag_mean": leave_one_out.mean,  # (D,)
            "lag_scale": leave_one_out.scale,  # (D,)
            "lag_weights": leave_one_out.weights,  # (5 D, D)
            "residual_scale": fitted.residual_scale,  # (D,)
        }
        if fitted.nearest is not None:
            centroids = fitted.nearest.centroids - leave_one_out.mean  # (K, 5, D)
            constants["centroids"] = centroids.reshape(len(centroids), -1)  # (K, 5 D)
            constants["centroid_norms"] = np.square(centroids).sum(axis=(1, 2))  # (K,)
        for name, constant in constants.items():
            self.register_buffer(name, torch.tensor(constant, dtype=torch.float32))

    def scaled(self, values: Tensor, entity_index: Tensor) -> Tensor:
        """Centred raw values (B, D) in scaled units; the errors are taken from these."""
        offset, span = self._units(entity_index)
        return ((values - offset) / span).clamp(-FINITE_LIMIT, FINITE_LIMIT)

    def scaled_window(self, window: Tensor, entity_index: Tensor) -> Tensor:
        """The same for (B, T, D)."""
        offset, span = self._units(entity_index)
        return ((window - offset[:, None]) / span[:, None]).clamp(-FINITE_LIMIT, FINITE_LIMIT)

    def clipped(self, scaled: Tensor) -> Tensor:
        """What may enter a model."""
        return scaled.clamp(CLIP_LOW, CLIP_HIGH)

    def standardised(self, clipped: Tensor) -> Tensor:
        """Rows of the lags; zero is the training mean."""
        return (clipped - self.lag_mean) / self.lag_scale

    def pca(self, clipped: Tensor) -> Tensor:
        """The reconstruction by PCA, any leading axes."""
        return self.pca_mean + (clipped - self.pca_mean) @ self.pca_basis @ self.pca_basis.T

    def leave_one_out(self, rows: Tensor) -> Tensor:
        """Standardised rows (B, 1 + LAGS, D), newest first -> expectation of the first (B, D)."""
        return self.lag_mean + self.lag_scale * (rows.flatten(1) @ self.lag_weights)

    def nearest(self, scaled: Tensor, rows: Tensor) -> Tensor:
        """Distance (B, D) to the nearest centroid; the newest row enters it unclipped.

        The nearest one is where |c|^2 - 2 w.c is smallest: |w|^2 is the same for all.
        """
        window = self.lag_scale * rows  # (B, 1 + LAGS, D) scaled units, from the training mean
        closeness = self.centroid_norms - 2 * (window.flatten(1) @ self.centroids.T)  # (B, K)
        centroid = functional.embedding(closeness.argmin(1), self.centroids)  # (B, 5 D)
        whole = torch.cat([(scaled - self.lag_mean)[:, None], window[:, 1:]], dim=1)
        apart = whole - centroid.reshape(whole.shape)  # (B, 1 + LAGS, D)
        total = torch.zeros_like(scaled)
        for row in (apart * apart).unbind(1):  # a reduction would depend on the batch
            total = total + row
        return (total / (1 + LAGS)).sqrt()

    def answer(
        self, scaled: Tensor, entity_index: Tensor, *, rows: Tensor, prediction: Prediction
    ) -> Answer:
        """Scaled values (B, D), standardised rows, what the model says -> outputs."""
        offset, span = self._units(entity_index)

        def error(member: Member) -> Tensor:
            match member:
                case self.own | "network":
                    return prediction.error
                case "raw":
                    return (scaled + offset / span).abs()  # centred values lie around the median
                case "pca":
                    return (scaled - self.pca(self.clipped(scaled))).abs()
                case "leave_one_out":
                    return (scaled - self.leave_one_out(rows)).abs()
                case "nearest":
                    return self.nearest(scaled, rows)

        errors = torch.stack([error(member) for member in self.members], dim=1)  # (B, M, D)
        return errors, prediction.expected * span + offset, prediction.scale * span

    def _units(self, entity_index: Tensor) -> tuple[Tensor, ...]:
        """Offset and span (B, D) of each row's entity."""
        return functional.embedding(entity_index, self.scaling).chunk(2, dim=1)
