"""SLMR as it serves: the same answers from few and large matrix products, for export.

What PyTorch trains as it is told (`trainer.models.slmr`) is rewritten here without changing what it
says, for a runtime that is good at matrix products and poor at small convolutions:

- time comes first and dimensions last, so that halves, pools and steps move whole blocks;
- the taps of a convolution over all points of a window are one matrix;
- norms go into the matrices before or behind them: their factors are positive, and
  a max(x) + b = max(a x + b), relu(a x + b) = a relu(x + b / a) for a > 0;
- which dimensions a pass hides is a constant bias;
- of the decoder, which goes backwards, one step is made: only the newest point is asked for;
- a dimension is read out of the pass that hid it by a matrix with zeros for the others.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.linear import INPUT_LIMIT
from trainer.models.slmr import Branch, Slmr, TimeConvolution, pool


class Heads(NamedTuple):
    """What the network says of the last point of windows, both heads together."""

    mean: Tensor  # (B, heads, D) forecast, reconstruction, or both
    scale: Tensor  # (B, heads, D)
    attention: Tensor  # (B, D) mean gate of the passes; for explanation only


class Constants(nn.Module):
    """Tensors that do not learn, by name."""

    def keep(self, **constants: Tensor) -> None:
        """Register detached copies."""
        for name, constant in constants.items():
            self.register_buffer(name, constant.detach().clone().contiguous())


class TimeMatrix(Constants):
    """A convolution and its norm: one matrix over all channels of all points."""

    matrix: Tensor
    shift: Tensor

    def __init__(self, scale: nn.Module) -> None:
        super().__init__()
        assert isinstance(scale, TimeConvolution)
        factor, shift = scale.norm.line()
        steps = len(scale.tap)
        self.keep(matrix=scale.matrix() * factor.repeat(steps), shift=shift.repeat(steps))

    def forward(self, x: Tensor) -> Tensor:
        """(R, W / 2 * C) -> the same shape."""
        return torch.addmm(self.shift, x, self.matrix)


class BakedBranch(Constants):
    """`Branch` for passes that are known beforehand."""

    spread: Tensor
    bias: Tensor
    gather: Tensor

    def __init__(self, branch: Branch, hidden: Tensor) -> None:
        """`hidden` (M, D) says which dimensions each pass hides."""
        super().__init__()
        factor, shift = branch.norm.line()
        self.scales = nn.ModuleList(TimeMatrix(scale) for scale in branch.scales)
        self.channels = len(factor) // len(self.scales)
        self.keep(
            spread=branch.spread.weight.T * factor,  # (D, P)
            bias=(branch.named(hidden) * factor + shift)[:, None],  # (M, 1, P)
            gather=branch.gather.weight.T,  # (P, D); its bias is the caller's
        )

    def forward(self, halves: Tensor) -> Tensor:
        """(2, W / 2, M, B, D) -> (2, W / 2, M B, D)."""
        steps, scales = halves.shape[1], len(self.scales)
        o = torch.relu(pool(halves @ self.spread, axis=1) + self.bias)  # (2, W / 2, M, B, P)
        o = o.reshape(2, steps, -1, scales, self.channels).permute(0, 2, 3, 1, 4)
        width = steps * self.channels
        o = o.reshape(-1, scales * width)  # (2 M B, scale * W / 2 * C)
        y: list[Tensor] = []
        for part, scale in zip(torch.split(o, width, dim=1), self.scales, strict=True):
            y.append(torch.relu(scale(part + y[-1] if y else part)))  # (2 M B, W / 2 * C)
        rest = (o - torch.cat(y, dim=1)).reshape(2, -1, scales, steps, self.channels)
        gathered: Tensor = rest.permute(0, 3, 1, 2, 4).flatten(3) @ self.gather
        return gathered


class FirstState(Constants):
    """One step of GRUs (Cho et al., EMNLP 2014, in the form of PyTorch) from the zero state."""

    inward: Tensor
    bias: Tensor
    carried_bias: Tensor

    def __init__(self, gru: nn.GRU, *, layer: int = 0) -> None:
        super().__init__()
        size = gru.hidden_size
        weights = {
            name.removesuffix(f"_l{layer}"): weight
            for name, weight in gru.state_dict().items()
            if name.endswith(f"_l{layer}")
        }
        gates, fresh = weights["bias_hh"].split([2 * size, size])
        bias = weights["bias_ih"] + torch.cat([gates, torch.zeros_like(fresh)])
        self.keep(inward=weights["weight_ih"].T, bias=bias, carried_bias=fresh)
        self.above = None if layer + 1 == gru.num_layers else FirstState(gru, layer=layer + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(R, I) -> (R, H)."""
        r, z, n = torch.addmm(self.bias, x, self.inward).chunk(3, dim=1)
        n = torch.tanh(n + torch.sigmoid(r) * self.carried_bias)
        h = n - torch.sigmoid(z) * n
        return h if self.above is None else self.above(h)


