"""Step graphs that must never score. Their bundles are whole by all digests."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.tiny_graphs import step_graph

HUGE = 2**36  # elements: 256 GiB of float32
FOREVER = 2**62


def empty() -> bytes:
    return b""


def random_bytes() -> bytes:
    return bytes(np.random.default_rng(0).bytes(5_000))


def cut_in_half() -> bytes:
    whole = step_graph().SerializeToString()
    return bytes(whole[: len(whole) // 2])


def weights_elsewhere() -> bytes:
    return _external("../../../weights")


def weights_in_a_device() -> bytes:
    return _external("/dev/zero")


def custom_operator() -> bytes:
    return _with_nodes([helper.make_node("Run", ["values"], ["ran"], domain="com.example")])


def endless_loop() -> bytes:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["carried"], ["carried_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_on", TensorProto.FLOAT, None),
        ],
    )
    turns = numpy_helper.from_array(np.array(FOREVER, np.int64), "turns")
    always = numpy_helper.from_array(np.array(True), "always")
    loop = helper.make_node("Loop", ["turns", "always", "values"], ["looped"], body=body)
    return _with_nodes([loop], constants=[turns, always])


def memory_from_nothing() -> bytes:
    shape = numpy_helper.from_array(np.array([HUGE], np.int64), "huge")
    return _with_nodes(
        [helper.make_node("ConstantOfShape", ["huge"], ["filled"])], constants=[shape]
    )


def memory_by_expansion() -> bytes:
    """Every operator is allowed; what it asks for is not."""
    shape = numpy_helper.from_array(np.array([HUGE, 1, 1], np.int64), "huge")
    return _with_nodes([helper.make_node("Expand", ["values", "huge"], ["wide"])], "wide", [shape])


def doubling() -> bytes:
    """Every operator is allowed; opening the file takes forever, or all memory."""
    nodes, name = [], "spread"
    for turn in range(40):
        nodes.append(helper.make_node("Concat", [name, name], [f"twice_{turn}"], axis=0))
        name = f"twice_{turn}"
    return _with_nodes(nodes)


def endless_work() -> bytes:
    """Every operator is allowed and asks for little memory; there are too many of them."""
    one = numpy_helper.from_array(np.ones((1, 1), np.float32), "one")
    shape = numpy_helper.from_array(np.array([4096, 4096], np.int64), "square")
    nodes, name = [helper.make_node("Expand", ["one", "square"], ["wide"])], "wide"
    for turn in range(1_000):
        nodes.append(helper.make_node("MatMul", [name, "wide"], [f"product_{turn}"]))
        name = f"product_{turn}"
    return _with_nodes(nodes, constants=[one, shape])


def missing_output() -> bytes:
    model = step_graph()
    kept = [output for output in model.graph.output if output.name != "scale"]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return bytes(model.SerializeToString())


def wrong_width() -> bytes:
    """Expects one dimension too many."""
    double = helper.make_node("Concat", ["mixed", "mixed"], ["expected_wide"], axis=1)
    return _replaced("expected", double, "expected_wide")


def not_finite() -> bytes:
    zero = numpy_helper.from_array(np.array(0.0, np.float32), "zero")
    divide = helper.make_node("Div", ["values", "zero"], ["infinite"])
    return _replaced("expected", divide, "infinite", [zero])


def neighbours_matter() -> bytes:
    """What a point is expected to be depends on the sum over its batch."""
    nodes = [
        helper.make_node("Transpose", ["values"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["turned", "values"], ["together"]),
        helper.make_node("MatMul", ["values", "together"], ["mingled"]),
    ]
    return _replaced("expected", nodes, "mingled")


BAD_GRAPHS: tuple[Callable[[], bytes], ...] = (
    *(empty, random_bytes, cut_in_half, weights_elsewhere, weights_in_a_device),
    *(custom_operator, endless_loop, memory_from_nothing, memory_by_expansion, doubling),
    *(missing_output, wrong_width, not_finite, neighbours_matter),
)


def _external(location: str) -> bytes:
    model = step_graph()
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    return bytes(model.SerializeToString())


def _with_nodes(
    nodes: list[onnx.NodeProto],
    used: str | None = None,
    constants: list[onnx.TensorProto] | None = None,
) -> bytes:
    """The graph of `tiny` with more operators, whose last result is an output too."""
    model = step_graph()
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants or [])
    result = helper.make_tensor_value_info(used or nodes[-1].output[0], TensorProto.FLOAT, None)
    model.graph.output.append(result)
    return bytes(model.SerializeToString())


def _replaced(
    output: str,
    nodes: onnx.NodeProto | list[onnx.NodeProto],
    result: str,
    constants: list[onnx.TensorProto] | None = None,
) -> bytes:
    """The graph of `tiny` with another source of one output."""
    model = step_graph()
    kept = [node for node in model.graph.node if output not in node.output]
    extra = nodes if isinstance(nodes, list) else [nodes]
    del model.graph.node[:]
    model.graph.node.extend([*kept, *extra, helper.make_node("Identity", [result], [output])])
    model.graph.initializer.extend(constants or [])
    return bytes(model.SerializeToString())
