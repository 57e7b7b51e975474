"""The graphs of the GRU-VAE: one step with its recurrent state, and a whole window.

Nothing random, no reduction over dimensions, no Softplus and no Log: their results depend on the
batch in ONNX Runtime.
"""

import torch
from torch import Tensor, nn

from trainer.fitted import Fitted
from trainer.frame import Frame, Prediction
from trainer.graphs.operators import cell_of, hidden_of, softplus
from trainer.linear import INPUT_LIMIT, LAGS
from trainer.models.gru_vae import (
    SOFTPLUS_HIGH,
    GruVae,
    baked_recurrence,
    bounded_scale,
    folded,
)
from trainer.models.latents import PlanarFlows

Explained = tuple[Tensor, Tensor, Tensor, Tensor]  # error, expected, scale, latent (B, Z)
Step = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # the first 3, 4 next states


class Residual(nn.Module):
    """What the network sees and says: the residual of PCA, or of the mean, in its own scale."""

    def __init__(self, fitted: Fitted, network: GruVae) -> None:
        super().__init__()
        self.frame, self.config = Frame(fitted), network.config

    def input(self, clipped: Tensor) -> Tensor:
        """What leaves the skip over, for any leading axes."""
        residual = (clipped - self._skip(clipped)) / self.frame.residual_scale
        return residual.clamp(-INPUT_LIMIT, INPUT_LIMIT)

    def prediction(self, scaled: Tensor, head: Tensor) -> Prediction:
        """Scaled values (B, D) and the network's head (B, 2 D)."""
        mean, raw_scale = head.chunk(2, dim=1)  # (B, D) each
        unit = self.frame.residual_scale
        expected = self._skip(self.frame.clipped(scaled)) + unit * mean
        scale = self._scale(raw_scale) * unit
        if self.config.error == "distance":
            return Prediction(expected, scale, (scaled - expected).abs())
        deviation = (scaled - expected) / scale
        return Prediction(expected, scale, 0.5 * deviation * deviation)

    def _scale(self, raw: Tensor) -> Tensor:
        if self.config.scale_form == "softplus":
            return (softplus(raw) + self.config.std_epsilon).clamp(max=SOFTPLUS_HIGH)
        return bounded_scale(raw)

    def _skip(self, clipped: Tensor) -> Tensor:
        if self.config.is_linear_skip:
            return self.frame.pca(clipped)
        if not self.config.is_standardised:
            return torch.zeros_like(clipped)
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


def baked_flow(network: GruVae) -> nn.Module:
    """The flow of the posterior mean."""
    return nn.Identity() if network.flows is None else BakedFlows(network.flows)


class StepGraph(nn.Module):
    """One row per entity and the state carried so far -> the answer and the next state."""

    recurrence: Tensor | None

    def __init__(self, fitted: Fitted, network: GruVae) -> None:
        super().__init__()
        self.residual = Residual(fitted, network)
        self.frame = self.residual.frame
        self.hidden = network.config.hidden
        self.encoder, self.decoder = cell_of(network.encoder), cell_of(network.decoder)
        self.drive, self.head = _drive(network), _head(network)
        recurrence = network.mean_recurrence()
        kept = None if recurrence is None else recurrence.detach().clone()
        self.register_buffer("recurrence", kept)  # (Z, Z)
        self.flows = baked_flow(network)

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
        encoder = self.encoder(self.residual.input(clipped), encoder)  # (B, carried)
        drive = self.drive(hidden_of(encoder, self.hidden))  # (B, Z)
        latent = drive if self.recurrence is None else drive + latent @ self.recurrence.T
        decoder = self.decoder(self.flows(latent), decoder)  # (B, carried)
        prediction = self.residual.prediction(scaled, self.head(hidden_of(decoder, self.hidden)))
        answer = self.frame.answer(scaled, entity_index, rows=rows, prediction=prediction)
        return (*answer, rows[:, :LAGS], encoder, latent, decoder)


class WindowGraph(nn.Module):
    """A window from the zero state -> the answer for its last row, and its latent."""

    baked: Tensor | None

    def __init__(self, fitted: Fitted, network: GruVae) -> None:
        super().__init__()
        self.residual = Residual(fitted, network)
        self.frame = self.residual.frame
        self.encoder, self.decoder = network.encoder, network.decoder
        self.drive, self.head = _drive(network), _head(network)
        recurrence, baked = network.mean_recurrence(), None
        if recurrence is not None:
            steps = fitted.config.window_length
            baked = baked_recurrence(recurrence.detach().double(), steps).float()
        self.register_buffer("baked", baked)  # (T Z, T Z)
        self.flows = baked_flow(network)

    def forward(self, window: Tensor, entity_index: Tensor) -> Explained:
        """window (B, T, D)."""
        scaled = self.frame.scaled_window(window, entity_index)
        clipped = self.frame.clipped(scaled)
        rows = self.frame.standardised(clipped[:, -1 - LAGS :]).flip(1)  # newest first
        e, _ = self.encoder(self.residual.input(clipped))  # (B, T, H)
        z0 = self.drive(e)  # (B, T, Z)
        if self.baked is not None:
            z0 = (z0.flatten(1) @ self.baked.T).unflatten(1, z0.shape[1:])
        z = self.flows(z0)
        d, _ = self.decoder(z)  # (B, T, H)
        prediction = self.residual.prediction(scaled[:, -1], self.head(d[:, -1]))
        answer = self.frame.answer(scaled[:, -1], entity_index, rows=rows, prediction=prediction)
        return (*answer, z[:, -1])


def state_shapes(network: GruVae) -> dict[str, tuple[int, ...]]:
    """What is carried besides the lags."""
    carried = (network.carried,)
    return {"encoder": carried, "latent": (network.latent,), "decoder": carried}


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
