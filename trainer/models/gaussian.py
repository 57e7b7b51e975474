"""The latent of a variational autoencoder: a normal distribution with a diagonal covariance.

Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.
"""

from typing import NamedTuple

import torch
from torch import Tensor


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
