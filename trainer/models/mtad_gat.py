"""MTAD-GAT: which dimensions and which points of a window attend to which, then a GRU, two heads.

Zhao et al.: Multivariate time-series anomaly detection via graph attention network, ICDM 2020;
lookbacks of W = T - 1 points.

    conv        v = relu(convolution of 7 points over time), all dimensions to all
    attention   of nodes v_i: dimensions with W values each, or points with D values each
                e_ij = a . leaky(P v_i + Q v_j) + B_ij, alpha_ij = softmax over j
                h_i = sigmoid(sum of alpha_ij v_j)                              (eq. 1 to 3)
                in the order of Brody, Alon, Yahav: How attentive are graph attention networks?,
                ICLR 2022; P and Q are the halves of its matrix
    memory      h = last state of a GRU over [v, h of dimensions, h of points] (W, 3 D)
    heads       the next point, from h by dense layers; the lookback, by a GRU fed h at each point
    loss        root mean square of the forecast + that of the reconstruction   (section III-E)
    error       (|x - forecast| + gamma |x - reconstruction|) / (1 + gamma) of the last row

Forecast comes from the W points before the last, reconstruction from the last W. The window graph
gives `feature_attention (B, D, D)` and `time_attention (B, W, W)` of the latter: alpha_ij, rows
sum to 1.

What differs from the paper, and why:
- Reconstruction is a GRU, as in the public code, not a VAE: it has no probability to put into the
  score, whose absolute errors are of one kind.
- It goes backwards, the newest point first (Srivastava, Mansimov, Salakhutdinov, ICML 2015,
  section 2.1): one step gives what the score asks for.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.configs_window import MtadGatConfig
from trainer.models.window_network import Outlook, WindowNetwork
from trainer.training import Loss

TAPS = 7  # of the convolution
SLOPE = 0.2  # of the leaky rectifier
MEAN_SQUARE_FLOOR = 1e-12  # the root has no gradient at 0


class GraphAttention(nn.Module):
    """Every node attends to all nodes."""

    def __init__(self, nodes: int, size: int, *, embed: int) -> None:
        super().__init__()
        self.own, self.others = nn.Linear(size, embed), nn.Linear(size, embed, bias=False)
        self.pay = nn.Linear(embed, 1, bias=False)  # a
        self.prior = nn.Parameter(torch.zeros(nodes, nodes))  # B

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes (B, N, size) -> what they become (B, N, size), alpha (B, N, N)."""
        pairs = self.own(v)[:, :, None] + self.others(v)[:, None]  # (B, N, N, E)
        e = self.pay(functional.leaky_relu(pairs, SLOPE))[..., 0] + self.prior
        alpha = torch.softmax(e, dim=-1)
        return torch.sigmoid(alpha @ v), alpha


class MtadGat(WindowNetwork):
    """Convolution, both attentions, memory and both heads."""

    map_names = ("feature_attention", "time_attention")

    def __init__(self, dimensions: int, config: MtadGatConfig) -> None:
        super().__init__(config)
        self.lookback, hidden = config.window_length - 1, config.hidden
        self.share = 1 / (1 + config.gamma)
        self.conv = nn.Conv1d(dimensions, dimensions, TAPS, padding=TAPS // 2)
        self.dimensions = GraphAttention(
            dimensions, self.lookback, embed=config.embed or 2 * self.lookback
        )
        self.points = GraphAttention(
            self.lookback, dimensions, embed=config.embed or 2 * dimensions
        )
        self.memory = nn.GRU(3 * dimensions, hidden, batch_first=True)
        dense: list[nn.Module] = []
        for _ in range(config.depth):
            dense += [nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(config.dropout)]
        self.forecast = nn.Sequential(*dense, nn.Linear(hidden, dimensions))
        self.decoder = nn.GRU(hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, dimensions)

    def represent(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Lookbacks (B, W, D) -> h (B, H), alpha of dimensions and of points."""
        v = torch.relu(self.conv(x.transpose(1, 2)))  # (B, D, W)
        of_dimensions, between_dimensions = self.dimensions(v)
        of_points, between_points = self.points(v.transpose(1, 2))
        seen = torch.cat([v.transpose(1, 2), of_dimensions.transpose(1, 2), of_points], dim=2)
        _, h = self.memory(seen)  # (1, B, H)
        return h[0], (between_dimensions, between_points)

    def reconstruct(self, h: Tensor, *, points: int) -> Tensor:
        """h (B, H) -> the last so many points (B, points, D), newest first."""
        states, _ = self.decoder(h[:, None].expand(-1, points, -1))
        made: Tensor = self.out(states)
        return made

    def loss(self, x: Tensor, *, step: int) -> Loss:  # noqa: ARG002  the same at every step
        """Of both heads on one lookback."""
        before, last = x[:, :-1], x[:, -1]
        h, _ = self.represent(before)
        forecast = _root_mean_square(last - self.forecast(h))
        rebuilt = self.reconstruct(h, points=self.lookback).flip(1)
        reconstruction = _root_mean_square(before - rebuilt)
        terms = {"forecast": forecast, "reconstruction": reconstruction}
        return Loss(forecast + reconstruction, terms)

    def held_out_loss(self, x: Tensor) -> Tensor:
        """The same, without dropout."""
        return self.loss(x, step=0).value

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """By the forecast from the rows before, and by the reconstruction of the last row."""
        passes = torch.stack([x[:, :-1], x[:, 1:]])  # (2, B, W, D)
        h, maps = self.represent(passes.flatten(0, 1))
        earlier, later = h.reshape(2, -1, h.shape[1]).unbind(0)
        forecast = self.forecast(earlier)  # (B, D)
        rebuilt = self.reconstruct(later, points=1)[:, 0]
        mean = self.share * forecast + (1 - self.share) * rebuilt
        error = self.share * (value - forecast).abs() + (1 - self.share) * (value - rebuilt).abs()
        newest = tuple(alpha.reshape(2, -1, *alpha.shape[1:])[1] for alpha in maps)
        return Outlook(mean, torch.ones_like(mean), error, newest)


def _root_mean_square(apart: Tensor) -> Tensor:
    return apart.square().mean().clamp_min(MEAN_SQUARE_FLOOR).sqrt()