class Dense(Constants):
    """Dense layers with rectifiers, one behind the other."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layers: list[nn.Linear]) -> None:
        super().__init__()
        self.keep(weight=layers[0].weight.T, bias=layers[0].bias)
        self.next = Dense(layers[1:]) if layers[1:] else None

    def forward(self, x: Tensor) -> Tensor:
        """(R, I) -> (R, O)."""
        made = torch.relu(torch.addmm(self.bias, x, self.weight))
        return made if self.next is None else self.next(made)


class BakedSlmr(Constants):
    """`Slmr` for windows with the newest row first."""

    place: Tensor
    is_shown: Tensor
    shift: Tensor
    mean_over_time: Tensor
    mean_over_passes: Tensor
    squeeze: Tensor
    squeeze_bias: Tensor
    excite: Tensor
    excite_bias: Tensor
    foretell: Tensor
    foretell_bias: Tensor
    readout: Tensor
    readout_bias: Tensor

    def __init__(self, network: Slmr) -> None:
        super().__init__()
        lookback, self.is_forecast = network.lookback, network.is_forecast
        self.has_scale, self.size = network.has_scale, network.memory.hidden_size
        self.layers = network.memory.num_layers
        hidden = network.hidden_by_pass()  # (M, D)
        self.passes = len(hidden)
        self.scale_low, self.scale_high = network.scale_low, network.scale_high
        factor, shift = network.cross.line()  # of the dimensions; the factor is taken behind
        ones = torch.ones_like(factor)
        self.branch = BakedBranch(network.branch, hidden)
        self.memory = _scaled(network.memory, torch.cat([factor, ones, factor, ones]))
        self.decoder = FirstState(network.decoder) if network.is_filled else None
        self.decoded_size = network.decoder.hidden_size if network.is_filled else 0
        inner = network.inner_layers()
        self.deeper = Dense(inner[1:]) if inner[1:] else None
        readout, readout_bias = _readout(network)
        self.keep(
            place=_places(lookback, passes=len(hidden), is_forecast=self.is_forecast),  # (W M,)
            is_shown=(1 - hidden)[:, None],  # (M, 1, D)
            shift=shift / factor + network.branch.gather.bias,  # (D,)
            mean_over_time=torch.full((1, lookback), 1 / lookback),
            mean_over_passes=torch.full((1, len(hidden)), 1 / len(hidden)),
            squeeze=network.squeeze.weight.T * factor[:, None],
            squeeze_bias=network.squeeze.bias,
            excite=network.excite.weight.T,
            excite_bias=network.excite.bias,
        )
        if inner:
            self.keep(foretell=inner[0].weight.T, foretell_bias=inner[0].bias)
        self.keep(readout=readout, readout_bias=readout_bias)

    def forward(self, rows: Tensor) -> Heads:
        """Windows (B, 1 + W, D), newest row first -> what is expected of that row."""
        passes, dimensions = len(self.is_shown), rows.shape[2]
        rows = rows.clamp(-INPUT_LIMIT, INPUT_LIMIT).transpose(0, 1)
        chosen = rows.index_select(0, self.place).reshape(2, -1, passes, *rows.shape[1:])
        halves = chosen * self.is_shown  # (2, W / 2, M, B, D), every second point each
        x, halves = self.branch(halves), halves.flatten(2, 3)  # (2, W / 2, M B, D)
        x = x + halves.index_select(0, torch.tensor([1, 0]))
        x = torch.relu(pool(x, axis=1) + self.shift)
        gate = self._gate(x)  # (M B, D)
        x = x * gate
        pairs = torch.cat([x[0], halves[0], x[1], halves[1]], dim=2)  # (W / 2, M B, 4 D)
        h = self.memory(pairs)[1]  # (layer, M B, H)
        h = (h[-1:] if self.layers > 1 else h).reshape(passes, -1, self.size)  # (M, B, H)
        said = torch.addmm(self.readout_bias, self._states(h), self.readout)  # (B, parts D)
        mean, scale = self._meaning(said, dimensions)
        attention = (self.mean_over_passes @ gate.reshape(passes, -1)).reshape(-1, dimensions)
        return Heads(mean, scale, attention)

    def _states(self, h: Tensor) -> Tensor:
        """h (M, B, H) -> what the heads are read out of (B, all units of all heads)."""
        first = int(self.is_forecast)
        if self.decoder is None:
            return self._foretold(h[0])
        decoded: Tensor = self.decoder(h[first:].flatten(0, 1))
        decoded = decoded.reshape(self.passes - first, -1, self.decoded_size)
        if not self.is_forecast:
            return decoded.transpose(0, 1).flatten(1)
        foretold = self._foretold(h[0])
        return torch.cat([foretold, decoded.transpose(0, 1).flatten(1)], dim=1)

    def _foretold(self, h: Tensor) -> Tensor:
        """(B, H) -> the last dense layer but one of the forecast."""
        foretold = torch.relu(torch.addmm(self.foretell_bias, h, self.foretell))
        if self.deeper is not None:
            foretold = self.deeper(foretold)
        return foretold

    def _meaning(self, said: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
        """Means and scales (B, heads, D)."""
        parts = said.reshape(-1, said.shape[1] // dimensions, dimensions)
        if not self.has_scale:
            return parts, torch.ones_like(parts)
        mean, raw_scale = torch.split(parts, parts.shape[1] // 2, dim=1)
        spread = self.scale_high - self.scale_low
        return mean, self.scale_low + spread * torch.sigmoid(raw_scale)

    def _gate(self, x: Tensor) -> Tensor:
        """(2, W / 2, M B, D) -> (M B, D)."""
        mean = (self.mean_over_time @ x.flatten(0, 1).flatten(1)).reshape(-1, x.shape[-1])
        squeezed = torch.relu(torch.addmm(self.squeeze_bias, mean, self.squeeze))
        return torch.sigmoid(torch.addmm(self.excite_bias, squeezed, self.excite))


def _scaled(gru: nn.GRU, factor: Tensor) -> nn.GRU:
    """For inputs (T, R, I) that lack a factor (I,)."""
    made, weights = nn.GRU(gru.input_size, gru.hidden_size, gru.num_layers), gru.state_dict()
    made.load_state_dict(weights | {"weight_ih_l0": weights["weight_ih_l0"] * factor})
    return made.requires_grad_(requires_grad=False)


def _places(lookback: int, *, passes: int, is_forecast: bool) -> Tensor:
    """Which row, newest first, is at each time of each pass: (2, W / 2, M), flat.

    The pass of the forecast, the first one, sees the rows before the newest; the others that one
    and those before it.
    """
    time = torch.arange(lookback).reshape(-1, 2).T[:, :, None]  # (half, pair, 1), oldest first
    is_ahead = ((torch.arange(passes) == 0) & is_forecast).long()
    return (lookback - 1 - time + is_ahead).flatten()


def _readout(network: Slmr) -> tuple[Tensor, Tensor]:
    """From all states, those of the forecast first, to (B, parts D), and what is added.

    Parts are the means of the heads that there are, then their raw scales, if there are any.
    """
    dimensions, heads = network.groups.shape[1], len(network.shares)
    shape = (-1, 1 + network.has_scale, dimensions)  # (H, mean or scale, D)
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    if network.is_forecast:
        foretell = network.forecast[-1]
        assert isinstance(foretell, nn.Linear)
        weights.append(foretell.weight.T.reshape(shape))
        biases.append(foretell.bias.reshape(shape[1:]))
    if network.is_filled:
        own = torch.zeros_like(network.groups)  # (K, D) 1 where a pass is read
        own[network.readout[:dimensions] // (shape[1] * dimensions), torch.arange(dimensions)] = 1
        filled = network.fill.weight.T.reshape(shape) * own[:, None, None]  # (K, H, 2, D)
        weights.append(filled.flatten(0, 1))
        biases.append(network.fill.bias.reshape(shape[1:]))
    blocks = [
        torch.stack([block if at == place else torch.zeros_like(block) for at in range(heads)], 2)
        for place, block in enumerate(weights)
    ]  # (..., 2, head, D)
    return torch.cat(blocks).flatten(1), torch.stack(biases, dim=1).flatten()
