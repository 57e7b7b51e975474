"""The GRU-VAE: a stochastic recurrent network over one entity's points.

Su, Zhao, Niu, Liu, Sun, Pei: Robust anomaly detection for multivariate time series through
stochastic recurrent neural network, KDD 2019 ("OmniAnomaly"); qnet and pnet are that paper's words.

    qnet    e_t = GRU(x_t, e_{t-1});  h_t = two dense layers on e_t
            z0_t ~ N(mu_t, s_t^2), both linear in [h_t ; z0_{t-1}]: connected latents
            z_t = K planar flows of z0_t        Rezende and Mohamed, ICML 2015, eq. 10 to 12
    prior   z_t = s_t + noise, s_t a random walk: a linear-Gaussian state-space model,
            log p(z_t | z_<t) by the Kalman filter    Kalman, 1960
    pnet    d_t = GRU(z_t, d_{t-1});  x_t ~ N(mean_t, scale_t^2), linear in two dense layers on d_t

What differs from the paper, and why:
- The state is carried: `forward` takes it and gives it back, so training by truncated
  back-propagation sees what serving sees, a point at a time.
- The scale of x is bounded, `low + (high - low) * sigmoid(.)`: an unbounded one grows exactly on
  unseen inputs, and softplus is not batch-invariant in ONNX Runtime.
- The latent recurrence is kept a contraction, so that the error of a wrong state fades.
- The reset gate is PyTorch's, applied after the recurrent product.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import GruVaeConfig
from trainer.training import Loss
from trainer.windows import Lanes

SPECTRAL_LIMIT = 0.98  # of the latent recurrence
POSTERIOR_SCALE_FLOOR = 1e-4
SCALE_LOW, SCALE_HIGH = 0.05, 3.0  # of x, whose dimensions come with unit standard deviation
LOG_DENSITY_LIMIT = 1e4  # per dimension; keeps one wild value from ending the training
KALMAN_STEPS = 32  # the filter has converged to the last float64 digit long before


class State(NamedTuple):
    """What one chunk of a lane hands to the next; all zeros is a fresh start."""

    encoder: Tensor  # (B, H)
    latent: Tensor  # (B, Z), before the flow
    decoder: Tensor  # (B, H)
    prior_mean: Tensor  # (B, Z), what the prior expects of the next z
    age: Tensor  # (B,) int64, steps since the fresh start

    def detached(self, is_fresh: Tensor) -> "State":
        """Cut the gradient; start over where `is_fresh (B,)`."""
        keep = ~is_fresh  # (B,)
        encoder, latent, decoder, prior_mean = (part.detach() * keep[:, None] for part in self[:4])
        return State(encoder, latent, decoder, prior_mean, self.age * keep)


class Evidence(NamedTuple):
    """The three terms of the evidence lower bound, mean per step (scalars)."""

    reconstruction: Tensor  # log p(x | z)
    prior: Tensor  # log p(z)
    posterior: Tensor  # log q(z | x)

    def loss(self, beta: float = 1.0) -> Tensor:
        """Negative lower bound (Kingma and Welling, ICLR 2014, eq. 2), its divergence by `beta`."""
        return -(self.reconstruction + beta * (self.prior - self.posterior))


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


class GruVae(nn.Module):
    """Encoder, connected latents, flows, prior and decoder; x has unit standard deviations."""

    def __init__(self, dimensions: int, config: GruVaeConfig) -> None:
        super().__init__()
        self.is_linear_skip = config.is_linear_skip  # x is what a PCA leaves over
        self.latent = config.latent
        self.hidden = config.hidden
        widths = (config.hidden, config.dense, config.dense)
        is_relu = config.dense_activation == "relu"
        self.encoder = nn.GRU(dimensions, config.hidden, batch_first=True)
        self.encoder_dense = _dense(widths, is_relu=is_relu)
        self.from_hidden = nn.Linear(config.dense, 2 * config.latent)
        self.from_latent = nn.Linear(config.latent, 2 * config.latent, bias=False)
        self.flows = PlanarFlows(config.latent, config.flows)
        self.prior = RandomWalkPrior()
        self.decoder = nn.GRU(config.latent, config.hidden, batch_first=True)
        self.decoder_dense = _dense(widths, is_relu=is_relu)
        self.head = nn.Linear(config.dense, 2 * dimensions)
        self._initialise()
        self.contract()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if name.startswith("flows."):
                continue
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def fresh(self, batch: int) -> State:
        """The state of `batch` lanes that have seen nothing."""
        weight = self.head.weight
        hidden = weight.new_zeros(batch, self.hidden)
        latent = weight.new_zeros(batch, self.latent)
        return State(hidden, latent, hidden, latent, torch.zeros(batch, dtype=torch.int64))

    def forward(
        self, x: Tensor, state: State, *, generator: torch.Generator | None = None
    ) -> tuple[Evidence, State]:
        """One sample of the lower bound over x (B, T, D), and the state behind its last step."""
        batch, steps, _ = x.shape
        noise = torch.randn(batch, steps, self.latent, generator=generator, dtype=x.dtype)
        h, encoder = self._encode(x, state.encoder)
        z0, log_q0 = self._sample(h, state.latent, noise)  # (B, T, Z), (B, T)
        z, log_det = self.flows(z0)
        log_prior, prior_mean = self.prior(z, state.prior_mean, state.age)
        mean, scale, decoder = self._decode(z, state.decoder)
        log_x = normal_log_density(x, mean, scale).sum(-1)  # (B, T)
        evidence = Evidence(log_x.mean(), log_prior.mean(), (log_q0 - log_det).mean())
        return evidence, State(encoder, z0[:, -1], decoder, prior_mean, state.age + steps)

    def reconstruct(self, x: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """The pass that serves: posterior means, no noise; mean and scale are (B, T, D)."""
        h, encoder = self._encode(x, state.encoder)
        drive = self.from_hidden(h)[..., : self.latent]  # (B, T, Z)
        recurrence = self.mean_recurrence()
        z_t, means = state.latent, []
        for drive_t in drive.unbind(1):
            z_t = drive_t + z_t @ recurrence.T  # (B, Z)
            means.append(z_t)
        z, _ = self.flows(torch.stack(means, 1))
        mean, scale, decoder = self._decode(z, state.decoder)
        age = state.age + x.shape[1]
        return mean, scale, State(encoder, z_t, decoder, state.prior_mean, age)

    def mean_recurrence(self) -> Tensor:
        """W_z (Z, Z) of mu_t = a_t + W_z z0_{t-1}."""
        return self.from_latent.weight[: self.latent]

    @torch.no_grad()
    def contract(self) -> None:
        """Scale W_z back so that its spectral norm stays below `SPECTRAL_LIMIT`."""
        recurrence = self.mean_recurrence()
        norm = float(torch.linalg.matrix_norm(recurrence, 2))
        if norm > SPECTRAL_LIMIT:
            recurrence.mul_(SPECTRAL_LIMIT / norm)

    def _encode(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        e, last = self.encoder(x, state[None])  # (B, T, H), (1, B, H)
        return self.encoder_dense(e), last[0]

    def _sample(self, h: Tensor, z: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draw z0 (B, T, Z) step by step; log q(z0) (B, T) before the flow."""
        drive = self.from_hidden(h)  # (B, T, 2 Z)
        weight = self.from_latent.weight.T
        samples, scales = [], []
        for drive_t, noise_t in zip(drive.unbind(1), noise.unbind(1), strict=True):
            mean, raw_scale = torch.addmm(drive_t, z, weight).chunk(2, dim=1)
            scale = functional.softplus(raw_scale) + POSTERIOR_SCALE_FLOOR
            z = torch.addcmul(mean, scale, noise_t)  # (B, Z)
            samples.append(z)
            scales.append(scale)
        # z0 - mu is scale * noise, so its density needs no mu
        log_q = -0.5 * (noise.square() + math.log(2 * math.pi)) - torch.stack(scales, 1).log()
        return torch.stack(samples, 1), log_q.sum(-1)

    def _decode(self, z: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d, last = self.decoder(z, state[None])  # (B, T, H), (1, B, H)
        mean, raw_scale = self.head(self.decoder_dense(d)).chunk(2, dim=-1)  # (B, T, D) each
        return mean, bounded_scale(raw_scale), last[0]


class GruVaeLesson:
    """Truncated back-propagation: the state of every lane is carried from chunk to chunk."""

    def __init__(
        self, network: GruVae, lanes: Lanes, held_out: Sequence[Tensor], *, config: GruVaeConfig
    ) -> None:
        self.network, self.config = network, config
        self._lanes, self._held_out = lanes, held_out
        self._state = network.fresh(config.lanes)

    def next_loss(self, step: int) -> Loss:
        """Negative lower bound per point of the next chunk of every lane."""
        self.network.contract()
        x, is_fresh = next(self._lanes)  # (B, T, D), (B,)
        evidence, self._state = self.network(x, self._state.detached(is_fresh))
        beta = min(1.0, step / (self.config.beta_epochs * self.config.epoch_steps or 1))
        return Loss(evidence.loss(beta), evidence._asdict())

    def validation_loss(self) -> float:
        """Negative lower bound per point, with the same noise every time."""
        self.network.contract()
        generator = torch.Generator().manual_seed(self.config.seed)
        total, points = 0.0, 0
        for x in self._held_out:  # (run, step, D)
            evidence, _ = self.network(x, self.network.fresh(len(x)), generator=generator)
            total += float(evidence.loss()) * x.shape[0] * x.shape[1]
            points += x.shape[0] * x.shape[1]
        return total / points


def _dense(widths: tuple[int, ...], *, is_relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), *([nn.ReLU()] if is_relu else [])]
    return nn.Sequential(*layers)


