"""What a latent z may be: the flow that bends its posterior, and the priors over its steps.

Planar flows: Rezende and Mohamed, ICML 2015, eq. 10 to 12. The random walk is a linear-Gaussian
state-space model, its density that of the Kalman filter (Kalman, 1960).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LOG_DENSITY_LIMIT = 1e4  # per dimension; keeps one wild value from ending the training
KALMAN_STEPS = 32  # the filter has converged to the last float64 digit long before


class PlanarFlows(nn.Module):
    """K planar flows z <- z + u_hat tanh(w.z + b), shared by all steps (eq. 10)."""

    def __init__(self, latent: int, flows: int) -> None:
        super().__init__()
        self.w = nn.Parameter(0.01 * torch.randn(flows, latent))
        self.u = nn.Parameter(0.01 * torch.randn(flows, latent))
        self.b = nn.Parameter(torch.zeros(flows))

    def directions(self) -> Tensor:
        """u_hat (K, Z): u moved so that w.u_hat > -1: every flow is invertible (appendix A.1)."""
        w_u = (self.w * self.u).sum(1, keepdim=True)  # (K, 1)
        norm = self.w.square().sum(1, keepdim=True).clamp_min(1e-12)  # (K, 1)
        return self.u + (functional.softplus(w_u) - 1 - w_u) * self.w / norm  # (K, Z)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, Z) -> flowed z (B, T, Z) and log |det| of the whole map (B, T), eq. 12."""
        u_hat = self.directions()
        slopes = (self.w * u_hat).sum(1)  # (K,)
        log_det = z.new_zeros(z.shape[:-1])  # (B, T)
        for w, u, b, slope in zip(self.w, u_hat, self.b, slopes, strict=True):
            a = torch.tanh(z @ w + b)  # (B, T)
            log_det = log_det + torch.log1p((1 - a * a) * slope)
            z = z + a[..., None] * u
        return z, log_det


class RandomWalkPrior(nn.Module):
    """log p(z_t | z_<t) of s_t = s_{t-1} + noise, z_t = s_t + noise, by the Kalman filter.

    One scalar filter serves all latent dimensions; its variances do not depend on z, so they are
    constants (P_1 = 1; S = P + 1; g = P / S; P <- P (1 - g) + 1).
    """

    gains: Tensor
    variances: Tensor

    def __init__(self) -> None:
        super().__init__()
        gains, variances = kalman_constants(KALMAN_STEPS)
        self.register_buffer("gains", gains, persistent=False)
        self.register_buffer("variances", variances, persistent=False)

    def forward(self, z: Tensor, mean: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, T, Z), mean (B, Z), age (B,) -> log density (B, T), the next mean (B, Z)."""
        steps = age[:, None] + torch.arange(z.shape[1])  # (B, T)
        steps = steps.clamp_max(KALMAN_STEPS - 1)
        gains, variances = self.gains[steps].to(z.dtype), self.variances[steps].to(z.dtype)
        means = []
        for z_t, gain in zip(z.unbind(1), gains.unbind(1), strict=True):
            means.append(mean)
            mean = torch.lerp(mean, z_t, gain[:, None])
        scales = variances.sqrt()[..., None]  # (B, T, 1)
        return normal_log_density(z, torch.stack(means, 1), scales).sum(-1), mean


class StandardNormalPrior(nn.Module):
    """log p(z_t) of independent steps, z_t ~ N(0, I); it remembers nothing."""

    def forward(self, z: Tensor, mean: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """z (B, T, Z) -> log density (B, T), and the mean (B, Z) as it came."""
        return normal_log_density(z, torch.zeros_like(z), torch.ones_like(z)).sum(-1), mean


def normal_log_density(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Element-wise log N(x; mean, scale^2), clamped to +-`LOG_DENSITY_LIMIT`."""
    density = -0.5 * (((x - mean) / scale).square() + math.log(2 * math.pi)) - scale.log()
    return density.clamp(-LOG_DENSITY_LIMIT, LOG_DENSITY_LIMIT)


def kalman_constants(steps: int) -> tuple[Tensor, Tensor]:
    """Gains g_t and innovation variances S_t of the random-walk prior, float64 (steps,) each."""
    gains, variances, p = [], [], 1.0
    for _ in range(steps):
        variances.append(p + 1)
        gains.append(p / (p + 1))
        p = p * (1 - gains[-1]) + 1
    return torch.tensor(gains, dtype=torch.float64), torch.tensor(variances, dtype=torch.float64)
