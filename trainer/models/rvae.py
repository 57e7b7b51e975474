"""The recurrent VAE of the aSTEP time-series services: a window in one code, and back out of it.

    encoder   GRU over the window; its last state, a dense layer, N(mean, exp(log variance))
    decoder   the code at every point, a dense layer, GRU, a dense layer, x'
    loss      mean square of x - x', or binary cross-entropy of x in 0..1, + weight x KL
              (Kingma and Welling, ICLR 2014, eq. 10), the weight growing from 0 while it warms up
              (Bowman et al., CoNLL 2016, section 3.1)
    error     |x - x'| of the last row, from the mean code

What differs from that service, and why: it takes the error of whole windows; here that of the
newest point decides, which no earlier one dilutes. KL is the mean over the numbers of the code, so
that `kl_weight` need not be chosen anew for every `latent`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs_window import RvaeConfig
from trainer.models.gaussian import Gaussian, GaussianHead
from trainer.models.window_network import Outlook, WindowNetwork
from trainer.training import Loss


class Rvae(WindowNetwork):
    """Encoder and decoder."""

    map_names = ("latent",)

    def __init__(self, dimensions: int, config: RvaeConfig) -> None:
        super().__init__(config)
        hidden, dense = config.hidden, config.dense
        self.is_bce, self.kl_weight = config.reconstruction == "bce", config.kl_weight
        self.warm_up = max(config.beta_epochs * config.epoch_steps, 1)  # updates
        self.encoder = nn.GRU(dimensions, hidden, batch_first=True)
        self.encoder_dense = nn.Sequential(nn.Linear(hidden, dense), nn.ReLU())
        self.head = GaussianHead(dense, config.latent)
        self.decoder_dense = nn.Sequential(nn.Linear(config.latent, dense), nn.ReLU())
        self.decoder = nn.GRU(dense, hidden, batch_first=True)
        self.out = nn.Sequential(nn.Linear(hidden, dense), nn.ReLU(), nn.Linear(dense, dimensions))

    def encode(self, x: Tensor) -> Gaussian:
        """Windows (B, T, D) -> codes (B, Z)."""
        _, h = self.encoder(x)  # (1, B, H)
        code: Gaussian = self.head(self.encoder_dense(h[0]))
        return code

    def decode(self, z: Tensor, *, steps: int) -> Tensor:
        """Codes (B, Z) -> states of the decoder (B, T, H)."""
        repeated = self.decoder_dense(z)[:, None].expand(-1, steps, -1)
        states: Tensor = self.decoder(repeated)[0]
        return states

    def loss(self, x: Tensor, *, step: int) -> Loss:
        """Of codes drawn at random."""
        code = self.encode(x)
        return self._loss(x, code, code.sample(), weight=min(1.0, step / self.warm_up))

    def held_out_loss(self, x: Tensor) -> Tensor:
        """Of mean codes, with the whole weight."""
        code = self.encode(x)
        return self._loss(x, code, code.mean, weight=1.0).value

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """By the reconstruction of the last row."""
        z = self.encode(x).mean  # (B, Z)
        out = self.out(self.decode(z, steps=x.shape[1])[:, -1])  # (B, D)
        mean = torch.sigmoid(out) if self.is_bce else out
        return Outlook(mean, torch.ones_like(mean), (value - mean).abs(), (z,))

    def _loss(self, x: Tensor, code: Gaussian, z: Tensor, *, weight: float) -> Loss:
        out = self.out(self.decode(z, steps=x.shape[1]))  # (B, T, D)
        if self.is_bce:
            reconstruction = functional.binary_cross_entropy_with_logits(out, x.clamp(0, 1))
        else:
            reconstruction = functional.mse_loss(out, x)
        divergence = code.divergence().mean() / z.shape[1]
        terms = {"reconstruction": reconstruction, "KL": divergence}
        return Loss(reconstruction + weight * self.kl_weight * divergence, terms)
