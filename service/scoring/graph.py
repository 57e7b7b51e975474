"""What an ONNX file is made of, read without running anything: operators and where weights lie.

The little of the protobuf wire format (protobuf.dev, Encoding) that this takes; the numbers of the
fields are those of onnx.proto. Only what a file says about itself is believed after it was counted.
"""

from collections.abc import Iterator
from pathlib import Path

from service.errors import BundleInvalid

# What exported graphs are made of. No control flow, no functions, nothing that makes
# something large from something small without saying so.
ALLOWED = frozenset(
    {
        *("Abs", "Add", "ArgMin", "Cast", "Clip", "Concat", "Constant", "Conv", "Cos", "Div"),
        *("Equal", "Exp", "Expand", "GRU", "Gather", "GatherElements", "Gemm", "Greater"),
        *("Identity", "LSTM", "LeakyRelu", "Less", "MatMul", "Max", "Min", "Mul", "Neg", "Not"),
        *("Relu", "Reshape", "Shape", "Sigmoid", "Sign", "Sin", "Slice", "Softmax", "Split"),
        *("Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Where"),
        *("DequantizeLinear", "QuantizeLinear"),
    }
)
_GRAPH, _FUNCTIONS = 7, 25  # of ModelProto
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15  # of GraphProto
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # of NodeProto
_TENSOR, _SUBGRAPH, _SUBGRAPHS = 5, 6, 11  # of AttributeProto
_EXTERNAL, _LOCATION = 13, 14  # of TensorProto
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # wire types


def check_graph(path: Path) -> None:
    """Refuse a graph with operators we do not know, subgraphs, or weights outside its file.

    Raises BundleInvalid.
    """
    try:
        _check_model(memoryview(path.read_bytes()), path.name)
    except (IndexError, UnicodeDecodeError) as error:
        raise BundleInvalid(f"{path.name} is not an ONNX model: {error}") from None


def _check_model(model: memoryview, name: str) -> None:
    parts = list(_fields(model))
    if any(field == _FUNCTIONS for field, _ in parts):
        raise BundleInvalid(f"{name} defines functions of its own")
    graphs = [value for field, value in parts if field == _GRAPH]
    if len(graphs) != 1:
        raise BundleInvalid(f"{name} is not an ONNX model: it has {len(graphs)} graphs")
    for field, value in _fields(graphs[0]):
        if field == _NODE:
            _check_node(value, name)
        elif field == _INITIALIZER:
            _check_tensor(value, name)
        elif field == _SPARSE:
            raise BundleInvalid(f"{name} has sparse weights")


def _check_node(node: memoryview, name: str) -> None:
    operator = domain = ""
    for field, value in _fields(node):
        if field == _OPERATOR:
            operator = bytes(value).decode()
        elif field == _DOMAIN:
            domain = bytes(value).decode()
        elif field == _ATTRIBUTE:
            _check_attribute(value, name)
    if domain not in ("", "ai.onnx") or operator not in ALLOWED:
        shown = "".join(c for c in f"{domain}:{operator}"[:80] if c.isprintable())
        raise BundleInvalid(f"{name} has the operator {shown!r}, which no exported graph needs")


def _check_attribute(attribute: memoryview, name: str) -> None:
    for field, value in _fields(attribute):
        if field in (_SUBGRAPH, _SUBGRAPHS):
            raise BundleInvalid(f"{name} has a graph inside an operator")
        if field == _TENSOR:
            _check_tensor(value, name)


def _check_tensor(tensor: memoryview, name: str) -> None:
    if any(field in (_EXTERNAL, _LOCATION) for field, _ in _fields(tensor)):
        raise BundleInvalid(f"{name} keeps weights outside its file")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of every field; numbers are given as empty content."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        start = at
        if kind == _VARINT:
            _, at = _varint(message, at)
            yield key >> 3, message[:0]
            continue
        if kind == _BYTES:
            length, start = _varint(message, at)
        elif kind in (_FIXED_64, _FIXED_32):
            length = 8 if kind == _FIXED_64 else 4
        else:
            raise IndexError(f"wire type {kind} at byte {at}")
        at = start + length
        if at > len(message):
            raise IndexError(f"a field of {length} bytes at byte {start} reaches beyond the end")
        yield key >> 3, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and where the next byte is."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
        if shift > 63:
            raise IndexError(f"a number without end at byte {at}")
