"""SLMR: short-term convolutions and a long-term GRU that learn by filling in what is hidden.

Miao, Tao, Xie, Sun, Cao: Reconstruction-based anomaly detection for multivariate time series
using self-supervised learning of masked representations ("SLMR"); M passes, W = T - 1 points.

    halves     E_0, E_1: the even and the odd points of a pass (W, D)
    branch     o = relu(norm(pool(v U + hidden dimensions V))), one part o_i per scale
               y_i = relu(norm(f_i(o_i + y_{i-1}))), f_i over 2 i - 1 taps, dilated, in groups
               branch(v) = (o - y) R
    cross      relu(norm(pool(branch(E_0) + E_1))) at even points, the other way round at odd ones
    attention  gate_d = sigmoid of two dense layers on the mean over time; a factor per dimension
    memory     h = last state of a GRU over pairs of what came of this, and of the points themselves
    heads      the next point, from h; all points of the pass, from a second GRU fed h at each,
               newest first (Srivastava, Mansimov, Salakhutdinov, ICML 2015, section 2.1)
    x_d ~ Laplace(m_d, s_d), s_d = low + (high - low) * sigmoid(g_d), for either head

What is asked of both heads is what linear leave-one-out leaves over, in units of its root mean
square; `forward` gives both for the last point of a window: forecast from the W points before it,
and filled in from the last W points, K times with another group of dimensions hidden, each
dimension taken from the pass that hid it: a value that is seen is copied, however wrong it is.

What differs from the published code, and why:
- Both halves go through the same branch; there one is pooled more often than the other.
- Its first scale, which subtracts itself from itself, is left out.
- Every point of the decoder gets the whole of h; there its elements are dealt out over the points.
- The memory reads a point of each half at a time, and the decoder goes backwards: half the steps,
  and one instead of W where only the newest point is asked for.
- Norms have positive factors, so that they can be taken through pools and rectifiers
  (`trainer.models.slmr_baked`).
- Hidden dimensions are named to the network: a zero alone is an ordinary value.
- The memory sees the points, too: behind pools and rectifiers their exact values are lost.
- Heads learn a likelihood with a bounded scale, not root mean squares: absolute errors decide.

Knobs undo what is a matter of training and scoring (`docs/training.md`); the form of the network
stays. With one head alone, `heads`, the other has no weights and no passes.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.config import SlmrConfig
from trainer.linear import INPUT_LIMIT

MAX_DIVISOR = 1.0  # of errors: a small scale sharpens one, a large one never excuses any


class Head(NamedTuple):
    """What one head says: its share of the error, mean and relative scale (..., D)."""

    share: float
    mean: Tensor
    scale: Tensor

    def misfit(self, value: Tensor) -> Tensor:
        """Its share of the error."""
        return self.share * (value - self.mean).abs() / self.scale.clamp(max=MAX_DIVISOR)


class Said(NamedTuple):
    """What the network says of the last point of windows."""

    heads: tuple[Head, ...]  # the forecast, the reconstruction, or both in this order
    attention: Tensor  # (B, D) mean gate of the passes; for explanation only


class Norm(nn.Module):
    """Batch normalisation of the last axis (Ioffe and Szegedy, ICML 2015), factors positive."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, affine=False)
        self.log_factor = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Any leading axes."""
        normal: Tensor = self.norm(x.flatten(0, -2))
        return normal.reshape(x.shape) * self.log_factor.exp() + self.shift

    def line(self) -> tuple[Tensor, Tensor]:
        """Factor and shift per channel that do the same, with the statistics of the training."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        factor = self.log_factor.exp() / (variance + self.norm.eps).sqrt()
        return factor, self.shift - mean * factor


