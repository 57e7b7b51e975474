"""Export: a fitted network as two ONNX graphs, measured, and refused if they disagree."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from service.errors import TrainingFailed
from service.scoring.bundle import File, StateTensor, sha256_of
from trainer.config import GruVaeConfig
from trainer.fitted import Fitted
from trainer.graphs import state_shapes, step_graph, window_graph, window_outputs
from trainer.horizon import Horizon, measure_horizon
from trainer.parity import measure_parity
from trainer.precision import FLOAT_STEP, INT8_STEP, check_precision, measure_precision
from trainer.quantise import quantised

OPSET = 18
EXAMPLE_BATCH = 16
PARITY_LIMIT = 1e-4  # of scaled units, or of the value where it is larger than 1
LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxscript", "scikit-learn", "torch")
FORBIDDEN = ("Reduce", "Softplus", "Log", "Random", "Dropout", "Multinomial", "Bernoulli")


@dataclass(frozen=True)
class Exported:
    """The two graphs in their folder, and all that was measured on them."""

    folder: Path
    step: File
    window: File
    members: tuple[str, ...]
    state: tuple[StateTensor, ...]
    parity: dict[str, float]  # torch_window, torch_step, window_step, batch; int8_... if it is
    memory_horizon: int  # points after a zero state that agree with the carried state
    is_horizon_reached: bool  # False: longer than could be measured, this is a lower bound
    versions: dict[str, str]  # library -> version


def export(fitted: Fitted, folder: Path) -> Exported:
    """Write `step.onnx` and `window.onnx` into `folder`; raise TrainingFailed if they disagree.

    If int8 is asked for, `step.int8.onnx` is the step graph, and `step.onnx` what it came from.
    """
    write_graphs(fitted, folder)
    return measure(fitted, folder)


def write_graphs(fitted: Fitted, folder: Path) -> None:
    """Write both graphs and check their operators."""
    folder.mkdir(parents=True, exist_ok=True)
    dimensions = len(fitted.dimensions)
    state = state_shapes(fitted)
    entity_index = torch.zeros(EXAMPLE_BATCH, dtype=torch.int64)
    tensors = [torch.zeros(EXAMPLE_BATCH, *shape) for shape in state.values()]
    _write(
        step_graph(fitted),
        folder / "step.onnx",
        inputs={
            "values": torch.zeros(EXAMPLE_BATCH, dimensions),
            "entity_index": entity_index,
            **{f"state_{name}": tensor for name, tensor in zip(state, tensors, strict=True)},
        },
        outputs=["error", "expected", "scale", *(f"next_{name}" for name in state)],
    )
    window = torch.zeros(EXAMPLE_BATCH, fitted.config.window_length, dimensions)
    _write(
        window_graph(fitted),
        folder / "window.onnx",
        inputs={"window": window, "entity_index": entity_index},
        outputs=window_outputs(fitted),
    )
    if _step_name(fitted) == INT8_STEP:
        onnx.save(quantised(onnx.load(folder / FLOAT_STEP)), folder / INT8_STEP)


def measure(fitted: Fitted, folder: Path) -> Exported:
    """Measure the graphs in `folder` against the network; raise TrainingFailed above the limit."""
    parity = measure_parity(fitted, folder)
    check_parity(parity, folder)
    step = _step_name(fitted)
    if step == INT8_STEP:
        parity |= measure_precision(fitted, folder)
        check_precision(parity, folder)
    horizon: Horizon = measure_horizon(fitted, folder, step=step)
    return Exported(
        folder=folder,
        step=_file(folder / step),
        window=_file(folder / "window.onnx"),
        members=fitted.config.members,
        state=tuple(StateTensor(name=n, shape=s) for n, s in state_shapes(fitted).items()),
        parity=parity,
        memory_horizon=horizon.points,
        is_horizon_reached=horizon.is_reached,
        versions={library: version(library) for library in LIBRARIES},
    )


def check_parity(parity: Mapping[str, float], folder: Path) -> None:
    """Raise TrainingFailed above the limit, or where a row in a batch is not bit for bit itself."""
    wrong = {name: value for name, value in parity.items() if not value <= PARITY_LIMIT}
    if wrong:
        found = ", ".join(f"{name} {value:.3g}" for name, value in wrong.items())
        raise TrainingFailed(
            f"the exported graphs in {folder} do not agree: expected differences of at most "
            f"{PARITY_LIMIT:g} scaled units, got {found}"
        )
    if parity["batch"] != 0:
        raise TrainingFailed(
            f"{folder / 'step.onnx'} must answer the same alone and in a batch, bit for bit; "
            f"got a difference of {parity['batch']:.3g}"
        )


def _step_name(fitted: Fitted) -> str:
    """The step graph that serves."""
    config = fitted.config
    return INT8_STEP if isinstance(config, GruVaeConfig) and config.is_int8 else FLOAT_STEP


def _file(path: Path) -> File:
    return File(file=path.name, sha256=sha256_of(path))


def _write(module: nn.Module, path: Path, *, inputs: dict[str, Tensor], outputs: list[str]) -> None:
    batch = torch.export.Dim("batch")
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            verbose=False,
        )
    if program is None:
        raise TrainingFailed(f"{path.name}: PyTorch exported nothing")
    model = _without_origin(program.model_proto)
    found = sorted({node.op_type for node in model.graph.node})
    forbidden = [op for op in found if op.startswith(FORBIDDEN)]
    if forbidden:
        raise TrainingFailed(f"{path.name} must not contain {forbidden}; it has {found}")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _without_origin(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop stack traces, which hold paths of this machine and would change the digest."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns about its own internals; nothing in it concerns the caller."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
