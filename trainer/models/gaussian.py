"""The latent of a variational autoencoder: a normal distribution with a diagonal covariance.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

LOG_VARIANCE_LIMIT = 10.0  # either way; no code is surer, and no variance overflows


class Gaussian(NamedTuple):
    """Of each code: mean and logarithm of the variance (..., Z)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self) -> Tensor:
        """Reparameterised, so that gradients flow (section 2.4)."""
        noise = torch.randn_like(self.mean)
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """From the standard normal distribution, in nats, summed over the code (...); eq. 10."""
        terms = self.mean.square() + self.log_variance.exp() - self.log_variance - 1
        return 0.5 * terms.sum(dim=-1)


class GaussianHead(nn.Module):
    """One linear layer each for mean and variance of a code."""

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.mean, self.log_variance = nn.Linear(width, latent), nn.Linear(width, latent)

    def forward(self, h: Tensor) -> Gaussian:
        """(..., width) -> the code (..., Z)."""
        spread = self.log_variance(h).clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
        return Gaussian(self.mean(h), spread)
