"""Operators of PyTorch spelled out in others, because ONNX Runtime is slow or unsteady at them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

ODD_TERMS = (1, 3, 5, 7, 9, 11, 13, 15)  # of the series of artanh


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


class LstmCell(nn.Module):
    """One step of an `nn.LSTM`, spelled out; what it carries is the hidden and the memory."""

    w_x: Tensor
    w_h: Tensor
    b: Tensor

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        w_x, w_h, b_x, b_h = (part.detach() for part in lstm.all_weights[0])
        self.register_buffer("w_x", w_x.clone())  # (4 H, inputs)
        self.register_buffer("w_h", w_h.clone())  # (4 H, H)
        self.register_buffer("b", b_x + b_h)  # (4 H,)

    def forward(self, x: Tensor, carried: Tensor) -> Tensor:
        """x (B, inputs), carried (B, 2 H) -> the next carried (B, 2 H)."""
        h, memory = carried.chunk(2, dim=1)
        gates = functional.linear(x, self.w_x, self.b) + functional.linear(h, self.w_h)
        entry, keep, candidate, exit_ = gates.chunk(4, dim=1)
        memory = torch.sigmoid(keep) * memory + torch.sigmoid(entry) * torch.tanh(candidate)
        return torch.cat([torch.sigmoid(exit_) * torch.tanh(memory), memory], dim=1)


def cell_of(layer: nn.GRU | nn.LSTM) -> nn.Module:
    """One step of a recurrent layer."""
    return Cell(layer) if isinstance(layer, nn.GRU) else LstmCell(layer)


def hidden_of(carried: Tensor, hidden: int) -> Tensor:
    """The hidden part (B, H) of what a recurrent layer carries."""
    return carried if carried.shape[1] == hidden else carried[:, :hidden]


def softplus(a: Tensor) -> Tensor:
    """log(1 + e^a) without Log: max(a, 0) + 2 artanh(t / (2 + t)), t = e^-|a|.

    The argument of artanh is at most 1/3, so eight terms of its series reach float32.
    """
    t = torch.exp(-a.abs())
    s = t / (2 + t)
    square = s * s
    series = torch.full_like(s, 1 / ODD_TERMS[-1])
    for odd in ODD_TERMS[-2::-1]:
        series = series * square + 1 / odd
    return torch.relu(a) + 2 * s * series
