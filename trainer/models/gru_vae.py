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
  back-propagation sees what serving sees, a point at a time. (Knob `lesson`.)
- The scale of x is bounded, `low + (high - low) * sigmoid(.)`: an unbounded one grows exactly on
  unseen inputs, and softplus is not batch-invariant in ONNX Runtime. (Knob `scale_form`.)
- The latent recurrence is kept a contraction, so that the error of a wrong state fades.
- The reset gate is PyTorch's, applied after the recurrent product.
- Loss and score are those of the paper's text; its released code lets no gradient into qnet, has no
  prior in its loss, and conditions log q on z_t.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.config import GruVaeConfig
from trainer.models.latents import (
    PlanarFlows,
    RandomWalkPrior,
    StandardNormalPrior,
    normal_log_density,
)

SPECTRAL_LIMIT = 0.98  # of the latent recurrence
SCALE_LOW, SCALE_HIGH = 0.05, 3.0  # of x, whose dimensions come with unit standard deviation
SOFTPLUS_HIGH = 10.0  # of x where the form is softplus, so that no error can be explained away


class State(NamedTuple):
    """What one chunk of a lane hands to the next; all zeros is a fresh start."""

    encoder: Tensor  # (B, carried): H of a GRU; of an LSTM hidden and cell, 2 H
    latent: Tensor  # (B, Z), before the flow
    decoder: Tensor  # (B, carried)
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


