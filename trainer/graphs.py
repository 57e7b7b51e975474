"""What is exported: the whole path from raw values to errors as two torch modules.

`StepGraph` sees one row and carries its state, `WindowGraph` sees a window and starts from zero.
Both give the same numbers for the same rows. Scaling, PCA, leave-one-out and the network are all
inside; nothing random, no reduction over dimensions, no Softplus and no Log (their results depend
on the batch in ONNX Runtime).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.fit import Fitted
from trainer.frame import Answer, Frame
from trainer.linear import LAGS
from trainer.models.gru_vae import GruVae, PlanarFlows, baked_recurrence, folded

Step = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # the same, four next states


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

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        network = fitted.network
        self.frame = Frame(fitted)
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
        encoder = self.encoder(self.frame.network_input(clipped), encoder)  # (B, H)
        latent = self.drive(encoder) + latent @ self.recurrence.T  # (B, Z)
        decoder = self.decoder(self.flows(latent), decoder)  # (B, H)
        answer = self.frame.answer(scaled, entity_index, rows=rows, head=self.head(decoder))
        return (*answer, rows[:, :LAGS], encoder, latent, decoder)


class WindowGraph(nn.Module):
    """A window from the zero state -> the answer for its last row."""

    baked: Tensor

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        network = fitted.network
        self.frame = Frame(fitted)
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
        e, _ = self.encoder(self.frame.network_input(clipped))  # (B, T, H)
        drive = self.drive(e)  # (B, T, Z)
        z0 = (drive.flatten(1) @ self.baked.T).unflatten(1, drive.shape[1:])
        d, _ = self.decoder(self.flows(z0))  # (B, T, H)
        head = self.head(d[:, -1])
        return self.frame.answer(scaled[:, -1], entity_index, rows=rows, head=head)


def state_shapes(fitted: Fitted) -> dict[str, tuple[int, ...]]:
    """The tensors that `StepGraph` carries, in the order of its inputs, without the batch axis."""
    config = fitted.config
    return {
        "lags": (LAGS, len(fitted.dimensions)),
        "encoder": (config.hidden,),
        "latent": (config.latent,),
        "decoder": (config.hidden,),
    }


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
