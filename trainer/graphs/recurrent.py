"""The graphs of the GRU-VAE: one step with its recurrent state, and a whole window.

Nothing random, no reduction over dimensions, no Softplus and no Log: their results depend on the
batch in ONNX Runtime.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.fitted import Fitted
from trainer.frame import Answer, Frame, Prediction
from trainer.linear import INPUT_LIMIT, LAGS
from trainer.models.gru_vae import (
    GruVae,
    PlanarFlows,
    baked_recurrence,
    bounded_scale,
    folded,
)

Step = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # the same, four next states


class Residual(nn.Module):
    """What the network sees and says: the residual of PCA, or of the mean, in its own scale."""

    def __init__(self, fitted: Fitted, network: GruVae) -> None:
        super().__init__()
        self.frame, self.is_linear_skip = Frame(fitted), network.is_linear_skip

    def input(self, clipped: Tensor) -> Tensor:
        """What leaves the skip over, for any leading axes."""
        residual = (clipped - self._skip(clipped)) / self.frame.residual_scale
        return residual.clamp(-INPUT_LIMIT, INPUT_LIMIT)

    def prediction(self, scaled: Tensor, head: Tensor) -> Prediction:
        """Scaled values (B, D) and the network's head (B, 2 D)."""
        mean, raw_scale = head.chunk(2, dim=1)  # (B, D) each
        unit = self.frame.residual_scale
        expected = self._skip(self.frame.clipped(scaled)) + unit * mean
        return Prediction(expected, bounded_scale(raw_scale) * unit, (scaled - expected).abs())

    def _skip(self, clipped: Tensor) -> Tensor:
        if self.is_linear_skip:
            return self.frame.pca(clipped)
        return self.frame.pca_mean + torch.zeros_like(clipped)


class BakedFlows(nn.Module):
    """Planar flows with u_hat computed once."""

    w: Tensor
    u: Tensor
    b: Tensor

    def __init__(self, flows: PlanarFlows) -> None:
        super().__init__()
        self.register_buffer("w", flows.w.detach().clone())  # (K, Z)
        self.register_buffer("u", flows.directions().detach())  # (K, Z)
        self.register_buffer("b", flows.b.detach().clone())  # (K,)

    def forward(self, z: Tensor) -> Tensor:
        """(..., Z) -> (..., Z)."""
        for w, u, b in zip(self.w, self.u, self.b, strict=True):
            z = z + torch.tanh(z @ w[:, None] + b) * u
        return z


class Cell(nn.Module):
    """One step of an `nn.GRU`, spelled out: faster than the GRU operator at length 1."""

    w_x: Tensor
    w_h: Tensor
    b_x: Tensor
    b_h: Tensor

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        names = ("w_x", "w_h", "b_x", "b_h")  # (3 H, inputs), (3 H, H), (3 H,), (3 H,)
        for name, part in zip(names, gru.all_weights[0], strict=True):
            self.register_buffer(name, part.detach().clone())

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """x (B, inputs), h (B, H) -> the next h (B, H)."""
        x_r, x_u, x_n = functional.linear(x, self.w_x, self.b_x).chunk(3, dim=1)
        h_r, h_u, h_n = functional.linear(h, self.w_h, self.b_h).chunk(3, dim=1)
        reset, update = torch.sigmoid(x_r + h_r), torch.sigmoid(x_u + h_u)
        candidate = torch.tanh(x_n + reset * h_n)
        return candidate + update * (h - candidate)


class StepGraph(nn.Module):
    """One row per entity and the state carried so far -> the answer and the next state."""

    recurrence: Tensor

    def __init__(self, fitted: Fitted, network: GruVae) -> None:
        super().__init__()
        self.residual = Residual(fitted, network)
        self.frame = self.residual.frame
        self.encoder, self.decoder = Cell(network.encoder), Cell(network.decoder)
        self.drive, self.head = _drive(network), _head(network)
        self.register_buffer("recurrence", network.mean_recurrence().detach().clone())  # (Z, Z)
        self.flows = BakedFlows(network.flows)

    def forward(
        self,
        values: Tensor,
        entity_index: Tensor,
        lags: Tensor,
        encoder: Tensor,
        latent: Tensor,
        decoder: Tensor,
    ) -> Step:
        """values (B, D), lags (B, LAGS, D) standardised and newest first, the network's state."""
        scaled = self.frame.scaled(values, entity_index)
        clipped = self.frame.clipped(scaled)
        rows = torch.cat([self.frame.standardised(clipped)[:, None], lags], dim=1)
        encoder = self.encoder(self.residual.input(clipped), encoder)  # (B, H)
        latent = self.drive(encoder) + latent @ self.recurrence.T  # (B, Z)
        decoder = self.decoder(self.flows(latent), decoder)  # (B, H)
        prediction = self.residual.prediction(scaled, self.head(decoder))
        answer = self.frame.answer(scaled, entity_index, rows=rows, prediction=prediction)
        return (*answer, rows[:, :LAGS], encoder, latent, decoder)


class WindowGraph(nn.Module):
    """A window from the zero state -> the answer for its last row."""

    baked: Tensor

    def __init__(self, fitted: Fitted, network: GruVae) -> None:
        super().__init__()
        self.residual = Residual(fitted, network)
        self.frame = self.residual.frame
        self.encoder, self.decoder = network.encoder, network.decoder
        self.drive, self.head = _drive(network), _head(network)
        baked = baked_recurrence(
            network.mean_recurrence().detach().double(), fitted.config.window_length
        )
        self.register_buffer("baked", baked.float())  # (T Z, T Z)
        self.flows = BakedFlows(network.flows)

    def forward(self, window: Tensor, entity_index: Tensor) -> Answer:
        """window (B, T, D)."""
        scaled = self.frame.scaled_window(window, entity_index)
        clipped = self.frame.clipped(scaled)
        rows = self.frame.standardised(clipped[:, -1 - LAGS :]).flip(1)  # newest first
        e, _ = self.encoder(self.residual.input(clipped))  # (B, T, H)
        drive = self.drive(e)  # (B, T, Z)
        z0 = (drive.flatten(1) @ self.baked.T).unflatten(1, drive.shape[1:])
        d, _ = self.decoder(self.flows(z0))  # (B, T, H)
        prediction = self.residual.prediction(scaled[:, -1], self.head(d[:, -1]))
        return self.frame.answer(scaled[:, -1], entity_index, rows=rows, prediction=prediction)


def state_shapes(network: GruVae) -> dict[str, tuple[int, ...]]:
    """What is carried besides the lags."""
    return {"encoder": (network.hidden,), "latent": (network.latent,), "decoder": (network.hidden,)}


def _drive(network: GruVae) -> nn.Module:
    """a_t of mu_t = a_t + W_z z0_{t-1}: the dense layers and the mean half of the next one."""
    mean = nn.Linear(network.from_hidden.in_features, network.latent)
    weight, bias = network.from_hidden.weight.detach(), network.from_hidden.bias.detach()
    mean.load_state_dict({"weight": weight[: network.latent], "bias": bias[: network.latent]})
    return _behind(network.encoder_dense, mean)


def _head(network: GruVae) -> nn.Module:
    return _behind(network.decoder_dense, network.head)


def _behind(dense: nn.Sequential, last: nn.Linear) -> nn.Module:
    """`last` on top of `dense`, as one matrix where nothing lies between."""
    layers = [layer for layer in dense if isinstance(layer, nn.Linear)]
    return folded(*layers, last) if len(layers) == len(dense) else nn.Sequential(*dense, last)
