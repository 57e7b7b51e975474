"""The graphs of `tiny`, written out without torch: how far a value moved, and from a mixture."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from trainer.frame import FINITE_LIMIT

MEMBERS = ("persistence", "mean_of_all")
WINDOW_LENGTH = 4
LOADING = np.array([1.0, 0.8, 0.5, 0.2])
_SPREAD = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]], np.float32)


def step_graph() -> onnx.ModelProto:
    """One row and the one before it."""
    nodes = [
        helper.make_node("Identity", ["values"], ["now"]),
        helper.make_node("Identity", ["state_previous"], ["before"]),
        *_judging_nodes(),
        helper.make_node("Identity", ["values"], ["next_previous"]),
    ]
    inputs: dict[str, list[str | int]] = {"values": ["batch", 4], "state_previous": ["batch", 4]}
    return _model(nodes, inputs, {**_outputs(), "next_previous": ["batch", 4]})


def window_graph() -> onnx.ModelProto:
    """A whole window."""
    nodes = [
        helper.make_node("Gather", ["window", "last"], ["now"], axis=1),
        helper.make_node("Gather", ["window", "last_but_one"], ["before"], axis=1),
        *_judging_nodes(),
    ]
    return _model(nodes, {"window": ["batch", WINDOW_LENGTH, 4]}, _outputs())


def _judging_nodes() -> list[onnx.NodeProto]:
    """From `now` and `before` (batch, dimension) to error, expected and scale."""
    return [
        helper.make_node("Gather", ["spread", "entity_index"], ["scale_raw"], axis=0),
        helper.make_node("Div", ["now", "scale_raw"], ["scaled"]),
        helper.make_node("Sub", ["now", "before"], ["step"]),
        helper.make_node("Div", ["step", "scale_raw"], ["step_scaled"]),
        helper.make_node("Abs", ["step_scaled"], ["persistence"]),
        helper.make_node("MatMul", ["scaled", "mixing"], ["mixed"]),
        helper.make_node("Sub", ["scaled", "mixed"], ["unmixed"]),
        helper.make_node("Abs", ["unmixed"], ["mean_of_all"]),
        helper.make_node("Unsqueeze", ["persistence", "axis"], ["first"]),
        helper.make_node("Unsqueeze", ["mean_of_all", "axis"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["apart"], axis=1),
        helper.make_node("Min", ["apart", "most"], ["error"]),
        helper.make_node("Mul", ["mixed", "scale_raw"], ["expected"]),
        helper.make_node("Identity", ["scale_raw"], ["scale"]),
    ]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[str | int]],
    outputs: dict[str, list[str | int]],
) -> onnx.ModelProto:
    mixing = np.outer(LOADING, LOADING) / float(LOADING @ LOADING)
    constants = [
        numpy_helper.from_array(_SPREAD, "spread"),
        numpy_helper.from_array(mixing.astype(np.float32), "mixing"),
        numpy_helper.from_array(np.array(FINITE_LIMIT, np.float32), "most"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.array(-1, np.int64), "last"),
        numpy_helper.from_array(np.array(-2, np.int64), "last_but_one"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            *(helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()),
            helper.make_tensor_value_info("entity_index", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model


def _outputs() -> dict[str, list[str | int]]:
    return {"error": ["batch", 2, 4], "expected": ["batch", 4], "scale": ["batch", 4]}