class TimeConvolution(nn.Module):
    """A dilated convolution in groups over `steps` points, zeros outside, and a norm: one matrix.

    Points are few, so the taps of all of them, gathered into one matrix, are faster than Conv.
    """

    tap: Tensor

    def __init__(self, config: SlmrConfig, *, taps: int, dilation: int, steps: int) -> None:
        super().__init__()
        groups, size = config.conv_groups, config.group_channels
        self.weight = nn.Parameter(torch.randn(taps, groups, size, size) / math.sqrt(taps * size))
        time = torch.arange(steps)
        apart = time[:, None] - time  # (from, to)
        tap = apart // dilation + taps // 2
        is_tap = (apart % dilation == 0) & (tap >= 0) & (tap < taps)
        self.norm = Norm(groups * size)
        # a tap of zeros comes behind the last
        self.register_buffer("tap", torch.where(is_tap, tap, taps), persistent=False)

    def matrix(self) -> Tensor:
        """(steps C, steps C), from all channels of all points to all of them."""
        taps, groups, size, _ = self.weight.shape
        channels, steps = groups * size, len(self.tap)
        own = torch.eye(groups)[None, :, None, :, None]
        dense = (self.weight[:, :, :, None] * own).reshape(taps, channels, channels)
        padded = torch.cat([dense, dense.new_zeros(1, channels, channels)])
        return padded[self.tap].transpose(1, 2).reshape(steps * channels, steps * channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., steps, C) -> the same shape."""
        normal: Tensor = self.norm((x.flatten(-2) @ self.matrix()).reshape(x.shape))
        return normal


class Branch(nn.Module):
    """Residual convolutions at several scales, each seeing what the one before has made."""

    def __init__(self, dimensions: int, config: SlmrConfig) -> None:
        super().__init__()
        steps, scales = (config.window_length - 1) // 2, len(config.dilations)
        mid = scales * config.conv_groups * config.group_channels
        self.spread = nn.Linear(dimensions, mid, bias=False)
        hides = config.heads != "forecast" and config.spatial_groups > 0
        self.hidden = nn.Linear(dimensions, mid) if hides else None
        self.norm = Norm(mid)
        self.scales = nn.ModuleList(
            TimeConvolution(config, taps=2 * scale + 1, dilation=dilation, steps=steps)
            for scale, dilation in enumerate(config.dilations)
        )
        self.gather = nn.Linear(mid, dimensions)

    def forward(self, v: Tensor, hidden: Tensor) -> Tensor:
        """v (2, M, B, W / 2, D), hidden (M, B or 1, D) 1 where hidden -> like v."""
        o = self.spread(v) + self.named(hidden)[:, :, None]  # (2, M, B, W / 2, P)
        o = torch.relu(self.norm(pool(o)))
        y: list[Tensor] = []
        for part, scale in zip(o.chunk(len(self.scales), dim=-1), self.scales, strict=True):
            below = part + y[-1] if y else part
            y.append(torch.relu(scale(below)))  # (2, M, B, W / 2, C)
        gathered: Tensor = self.gather(o - torch.cat(y, dim=-1))
        return gathered

    def named(self, hidden: Tensor) -> Tensor:
        """What names hidden dimensions (..., D) to the branch (..., P); 0 where none ever is."""
        if self.hidden is None:
            return hidden.new_zeros(*hidden.shape[:-1], len(self.spread.weight))
        told: Tensor = self.hidden(hidden)
        return told


class Slmr(nn.Module):
    """Branches, attention, memory and two heads; rows come standardised, oldest first."""

    groups: Tensor
    readout: Tensor
    mean_over_time: Tensor

    def __init__(self, dimensions: int, config: SlmrConfig) -> None:
        super().__init__()
        self.lookback = config.window_length - 1
        self.is_forecast = config.heads != "reconstruction"
        self.is_filled = config.heads != "forecast"
        self.has_scale = config.likelihood == "laplace"
        self.is_linear_skip = config.is_linear_skip
        whole = 1 + config.gamma
        self.shares = (1 / whole, config.gamma / whole) if config.heads == "both" else (1.0,)
        self.scale_low, self.scale_high = config.scale_low, config.scale_high
        hidden, own = _groups(dimensions, config.spatial_groups)
        outputs = (1 + self.has_scale) * dimensions
        self.register_buffer("groups", hidden)  # (K, D)
        first = own * outputs + torch.arange(dimensions)
        parts = [first + start for start in range(0, outputs, dimensions)]
        self.register_buffer("readout", torch.cat(parts))  # (2 D,)
        weights = torch.full((self.lookback, 1), 1 / self.lookback)
        self.register_buffer("mean_over_time", weights, persistent=False)
        squeezed = max(1, dimensions // config.squeeze)
        self.branch, self.cross = Branch(dimensions, config), Norm(dimensions)
        self.squeeze = nn.Linear(dimensions, squeezed)
        self.excite = nn.Linear(squeezed, dimensions)
        self.memory = _gru(4 * dimensions, config.hidden, config.memory_layers, config)
        if self.is_forecast:
            self.forecast = _forecast(outputs, config)
        if self.is_filled:
            size = config.decoder_hidden or config.hidden
            self.decoder = _gru(config.hidden, size, config.decoder_layers, config)
            self.fill = nn.Linear(size, outputs)
        one = (1 - self.scale_low) / (self.scale_high - self.scale_low)
        for bias in self._output_biases():
            nn.init.constant_(bias[dimensions:], math.log(one / (1 - one)))

    def forward(self, rows: Tensor) -> Said:
        """Windows (B, W + 1, D) -> what is expected of their last rows."""
        rows = rows.clamp(-INPUT_LIMIT, INPUT_LIMIT)
        shown = rows[:, 1:] * (1 - self.groups)[:, None, None]  # (K, B, W, D)
        hidden = self.hidden_by_pass()  # (M, D)
        passes = self.chosen(rows[None, :, :-1], shown)  # (M, B, W, D)
        h, gate = self.represent(passes, hidden[:, None])
        outputs = [self.forecast(h[0])] if self.is_forecast else []
        if self.is_filled:
            filled = self.fill(self.decode(h[int(self.is_forecast) :])[:, :, -1])  # (K, B, 2 D)
            filled = filled.transpose(0, 1).flatten(1)
            outputs.append(filled.index_select(1, self.readout))  # (B, 2 D)
        share = gate.new_full((len(hidden), 1), 1 / len(hidden))
        attention = (gate.permute(1, 2, 0) @ share)[..., 0]  # (B, D)
        return Said(tuple(self.heads(*outputs)), attention)

    def chosen(self, ahead: Tensor, within: Tensor) -> Tensor:
        """Of the pass of the forecast (1, ...) and those filled in (K, ...), what there is."""
        if not self.is_filled:
            return ahead
        return torch.cat([ahead, within]) if self.is_forecast else within

    def hidden_by_pass(self) -> Tensor:
        """(M, D) 1 where a pass hides a dimension: of the forecast none, then each group."""
        return self.chosen(torch.zeros_like(self.groups[:1]), self.groups)

    def heads(self, *outputs: Tensor) -> list[Head]:
        """What the outputs (..., 2 D) of the heads mean; (..., D) where no scale is learned."""
        spread, heads = self.scale_high - self.scale_low, []
        for share, output in zip(self.shares, outputs, strict=True):
            if self.has_scale:
                mean, raw_scale = output.chunk(2, dim=-1)
                scale = self.scale_low + spread * torch.sigmoid(raw_scale)
            else:
                mean, scale = output, torch.ones_like(output)
            heads.append(Head(share, mean, scale))
        return heads

    def inner_layers(self) -> list[nn.Linear]:
        """Dense layers of the forecast but the last; none without a forecast."""
        if not self.is_forecast:
            return []
        return [layer for layer in list(self.forecast)[:-1] if isinstance(layer, nn.Linear)]

    def _output_biases(self) -> Iterator[Tensor]:
        """Of the last layers of the heads."""
        if self.is_forecast:
            yield self.forecast[-1].bias  # type: ignore[misc]
        if self.is_filled:
            yield self.fill.bias

    def represent(self, passes: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Passes (M, B, W, D), hidden (M, B or 1, D) -> h (M, B, H), gate (M, B, D)."""
        pairs = passes.reshape(*passes.shape[:2], -1, 2, passes.shape[3])
        halves = pairs.permute(3, 0, 1, 2, 4)  # (2, M, B, W / 2, D)
        others = halves.index_select(0, torch.tensor([1, 0]))
        made = torch.relu(self.cross(pool(self.branch(halves, hidden) + others)))
        x = made.permute(1, 2, 3, 0, 4).flatten(2, 3)  # (M, B, W, D)
        mean = (x.transpose(2, 3) @ self.mean_over_time)[..., 0]  # (M, B, D)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))
        x = torch.cat([x * gate[:, :, None], passes], dim=3)  # (M, B, W, 2 D)
        pairs = x.flatten(0, 1).reshape(-1, self.lookback // 2, 4 * passes.shape[3])
        _, h = self.memory(pairs)  # (layer, M B, H)
        return h[-1].unflatten(0, passes.shape[:2]), gate

    def decode(self, h: Tensor) -> Tensor:
        """h (M, B, H) -> states of the decoder (M, B, W, H), oldest first; made newest first."""
        repeated = h.flatten(0, 1)[:, None].expand(-1, self.lookback, -1)
        states, _ = self.decoder(repeated)
        decoded: Tensor = states.unflatten(0, h.shape[:2])
        return decoded.flip(2)


def _groups(dimensions: int, count: int) -> tuple[Tensor, Tensor]:
    """What each group hides (K, D), and the group of each dimension (D,); 0: one hides nothing."""
    group = torch.zeros(dimensions, dtype=torch.int64)
    if not count:
        return torch.zeros(1, dimensions), group
    groups = min(count, dimensions)
    group[torch.randperm(dimensions)] = torch.arange(dimensions) % groups
    return (group == torch.arange(groups)[:, None]).float(), group


def _gru(inward: int, size: int, layers: int, config: SlmrConfig) -> nn.GRU:
    """GRUs one above the other, with dropout between them."""
    dropout = config.dropout if layers > 1 else 0.0
    return nn.GRU(inward, size, layers, batch_first=True, dropout=dropout)


def _forecast(outputs: int, config: SlmrConfig) -> nn.Sequential:
    """Dense layers, and what they say."""
    size = config.forecast_hidden or config.hidden
    last, layers = nn.Linear(size, outputs), list[nn.Module]()
    for inward in (config.hidden, *[size] * (config.forecast_layers - 1)):
        layers += [nn.Linear(inward, size), nn.ReLU(), nn.Dropout(config.dropout)]
    return nn.Sequential(*layers, last)


def pool(x: Tensor, *, axis: int = -2) -> Tensor:
    """Highest of each point and its two neighbours along the axis of time."""
    time = torch.arange(x.shape[axis])
    before = x.index_select(axis, (time - 1).clamp_min(0))
    behind = x.index_select(axis, (time + 1).clamp_max(len(time) - 1))
    return torch.maximum(torch.maximum(before, behind), x)
