"""LSTM-VAE: a window in one code by an LSTM, and back out of it by another.

Park, Hoshi, Kemp: A multimodal anomaly detector for robot-assisted feeding using an LSTM-based
variational autoencoder, IEEE Robotics and Automation Letters 2018.

    encoder   LSTM over the window; its last state h, N(mean, exp(log variance)), linear in h
    decoder   the code at every point, LSTM, x' and, if asked for, a standard deviation s
    loss      mean square of x - x', or -log N(x; x', s^2) per value, + factor x KL / (T D)
              (section IV-B)
    error     |x - x'| of the last row, or |x - x'| / s, from the mean code

What differs from the paper, and why:
- s is bounded, `low + (1 - low) * sigmoid(.)`: it cannot grow on what was never seen and excuse
  it; the error is the root of twice what -log N says of it, without its constant.
- The prior stays N(0, I); there its mean moves with the task's progress, which metrics do not have.
- The log variance is linear in h; public code reads a softplus as one, never below 0.
"""

import torch
from torch import Tensor, nn

from trainer.configs_window import LstmVaeConfig
from trainer.models.gaussian import Gaussian, GaussianHead
from trainer.models.window_network import Outlook, WindowNetwork
from trainer.training import Loss


class LstmVae(WindowNetwork):
    """Encoder and decoder."""

    map_names = ("latent",)

    def __init__(self, dimensions: int, config: LstmVaeConfig) -> None:
        super().__init__(config)
        self.is_gaussian, self.scale_low = config.likelihood == "gaussian", config.scale_low
        self.kl_weight = config.kl_weight
        self.encoder = nn.LSTM(dimensions, config.hidden, batch_first=True)
        self.head = GaussianHead(config.hidden, config.latent)
        self.decoder = nn.LSTM(config.latent, config.hidden, batch_first=True)
        self.out = nn.Linear(config.hidden, dimensions * (2 if self.is_gaussian else 1))

    def encode(self, x: Tensor) -> Gaussian:
        """Windows (B, T, D) -> codes (B, Z)."""
        _, (h, _) = self.encoder(x)  # (1, B, H)
        code: Gaussian = self.head(h[0])
        return code

    def decode(self, z: Tensor, *, steps: int) -> Tensor:
        """Codes (B, Z) -> states of the decoder (B, T, H)."""
        states: Tensor = self.decoder(z[:, None].expand(-1, steps, -1))[0]
        return states

    def read(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """States (..., H) -> x' and s (..., D); s is 1 where none is asked for."""
        out = self.out(states)
        if not self.is_gaussian:
            return out, torch.ones_like(out)
        mean, raw = out.chunk(2, dim=-1)
        return mean, self.scale_low + (1 - self.scale_low) * torch.sigmoid(raw)

    def loss(self, x: Tensor, *, step: int) -> Loss:  # noqa: ARG002  the same at every step
        """Of codes drawn at random."""
        code = self.encode(x)
        return self._loss(x, code, code.sample())

    def held_out_loss(self, x: Tensor) -> Tensor:
        """Of mean codes."""
        code = self.encode(x)
        return self._loss(x, code, code.mean).value

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """By the reconstruction of the last row."""
        z = self.encode(x).mean  # (B, Z)
        mean, scale = self.read(self.decode(z, steps=x.shape[1])[:, -1])
        return Outlook(mean, scale, (value - mean).abs() / scale, (z,))

    def _loss(self, x: Tensor, code: Gaussian, z: Tensor) -> Loss:
        mean, scale = self.read(self.decode(z, steps=x.shape[1]))  # (B, T, D)
        squares = ((x - mean) / scale).square()
        fit = 0.5 * squares + scale.log() if self.is_gaussian else squares
        terms = {"fit": fit.mean(), "KL": code.divergence().mean() / x[0].numel()}
        return Loss(terms["fit"] + self.kl_weight * terms["KL"], terms)
