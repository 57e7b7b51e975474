"""VAE-LSTM: codes of local windows, and an LSTM that foretells the next code from those before.

Lin, Clark, Birke, Schoenborn, Trigoni, Roberts: Anomaly detection for time series using VAE-LSTM
hybrid model, ICASSP 2020; k local windows of w points, T = k w, codes of C numbers.

    encoder   three convolutions over time that halve it, two dense layers, N(mean, std^2)
    decoder   two dense layers, three times {every point twice, convolution}, one more: (w, D)
    LSTM      E'_2 .. E'_k from the mean codes E_1 .. E_{k-1}: three layers, a linear head
    loss      of the VAE, N = w D values (section 2.2, per value):
              log(2 pi sigma^2) / 2 + |x - x'|^2 / (2 sigma^2 N) + KL / N
              of the LSTM: mean square of E' - E; no gradient goes into the codes
    error     |x - x'| of the last row, decoded from E'_k: the newest window is foretold, not seen

What differs from the published code, and why:
- Any number of dimensions: they are the input maps of convolutions over time.
- The LSTM learns beside the VAE at first, then alone on codes that stand still (`frozen_share`):
  one training, which one validation stops, by the error of the foretold windows.
- The error is that of the newest point (`last_step`); the original sums over all foretold windows
  (`sum`), in which one point is one among (k - 1) w. Either way in scaled units: sums of squares
  have their root taken.
- The head of the codes' standard deviation has a softplus where theirs has a rectifier, which
  learns no more once it is 0.
- The third LSTM layer has a tanh and a linear head; there its output is linear itself.
- Constants of the normal density are right; there the error counts half.
"""

import math

import torch
from torch import Tensor, nn

from trainer.configs_window import VaeLstmConfig
from trainer.models.gaussian import Gaussian
from trainer.models.window_network import Outlook, WindowNetwork
from trainer.training import Loss

LAYERS = 3  # of the LSTM
SLOPE = 0.2  # of the leaky rectifiers
SIGMA_FLOOR = 0.1  # of a learned sigma
STD_FLOOR = 0.01  # of codes


class Twice(nn.Module):
    """Every point of (B, maps, time) twice, so that a convolution has twice as many to fill."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, maps, time) -> (B, maps, 2 time)."""
        return x[..., None].expand(-1, -1, -1, 2).flatten(2)


