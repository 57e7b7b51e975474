from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from hypothesis import given, strategies as st

from service.errors import BundleInvalid
from service.scoring.graph import ALLOWED, _fields, check_graph
from tests.bad_graphs import custom_operator, endless_loop, weights_elsewhere
from tests.tiny_graphs import step_graph

SHIPPED = sorted(Path("exported_models").glob("*/*/*.onnx"))
WHOLE = step_graph().SerializeToString()


@pytest.mark.parametrize("path", SHIPPED, ids=str)
def test_every_shipped_graph_passes(path: Path) -> None:
    check_graph(path)


@pytest.mark.parametrize("path", SHIPPED[:2], ids=str)
def test_operators_are_read_as_onnx_reads_them(path: Path) -> None:
    expected = [node.op_type for node in onnx.load(path).graph.node]
    (graph,) = [value for field, value in _fields(memoryview(path.read_bytes())) if field == 7]
    nodes = [dict(_fields(value)) for field, value in _fields(graph) if field == 1]
    assert [bytes(node[4]).decode() for node in nodes] == expected
    assert set(expected) <= ALLOWED


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (custom_operator(), "no exported graph needs"),
        (endless_loop(), "graph inside an operator|no exported graph needs"),
        (weights_elsewhere(), "outside its file"),
        (b"", "not an ONNX model"),
    ],
)
def test_what_must_not_be_opened_is_named(graph: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "step.onnx").write_bytes(graph)
    with pytest.raises(BundleInvalid, match=reason):
        check_graph(tmp_path / "step.onnx")


@given(data=st.data())
def test_damaged_bytes_are_refused_or_pass_and_never_break(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    with suppress(BundleInvalid):
        check_graph(path)
