"""USAD: two autoencoders with one encoder, one of which learns to tell the other's work from data.

Audibert, Michiardi, Guyard, Marti, Zuluaga: USAD: Unsupervised anomaly detection on multivariate
time series, KDD 2020; windows flattened to n = T D numbers, E(x) the code, D1, D2 the decoders.

    w1 = D1(E(x)), w2 = D2(E(x)), w3 = D2(E(w1)); layers n, n/2, n/4, code, rectifiers between,
    a sigmoid at the end: values lie between 0 and 1
    loss of E, D1   |x - w1|^2 / e + (1 - 1/e) |x - w3|^2       e from 1 on (eq. 6 to 8)
    loss of E, D2   |x - w2|^2 / e - (1 - 1/e) |x - w3|^2
    score           alpha |x - w1|^2 + beta |x - w3|^2, alpha + beta = 1 (eq. 9)
    error           its root, of the last row: in the units of the values

What differs from the published code, and why:
- The two losses take turns, an update each, with the moments of one optimiser; there each has its
  own, one behind the other on the same batch.
- Layers are not wider than `hidden`, however many dimensions there are.
- e grows evenly from 1 to `last_e`; there it counts epochs. Where it is more than 2, the second
  loss asks for a bad w3 more than for a good w2, and what was learned is undone within an epoch.
- What both decoders reconstruct of held-out windows chooses the weights that are kept.
- Scores are of the newest point (`last_step`); with `sum`, of all points, as there.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from trainer.configs_window import UsadConfig
from trainer.models.window_network import Outlook, WindowNetwork
from trainer.training import Loss


class Usad(WindowNetwork):
    """The encoder and both decoders."""

    ones: Tensor

    def __init__(self, dimensions: int, config: UsadConfig) -> None:
        super().__init__(config)
        self.alpha, self.is_sum = config.alpha, config.score == "sum"
        self.last_e, self.updates = config.last_e, max(config.epochs * config.epoch_steps, 1)
        size = config.window_length * dimensions
        sizes = [size, *(min(config.hidden, max(size // part, 1)) for part in (2, 4))]
        sizes.append(config.latent)
        self.encoder = _layers(sizes, last=nn.ReLU())
        self.first, self.second = (_layers(sizes[::-1], last=nn.Sigmoid()) for _ in range(2))
        self.register_buffer("ones", torch.ones(config.window_length, 1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flattened windows (B, n) -> w1, w2, w3 (B, n)."""
        code = self.encoder(x)
        first, second = self.first(code), self.second(code)
        return first, second, self.second(self.encoder(first))

    def loss(self, x: Tensor, *, step: int) -> Loss:
        """At odd steps of the first autoencoder, at even ones of the second."""
        x = x.flatten(1)
        share = 1 / (1 + (self.last_e - 1) * step / self.updates)  # 1 / e
        first, second, third = ((x - w).square().mean() for w in self(x))
        encoder = tuple(self.encoder.parameters())
        if step % 2:
            terms = {"reconstruction": first, "deception": third}
            value = share * first + (1 - share) * third
            return Loss(value, terms, (*encoder, *self.first.parameters()))
        terms = {"reconstruction": second, "discrimination": third}
        value = share * second - (1 - share) * third
        return Loss(value, terms, (*encoder, *self.second.parameters()))

    def held_out_loss(self, x: Tensor) -> Tensor:
        """Mean square of what both decoders make of the code."""
        x = x.flatten(1)
        first, second, _ = self(x)
        apart: Tensor = (x - first).square() + (x - second).square()
        return 0.5 * apart.mean()

    def judge(self, x: Tensor, value: Tensor) -> Outlook:
        """By both, the second on what the first has made."""
        code = self.encoder(x.flatten(1))
        first = self.first(code)
        third = self.second(self.encoder(first))
        first, third = first.reshape(x.shape), third.reshape(x.shape)  # (B, T, D)
        mean = first[:, -1]
        true = torch.cat([x[:, :-1], value[:, None]], dim=1) if self.is_sum else value[:, None]
        rows = true.shape[1]
        apart, fooled = true - first[:, -rows:], true - third[:, -rows:]
        squares = self.alpha * apart * apart + (1 - self.alpha) * fooled * fooled
        total = (squares.transpose(1, 2) @ self.ones[:rows])[..., 0]  # (B, D)
        return Outlook(mean, torch.ones_like(mean), total.sqrt())


def _layers(sizes: list[int], *, last: nn.Module) -> nn.Sequential:
    """Linear layers from size to size, a rectifier after each but the last."""
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers[:-1], last)
