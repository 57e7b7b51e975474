"""The branch of SLMR as two graphs: as Conv and MaxPool, and as the matrices we ship."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from service.scoring.detector import single_threaded
from trainer.config import SlmrConfig
from trainer.export import OPSET
from trainer.models.slmr import Branch, Slmr, TimeConvolution
from trainer.models.slmr_baked import BakedBranch

OURS, CONV = "matrices", "Conv"
DIMENSIONS = 38  # of the SMD machines
EXAMPLE_BATCH = 16
AGREEMENT = 1e-4


class Graph(NamedTuple):
    """A session, and how many nodes were exported."""

    session: ort.InferenceSession
    nodes: int


class ConvBranch(nn.Module):
    """`BakedBranch` as PyTorch would write it: channels before time."""

    bias: Tensor

    def __init__(self, branch: Branch, hidden: Tensor, *, dilations: Sequence[int]) -> None:
        """`hidden` (M, D) says which dimensions each pass hides."""
        super().__init__()
        factor, shift = branch.norm.line()
        bias = branch.named(hidden) * factor + shift  # (M, P)
        self.register_buffer("bias", bias[:, None, :, None])
        self.spread = _convolution((branch.spread.weight * factor[:, None])[..., None])
        self.gather = _convolution(branch.gather.weight[..., None])
        self.scales = nn.ModuleList(
            _grouped(scale, dilation=dilation)
            for scale, dilation in zip(branch.scales, dilations, strict=True)
        )

    def forward(self, halves: Tensor) -> Tensor:
        """(2, M, B, D, W / 2) -> the same shape."""
        o = nn.functional.max_pool1d(self.spread(halves.flatten(0, 2)), 3, stride=1, padding=1)
        o = torch.relu(o.reshape(*halves.shape[:3], -1, halves.shape[4]) + self.bias).flatten(0, 2)
        y: list[Tensor] = []
        for part, scale in zip(o.chunk(len(self.scales), dim=1), self.scales, strict=True):
            y.append(torch.relu(scale(part + y[-1] if y else part)))
        gathered: Tensor = self.gather(o - torch.cat(y, dim=1)).reshape(halves.shape)
        return gathered


def both_graphs() -> dict[str, Graph]:
    """Both with the same weights; raises RuntimeError where they do not agree."""
    branch, hidden = _branch()
    half = SlmrConfig().window_length // 2
    example = torch.randn(2, half, len(hidden), EXAMPLE_BATCH, DIMENSIONS)
    other = example.permute(0, 2, 3, 4, 1).contiguous()
    conv = ConvBranch(branch, hidden, dilations=SlmrConfig().dilations)
    made: dict[str, Graph] = {}
    answers = []
    for name, module, rows, batch_axis in (
        (OURS, BakedBranch(branch, hidden), example, 3),
        (CONV, conv, other, 2),
    ):
        made[name] = _exported(module, rows, batch_axis=batch_axis)
        answers.append(made[name].session.run(None, {"halves": rows.numpy()})[0])
    ours = answers[0].reshape(2, half, len(hidden), -1, DIMENSIONS).transpose(0, 2, 3, 4, 1)
    if (apart := np.abs(ours - answers[1]).max()) > AGREEMENT:
        raise RuntimeError(f"the graphs must agree, got a difference of {apart:.3g}")
    return made


def _branch() -> tuple[Branch, Tensor]:
    """The branch of the preset `small`, with norms that have seen something, and its passes."""
    torch.manual_seed(0)
    config = SlmrConfig()
    network = Slmr(DIMENSIONS, config).train()
    with torch.no_grad():
        network(torch.randn(512, config.window_length, DIMENSIONS))
    groups = network.groups
    return network.eval().branch, torch.cat([torch.zeros_like(groups[:1]), groups])


def _exported(module: nn.Module, rows: Tensor, *, batch_axis: int) -> Graph:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (rows,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["halves"],
            dynamic_shapes=({batch_axis: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    content = model.SerializeToString()
    session = ort.InferenceSession(content, single_threaded(), providers=["CPUExecutionProvider"])
    return Graph(session, len(model.graph.node))


def _convolution(weight: Tensor) -> nn.Conv1d:
    """Over one point, for a weight (out, in, 1)."""
    made = nn.Conv1d(weight.shape[1], weight.shape[0], 1, bias=False)
    made.load_state_dict({"weight": weight})
    return made


def _grouped(scale: nn.Module, *, dilation: int) -> nn.Conv1d:
    assert isinstance(scale, TimeConvolution)
    factor, shift = scale.norm.line()
    taps, groups, size, _ = scale.weight.shape
    weight = scale.weight.permute(1, 3, 2, 0).flatten(0, 1)  # (C, C / groups, taps)
    padding, channels = dilation * (taps // 2), groups * size
    made = nn.Conv1d(channels, channels, taps, padding=padding, dilation=dilation, groups=groups)
    made.load_state_dict({"weight": weight * factor[:, None, None], "bias": shift})
    return made
