"""MAD-GAN: a generator of windows, a discriminator of them, and an encoder that inverts the first.

Li, Chen, Jin, Shi, Goh, Ng: MAD-GAN: Multivariate anomaly detection for time series data with
generative adversarial networks, ICANN 2019; a code z of Z numbers at each of T points.

    generator       LSTM over z, linear, a sigmoid: G(z) (T, D), values between 0 and 1
    discriminator   LSTM over x or G(z), linear, a sigmoid: D (T,), 1 is real        (eq. 1)
    encoder         LSTM over x, linear: E(x) (T, Z)
    losses          of D   binary cross-entropy, x against G(z), z ~ N(0, I)
                    of E   mean square of E(G(z)) - z, and 100 times that of G(E(x)) - x
                    of G   that of taking G(z) for real, and `cycle_weight` times the last of E
    error           (1 - lambda) |x - G(E(x))| + lambda (1 - D(x)) of the last row   (eq. 4 to 6)

G learns in `generator_rounds` updates to one of D, E in all of them.

What differs from the paper, and why:
- It looks for the z of a window by gradient descent at every point, which no graph can hold; the
  encoder is trained to know it, above all of windows that are there, and the same in every turn.
  Validation asks how well: mean square of x - G(E(x)).
- G helps E to invert it (`cycle_weight`; cycle consistency, Zhu et al., ICCV 2017, eq. 2): alone
  against D, a generator of this size leaves most windows out, and E cannot find what is not there.
- All learn with one optimiser; there D has plain gradient descent at a rate of its own.
- Values lie between 0 and 1, not -1 and 1: a sigmoid for its tanh.
- The newest point of the window it ends decides; there errors of overlapping windows are averaged,
  which needs rows that are yet to come.
- 1 - D is one number for all dimensions of a row; who is to blame is up to |x - G(E(x))|.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs_window import MadGanConfig
from trainer.models.window_network import Outlook, WindowNetwork
from trainer.training import Loss

WINDOWS_WEIGHT = 100.0  # of windows that are there beside those it generates, for the encoder


class Sequential(nn.Module):
    """An LSTM, and a linear layer on each of its states."""

    def __init__(self, inputs: int, outputs: int, *, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.out = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T, outputs)."""
        out: Tensor = self.out(self.lstm(x)[0])
        return out


class MadGan(WindowNetwork):
    """Generator, discriminator and encoder."""

    map_names = ("latent",)

    def __init__(self, dimensions: int, config: MadGanConfig) -> None:
        super().__init__(config)
        self.latent, self.rounds = config.latent, config.generator_rounds
        self.suspicion = config.discrimination_weight  # lambda
        self.cycle_weight, hidden = config.cycle_weight, config.hidden
        self.generator = Sequential(config.latent, dimensions, hidden=hidden)
        self.discriminator = Sequential(dimensions, 1, hidden=hidden)
        self.encoder = Sequential(dimensions, config.latent, hidden=hidden)

    def generate(self, z: Tensor) -> Tensor:
        """Codes (B, T, Z) -> windows (B, T, D)."""
        return torch.sigmoid(self.generator(z))

    def loss(self, x: Tensor, *, step: int) -> Loss:
        """Of the discriminator first, then of the generator, and of the encoder always."""
        z = torch.randn(*x.shape[:2], self.latent)
        made, found = self.generate(z), self.encoder(x)
        inversion = (self.encoder(made.detach()) - z).square().mean()
        reconstruction = (x - self.generate(found)).square().mean()
        of_encoder = inversion + WINDOWS_WEIGHT * reconstruction  # in every turn
        terms = {"inversion": inversion, "reconstruction": reconstruction}
        learned = tuple(self.encoder.parameters())
        if step % (1 + self.rounds) == 1:
            terms["discrimination"] = _mistaken(self.discriminator(x), is_real=True) + _mistaken(
                self.discriminator(made.detach()), is_real=False
            )
            value = terms["discrimination"] + of_encoder
            return Loss(value, terms, (*learned, *self.discriminator.parameters()))
        terms["deception"] = _mistaken(self.discriminator(made), is_real=True)
        value = terms["deception"] + of_encoder
        if self.cycle_weight != WINDOWS_WEIGHT:  # the same as the generator alone can move it
            of_generator = (x - self.generate(found.detach())).square().mean()
            value = value + (self.cycle_weight - WINDOWS_WEIGHT) * of_generator
        return Loss(value, terms, (*learned, *self.generator.parameters()))

    def held_out_loss(self, x: Tensor) -> Tensor:
        """Mean square of what the encoder does not find."""
        return (x - self.generate(self.encoder(x))).square().mean()

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """By what is generated for the window, and by whether it is taken for real."""
        z = self.encoder(x)  # (B, T, Z)
        mean = self.generate(z)[:, -1]  # (B, D)
        fake = 1 - torch.sigmoid(self.discriminator(x)[:, -1])  # (B, 1)
        error = (1 - self.suspicion) * (value - mean).abs() + self.suspicion * fake
        return Outlook(mean, torch.ones_like(mean), error, (z[:, -1],))


def _mistaken(logits: Tensor, *, is_real: bool) -> Tensor:
    """Mean binary cross-entropy of logits (B, T, 1) that all should say the same."""
    wanted = torch.full_like(logits, float(is_real))
    return functional.binary_cross_entropy_with_logits(logits, wanted)