class GruVae(nn.Module):
    """Encoder, latents, flows, prior and decoder; what is optional of them is None if left out."""

    def __init__(self, dimensions: int, config: GruVaeConfig) -> None:
        super().__init__()
        self.config, self.latent = config, config.latent
        widths = (config.hidden, config.dense, config.dense)
        is_relu = config.dense_activation == "relu"
        cell = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.encoder = cell(dimensions, config.hidden, batch_first=True)
        self.encoder_dense = _dense(widths, is_relu=is_relu)
        self.from_hidden = nn.Linear(config.dense, 2 * config.latent)
        self.from_latent: nn.Linear | None = None
        if config.is_connected_q:
            self.from_latent = nn.Linear(config.latent, 2 * config.latent, bias=False)
        self.flows = PlanarFlows(config.latent, config.flows) if config.flow_type == "nf" else None
        self.prior = RandomWalkPrior() if config.is_connected_p else StandardNormalPrior()
        self.decoder = cell(config.latent, config.hidden, batch_first=True)
        self.decoder_dense = _dense(widths, is_relu=is_relu)
        self.head = nn.Linear(config.dense, 2 * dimensions)
        self._initialise()
        self.contract()

    @property
    def carried(self) -> int:
        """Numbers that each of both recurrent layers carries."""
        return (2 if self.config.cell == "lstm" else 1) * self.config.hidden

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
        hidden = weight.new_zeros(batch, self.carried)
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
        z, log_det = self._flow(z0)
        log_prior, prior_mean = self.prior(z, state.prior_mean, state.age)
        mean, scale, decoder = self._decode(z, state.decoder)
        log_x = normal_log_density(x, mean, scale).sum(-1)  # (B, T)
        evidence = Evidence(log_x.mean(), log_prior.mean(), (log_q0 - log_det).mean())
        return evidence, State(encoder, z0[:, -1], decoder, prior_mean, state.age + steps)

    def reconstruct(self, x: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """The pass that serves: posterior means, no noise; mean and scale are (B, T, D)."""
        h, encoder = self._encode(x, state.encoder)
        z0 = self.from_hidden(h)[..., : self.latent]  # (B, T, Z)
        recurrence = self.mean_recurrence()
        if recurrence is not None:
            z_t, means = state.latent, []
            for drive_t in z0.unbind(1):
                z_t = drive_t + z_t @ recurrence.T  # (B, Z)
                means.append(z_t)
            z0 = torch.stack(means, 1)
        z, _ = self._flow(z0)
        mean, scale, decoder = self._decode(z, state.decoder)
        age = state.age + x.shape[1]
        return mean, scale, State(encoder, z0[:, -1], decoder, state.prior_mean, age)

    def mean_recurrence(self) -> Tensor | None:
        """W_z (Z, Z) of mu_t = a_t + W_z z0_{t-1}; None where the latents are not connected."""
        return None if self.from_latent is None else self.from_latent.weight[: self.latent]

    def scale_of(self, raw: Tensor) -> Tensor:
        """The standard deviation of x, of what the head says of it."""
        if self.config.scale_form == "softplus":
            scale = functional.softplus(raw) + self.config.std_epsilon
            return scale.clamp(max=SOFTPLUS_HIGH)
        return bounded_scale(raw)

    @torch.no_grad()
    def contract(self) -> None:
        """Scale W_z back so that its spectral norm stays below `SPECTRAL_LIMIT`."""
        recurrence = self.mean_recurrence()
        if recurrence is None:
            return
        norm = float(torch.linalg.matrix_norm(recurrence, 2))
        if norm > SPECTRAL_LIMIT:
            recurrence.mul_(SPECTRAL_LIMIT / norm)

    def _encode(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        e, last = _run(self.encoder, x, state)  # (B, T, H), (B, carried)
        return self.encoder_dense(e), last

    def _flow(self, z0: Tensor) -> tuple[Tensor, Tensor]:
        if self.flows is None:
            return z0, z0.new_zeros(z0.shape[:-1])
        z, log_det = self.flows(z0)
        return z, log_det

    def _sample(self, h: Tensor, z: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draw z0 (B, T, Z), step by step if connected; log q(z0) (B, T) before the flow."""
        drive = self.from_hidden(h)  # (B, T, 2 Z)
        if self.from_latent is None:
            mean, raw_scale = drive.chunk(2, dim=2)
            scale = functional.softplus(raw_scale) + self.config.std_epsilon
            z0 = torch.addcmul(mean, scale, noise)
        else:
            weight, samples, scales = self.from_latent.weight.T, [], []
            for drive_t, noise_t in zip(drive.unbind(1), noise.unbind(1), strict=True):
                mean, raw_scale = torch.addmm(drive_t, z, weight).chunk(2, dim=1)
                scales.append(functional.softplus(raw_scale) + self.config.std_epsilon)
                z = torch.addcmul(mean, scales[-1], noise_t)  # (B, Z)
                samples.append(z)
            z0, scale = torch.stack(samples, 1), torch.stack(scales, 1)
        # z0 - mu is scale * noise, so its density needs no mu
        log_q = -0.5 * (noise.square() + math.log(2 * math.pi)) - scale.log()
        return z0, log_q.sum(-1)

    def _decode(self, z: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        d, last = _run(self.decoder, z, state)  # (B, T, H), (B, carried)
        mean, raw_scale = self.head(self.decoder_dense(d)).chunk(2, dim=-1)  # (B, T, D) each
        return mean, self.scale_of(raw_scale), last


def _run(cell: nn.GRU | nn.LSTM, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """x (B, T, inputs), state (B, carried) -> every hidden (B, T, H), the state (B, carried)."""
    if isinstance(cell, nn.GRU):
        every, last = cell(x, state[None])
        return every, last[0]
    hidden, memory = state[None].chunk(2, dim=2)
    every, (hidden, memory) = cell(x, (hidden.contiguous(), memory.contiguous()))
    return every, torch.cat([hidden, memory], dim=2)[0]


def _dense(widths: tuple[int, ...], *, is_relu: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), *([nn.ReLU()] if is_relu else [])]
    return nn.Sequential(*layers)


def bounded_scale(raw: Tensor) -> Tensor:
    """A standard deviation between `SCALE_LOW` and `SCALE_HIGH`, in the units of x."""
    return SCALE_LOW + (SCALE_HIGH - SCALE_LOW) * torch.sigmoid(raw)


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