def bounded_scale(raw: Tensor) -> Tensor:
    """A standard deviation between `SCALE_LOW` and `SCALE_HIGH`, in the units of x."""
    return SCALE_LOW + (SCALE_HIGH - SCALE_LOW) * torch.sigmoid(raw)


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


def baked_recurrence(weight: Tensor, steps: int) -> Tensor:
    """M (T Z, T Z) with z0 = M a for z0_t = a_t + W z0_{t-1}, z0_0 = 0: block (t, k) = W^(t-k)."""
    latent = len(weight)
    powers = [torch.eye(latent, dtype=weight.dtype)]
    for _ in range(1, steps):
        powers.append(weight @ powers[-1])
    baked = weight.new_zeros(steps, latent, steps, latent)  # (t, :, k, :)
    for lag, power in enumerate(powers):
        for t in range(lag, steps):
            baked[t, :, t - lag, :] = power
    return baked.reshape(steps * latent, steps * latent)


def folded(*layers: nn.Linear) -> nn.Linear:
    """One linear layer equal to `layers` in a row; exact because nothing lies between them."""
    weight = layers[0].weight.detach().double()
    bias = layers[0].bias.detach().double()
    for layer in layers[1:]:
        weight = layer.weight.detach().double() @ weight
        bias = layer.weight.detach().double() @ bias + layer.bias.detach().double()
    outputs, inputs = weight.shape
    merged = nn.Linear(inputs, outputs)
    merged.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return merged