class VaeLstm(WindowNetwork):
    """Encoder, decoder and LSTM."""

    map_names = ("latent",)
    ones: Tensor

    def __init__(self, dimensions: int, config: VaeLstmConfig) -> None:
        super().__init__(config)
        self.score, self.windows, self.code = config.score, config.windows, config.code
        self.local = config.window_length // config.windows
        self.frozen_from = (1 - config.frozen_share) * config.epochs * config.epoch_steps
        width, narrow = config.hidden, [config.hidden // part for part in (16, 8, 4)]
        short = narrow[2] * self.local // 8
        self.encoder = nn.Sequential(
            *_halving(dimensions, narrow[0]),
            *_halving(narrow[0], narrow[1]),
            *_halving(narrow[1], narrow[2]),
            nn.Flatten(),
            *_dense(short, width),
            *_dense(width, 4 * self.code),
        )
        self.to_mean = nn.Linear(4 * self.code, self.code)
        self.to_std = nn.Linear(4 * self.code, self.code)
        self.decoder = nn.Sequential(
            *_dense(self.code, width),
            *_dense(width, short),
            nn.Unflatten(1, (narrow[2], self.local // 8)),
            *_doubling(narrow[2], narrow[1]),
            *_doubling(narrow[1], narrow[0]),
            *_doubling(narrow[0], narrow[0]),
            nn.Conv1d(narrow[0], dimensions, 5, padding=2),
        )
        self.lstm = nn.LSTM(self.code, config.lstm_hidden, LAYERS, batch_first=True)
        self.to_code = nn.Linear(config.lstm_hidden, self.code)
        self.sigma = nn.Parameter(torch.tensor(config.sigma), requires_grad=config.is_sigma_learned)
        judged = (self.windows - 1) * self.local if self.score == "sum" else self.local
        self.register_buffer("ones", torch.ones(judged, 1), persistent=False)

    def encode(self, x: Tensor) -> Gaussian:
        """Local windows (N, w, D) -> their codes (N, C)."""
        h = self.encoder(x.transpose(1, 2))
        std = nn.functional.softplus(self.to_std(h)) + STD_FLOOR
        return Gaussian(self.to_mean(h), 2 * std.log())

    def mean_codes(self, x: Tensor) -> Tensor:
        """Windows (B, n w, D) -> (B, n, C)."""
        local = x.reshape(-1, self.local, x.shape[2])
        means: Tensor = self.to_mean(self.encoder(local.transpose(1, 2)))
        return means.reshape(x.shape[0], -1, self.code)

    def decode(self, codes: Tensor) -> Tensor:
        """(N, C) -> local windows (N, w, D)."""
        made: Tensor = self.decoder(codes)
        return made.transpose(1, 2)

    def foretell(self, codes: Tensor) -> Tensor:
        """Codes (B, n, C) -> what follows each of them (B, n, C)."""
        following: Tensor = self.to_code(self.lstm(codes)[0])
        return following

    def loss(self, x: Tensor, *, step: int) -> Loss:
        """Of both; of the LSTM alone, once codes stand still."""
        local = x.reshape(-1, self.local, x.shape[2])  # (B k, w, D)
        code = self.encode(local)
        means = code.mean.detach().reshape(len(x), -1, self.code)  # (B, k, C)
        prediction = (self.foretell(means[:, :-1]) - means[:, 1:]).square().mean()
        if step > self.frozen_from:
            moved = (*self.lstm.parameters(), *self.to_code.parameters())
            return Loss(prediction, {"prediction": prediction}, moved)
        variance = self._variance()
        apart = (local - self.decode(code.sample())).square().mean() / variance
        reconstruction = 0.5 * (apart + variance.log() + math.log(2 * math.pi))
        divergence = code.divergence().mean() / local[0].numel()
        terms = {"reconstruction": reconstruction, "KL": divergence, "prediction": prediction}
        return Loss(reconstruction + divergence + prediction, terms)

    def held_out_loss(self, x: Tensor) -> Tensor:
        """Mean square of what all foretold windows are off."""
        codes = self.foretell(self.mean_codes(x)[:, :-1])
        expected = self.decode(codes.flatten(0, 1))
        return (x[:, self.local :].reshape(expected.shape) - expected).square().mean()

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """By windows that are foretold from those before them."""
        codes = self.foretell(self.mean_codes(x[:, : -self.local]))  # (B, k - 1, C)
        if self.score != "sum":
            codes = codes[:, -1:]
        expected = self.decode(codes.flatten(0, 1))  # (B n, w, D)
        expected = expected.reshape(x.shape[0], -1, x.shape[2])  # (B, n w, D)
        last = expected[:, -1]
        newest = self.mean_codes(x[:, -self.local :])[:, -1]  # (B, C)
        error = self._error(x, value, expected)
        scale = self._variance().sqrt().expand_as(last)
        return Outlook(last, scale, error, (newest,))

    def _error(self, x: Tensor, value: Tensor, expected: Tensor) -> Tensor:
        """Of the last row, or the root of all squares."""
        if self.score == "last_step":
            return (value - expected[:, -1]).abs()
        true = torch.cat([x[:, -expected.shape[1] : -1], value[:, None]], dim=1)
        apart = (true - expected).transpose(1, 2)  # (B, D, n w)
        return ((apart * apart) @ self.ones)[..., 0].sqrt()

    def _variance(self) -> Tensor:
        if self.sigma.requires_grad:
            return self.sigma.square() + SIGMA_FLOOR**2
        return self.sigma.square()


def _halving(maps: int, made: int) -> tuple[nn.Module, ...]:
    return nn.Conv1d(maps, made, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)


def _doubling(maps: int, made: int) -> tuple[nn.Module, ...]:
    return Twice(), nn.Conv1d(maps, made, 3, padding=1), nn.LeakyReLU(SLOPE)


def _dense(width: int, made: int) -> tuple[nn.Module, ...]:
    return nn.Linear(width, made), nn.LeakyReLU(SLOPE)
