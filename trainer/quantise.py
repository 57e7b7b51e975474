"""Quantising: the recurrent products of a step graph in int8, everything else as it was.

The state of a GRU lies within (-1, 1), so its scale is 1/127 whatever comes in: nothing is
calibrated, nothing saturates on an anomaly, and no row depends on who shares its batch. Inputs and
heads, which are unbounded and a few percent of the work, stay in float32. Weights are signed, one
scale per output: Jacob et al., CVPR 2018, eq. 1 with zero point 0.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from service.errors import TrainingFailed

BOUNDED_STATES = ("state_encoder", "state_decoder")  # inputs that a GRU gave
LEVELS = 127


def quantised(step: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose products of a bounded state and a constant run in int8.

    Raises TrainingFailed where there are none.
    """
    model = onnx.ModelProto()
    model.CopyFrom(step)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    found = 0
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.input[0] in BOUNDED_STATES:
            weight = weights[node.input[1]]
            nodes += _in_int8(node)
            model.graph.initializer.extend(_constants(node.input[0], weight))
            model.graph.initializer.remove(weight)
            found += 1
        else:
            nodes.append(node)
    if not found:
        raise TrainingFailed("expected a step graph with a GRU to quantise, found no GRU in it")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _in_int8(gemm: NodeProto) -> Iterator[NodeProto]:
    """The same product between dequantised operands; ONNX Runtime fuses what surrounds it."""
    state, weight, *bias = gemm.input
    [out] = gemm.output
    product = f"{out}_product" if bias else out
    scale = [f"{state}_unit", f"{state}_zero"]
    yield helper.make_node("QuantizeLinear", [state, *scale], [f"{state}_int8"])
    yield helper.make_node("DequantizeLinear", [f"{state}_int8", *scale], [f"{state}_rounded"])
    inputs = [f"{weight}_int8", f"{weight}_unit", f"{weight}_zero"]
    yield helper.make_node("DequantizeLinear", inputs, [f"{weight}_rounded"], axis=1)
    yield helper.make_node("MatMul", [f"{state}_rounded", f"{weight}_rounded"], [product])
    if bias:
        yield helper.make_node("Add", [product, bias[0]], [out])


def _constants(state: str, weight: TensorProto) -> Iterator[TensorProto]:
    """The weight (outputs, inputs) as int8 (inputs, outputs), and the units of both operands."""
    rows = numpy_helper.to_array(weight).T
    unit = np.maximum(np.abs(rows).max(axis=0), np.finfo(np.float32).tiny) / LEVELS  # (outputs,)
    levels = np.round(rows / unit).clip(-LEVELS, LEVELS)
    arrays = {
        f"{weight.name}_int8": levels.astype(np.int8),
        f"{weight.name}_unit": unit.astype(np.float32),
        f"{weight.name}_zero": np.zeros(len(unit), np.int8),
        f"{state}_unit": np.float32(1 / LEVELS),
        f"{state}_zero": np.int8(0),
    }
    for name, array in arrays.items():
        yield numpy_helper.from_array(np.asarray(array), name)
