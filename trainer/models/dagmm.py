"""DAGMM: a code of every point, and how little a mixture of Gaussians expects such a code.

Zong et al.: Deep autoencoding Gaussian mixture model for unsupervised anomaly detection, ICLR 2018.

    autoencoder   x -> code -> x', dense layers with tanh between; points, or flattened windows
    z             [code, |x - x'| / |x|, (1 - cos(x, x')) / 2]                      (eq. 1, 2)
    membership    gamma = softmax of dense layers on z, K components                (eq. 3)
    moments       phi_k, mu_k, Sigma_k of z, weighted by gamma                      (eq. 4)
    energy        E(z) = -log sum_k phi_k N(z; mu_k, Sigma_k)                       (eq. 5)
    loss          |x - x'|^2 + lambda_1 E(z) + lambda_2 sum_kj 1 / Sigma_kjj        (eq. 6)
    error         E(z) above the least energy seen, shared out over the dimensions of the last row
                  by their (x - x')^2, and what was clipped of the value

While it learns, moments are those of the batch; before every validation they are fixed to those of
the windows it learns from, spread evenly, and what is kept serves. So they are where nothing is
learned: initial weights have codes, too.

What differs from the paper, and why:
- The energy is one number. Shared out so, its sum over dimensions is itself, and the dimension that
  is reconstructed worst carries most of it.
- Covariances have 1e-4 added, not 1e-6: in float32 energies would not be the same twice.
- What serves takes the logarithm of the sum over components by Halley's iteration: Log would
  depend on the batch in ONNX Runtime.
"""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.configs_window import DagmmConfig
from trainer.models.window_network import Outlook, WindowNetwork
from trainer.training import Loss

COVARIANCE_FLOOR = 1e-4
NORM_FLOOR = 1e-3  # added to |x|
TINY = 1e-12  # below it no direction is known
HALLEY_STEPS = 3  # the last digit of float32 from 1 to 100


class Moments(NamedTuple):
    """Of the components; float64, for the inverse of a covariance needs it."""

    share: Tensor  # (K,) phi
    mean: Tensor  # (K, Z) mu
    covariance: Tensor  # (K, Z, Z) Sigma


class Mixture(NamedTuple):
    """What an energy is computed from."""

    constant: Tensor  # (K,) -log phi + (Z log 2 pi + log det Sigma) / 2
    mean: Tensor  # (K, Z)
    whitening: Tensor  # (K, Z, Z) inverse of the Cholesky factor of Sigma, transposed


class Dagmm(WindowNetwork):
    """Autoencoder, membership and the mixture that serves."""

    constant: Tensor
    mean: Tensor
    whitening: Tensor
    least: Tensor

    def __init__(self, dimensions: int, config: DagmmConfig) -> None:
        super().__init__(config)
        self.energy_weight, self.penalty_weight = config.energy_weight, config.penalty_weight
        self.rows = 1 if config.is_pointwise else config.window_length
        sizes = [self.rows * dimensions, *config.layers, config.code]
        self.encoder, self.decoder = _layers(sizes), _layers(sizes[::-1])
        size, components = config.code + 2, config.gaussians
        self.membership = nn.Sequential(
            nn.Linear(size, config.hidden),
            nn.Tanh(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, components),
        )
        unsettled = Moments(
            torch.full((components,), 1 / components, dtype=torch.float64),
            torch.zeros(components, size, dtype=torch.float64),
            torch.eye(size, dtype=torch.float64).repeat(components, 1, 1),
        )
        for name, tensor in mixture(unsettled)._asdict().items():
            self.register_buffer(name, tensor.float())
        self.register_buffer("least", torch.zeros(()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Flattened rows (B, n) -> x' (B, n), z (B, Z)."""
        code = self.encoder(x)
        rebuilt = self.decoder(code)
        length, other, apart = (_norm(part) for part in (x, rebuilt, x - rebuilt))
        cosine = _dot(x, rebuilt) / (length * other + TINY)
        z = torch.cat([code, apart / (length + NORM_FLOOR), 0.5 * (1 - cosine)], dim=1)
        return rebuilt, z

    def loss(self, x: Tensor, *, step: int) -> Loss:  # noqa: ARG002  the same at every step
        """With the moments of the batch."""
        x = x[:, -self.rows :].flatten(1)
        rebuilt, z = self(x)
        found = moments([(z, self._membership(z))])
        return self._loss(x - rebuilt, z, mixture(found), found.covariance)

    def held_out_loss(self, x: Tensor) -> Tensor:
        """With the moments that serve."""
        x = x[:, -self.rows :].flatten(1)
        rebuilt, z = self(x)
        served = Mixture(self.constant, self.mean, self.whitening)
        root = torch.linalg.inv(self.whitening.double()).mT  # (K, Z, Z)
        return self._loss(x - rebuilt, z, served, root @ root.mT).value

    def settle(self, seen: Iterable[Tensor]) -> None:
        """Fix the moments, and the least energy."""
        codes = [self(x[:, -self.rows :].flatten(1))[1] for x in seen]
        made = mixture(moments([(z, self._membership(z)) for z in codes]))
        for name, tensor in made._asdict().items():
            getattr(self, name).copy_(tensor)
        self.least.copy_(min(self._energy(z).min() for z in codes))

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """By the energy, shared out over the dimensions."""
        last = x[:, -1]
        rebuilt, z = self(x[:, -self.rows :].flatten(1))
        mean = rebuilt[:, -last.shape[1] :]  # (B, D) newest row
        squares = (last - mean) * (last - mean)
        share = squares / (squares @ torch.ones_like(squares[0])[:, None] + TINY)
        above = torch.relu(self._energy(z) - self.least)  # (B, 1)
        return Outlook(mean, torch.ones_like(mean), above * share + (value - last).abs())

    def _membership(self, z: Tensor) -> Tensor:
        return torch.softmax(self.membership(z), dim=1)  # (B, K)

    def _energy(self, z: Tensor) -> Tensor:
        """Of the mixture that serves (B, 1)."""
        return -log_sum_exp(log_densities(z, Mixture(self.constant, self.mean, self.whitening)))

    def _loss(self, apart: Tensor, z: Tensor, of: Mixture, covariance: Tensor) -> Loss:
        energy = -torch.logsumexp(log_densities(z.to(of.mean.dtype), of), dim=1).mean()
        penalty = covariance.diagonal(dim1=1, dim2=2).reciprocal().sum()
        terms = {
            "reconstruction": apart.square().sum(dim=1).mean(),
            "energy": energy.float(),
            "penalty": penalty.float(),
        }
        value = terms["reconstruction"] + self.energy_weight * terms["energy"]
        return Loss(value + self.penalty_weight * terms["penalty"], terms)


def moments(batches: Iterable[tuple[Tensor, Tensor]]) -> Moments:
    """Of codes (B, Z) with their memberships (B, K), all batches together; equation 4."""
    known = [(z.double(), gamma.double()) for z, gamma in batches]
    weight = torch.stack([gamma.sum(0) for _, gamma in known]).sum(0)  # (K,)
    first = torch.stack([gamma.mT @ z for z, gamma in known]).sum(0)  # (K, Z)
    products = [torch.einsum("bk,bi,bj->kij", gamma, z, z) for z, gamma in known]
    second = torch.stack(products).sum(0)  # (K, Z, Z)
    members = weight + TINY
    mean = first / members[:, None]
    spread = second / members[:, None, None] - mean[:, :, None] * mean[:, None]
    floor = COVARIANCE_FLOOR * torch.eye(mean.shape[1], dtype=torch.float64)
    return Moments(weight / weight.sum(), mean, spread + floor)


def mixture(of: Moments) -> Mixture:
    """Its constants and roots."""
    factor, failed = torch.linalg.cholesky_ex(of.covariance)  # (K, Z, Z) lower
    factor = torch.where(failed[:, None, None] > 0, torch.nan, factor)  # then the loss is, too
    half_log_determinant = factor.diagonal(dim1=1, dim2=2).log().sum(1)
    constant = 0.5 * of.mean.shape[1] * math.log(2 * math.pi) + half_log_determinant
    whitening = torch.linalg.inv(factor).mT
    return Mixture(constant - (of.share + TINY).log(), of.mean, whitening)


def log_densities(z: Tensor, of: Mixture) -> Tensor:
    """Codes (B, Z) -> log phi_k N(z; mu_k, Sigma_k) (B, K)."""
    white = (z[:, None, None] - of.mean[:, None]) @ of.whitening  # (B, K, 1, Z)
    squares = (white @ white.mT)[..., 0, 0]
    return -of.constant - 0.5 * squares


def log_sum_exp(logs: Tensor) -> Tensor:
    """Logarithms (B, K) -> that of the sum of what they are of (B, 1), without a logarithm."""
    highest = logs[:, :1]
    for other in torch.split(logs, 1, dim=1)[1:]:
        highest = torch.maximum(highest, other)
    total = (logs - highest).exp() @ torch.ones_like(logs[0])[:, None]  # (B, 1), from 1 to K
    y = 2 * (total - 1) / (total + 1)
    for _ in range(HALLEY_STEPS):
        y = y + 2 * (total - y.exp()) / (total + y.exp())
    return highest + y


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """(B, n) and (B, n) -> (B, 1); a reduction would depend on the batch."""
    return (a * b) @ torch.ones_like(a[0])[:, None]


def _norm(a: Tensor) -> Tensor:
    return (_dot(a, a) + TINY).sqrt()


def _layers(sizes: list[int]) -> nn.Sequential:
    """Linear layers from size to size, tanh after each but the last."""
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.Tanh()]
    return nn.Sequential(*layers[:-1])
