from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.errors import TrainingFailed
from service.scoring.bundle import sha256_of
from tests.trainer.small import series, tiny
from trainer.config import preset
from trainer.export import FORBIDDEN, Exported, check_parity, export, measure
from trainer.fit import Fitted, fit
from trainer.frame import MEMBERS
from trainer.graphs import state_shapes
from trainer.horizon import CAP, measure_horizon
from trainer.linear import LAGS
from trainer.parity import PAD, Array, Graphs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the exporter of PyTorch is slow


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit([series("alpha"), series("beta", level=1e9)], tiny())


@pytest.fixture(scope="module")
def exported(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(fitted, tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def graphs(fitted: Fitted, exported: Exported) -> Graphs:
    return Graphs(exported.folder, state_shapes(fitted))


def centred(fitted: Fitted, index: int, *, start: int, count: int) -> Array:
    rows = fitted.rows(index)[start : start + count] - fitted.linear.scaling.center[index]
    return np.asarray(rows, dtype=np.float32)


def test_graphs_agree_with_pytorch_and_each_other(exported: Exported) -> None:
    assert set(exported.parity) == {"torch_window", "torch_step", "window_step", "batch"}
    assert max(exported.parity.values()) < 1e-5


def test_answer_of_a_row_does_not_depend_on_its_batch(exported: Exported) -> None:
    assert exported.parity["batch"] == 0.0


def test_horizon_lies_between_the_lags_and_the_cap(exported: Exported) -> None:
    assert LAGS < exported.memory_horizon <= CAP


def test_files_are_named_by_their_digest(exported: Exported) -> None:
    for file in (exported.step, exported.window):
        assert sha256_of(exported.folder / file.file) == file.sha256


def test_step_graph_has_the_inputs_and_outputs_of_the_contract(exported: Exported) -> None:
    graph = onnx.load(exported.folder / "step.onnx").graph
    names = ["lags", "encoder", "latent", "decoder"]
    assert [one.name for one in exported.state] == names
    assert [one.name for one in graph.input] == [
        "values",
        "entity_index",
        *(f"state_{name}" for name in names),
    ]
    assert [one.name for one in graph.output] == [
        "error",
        "expected",
        "scale",
        *(f"next_{name}" for name in names),
    ]
    assert exported.members == MEMBERS == ("pca", "leave_one_out", "network")


@pytest.mark.parametrize("name", ["step", "window"])
def test_graph_holds_no_forbidden_operator_and_nothing_of_this_machine(
    exported: Exported, name: str
) -> None:
    path = exported.folder / f"{name}.onnx"
    model = onnx.load(path)
    assert model.opset_import[0].version >= 18
    assert not [node.op_type for node in model.graph.node if node.op_type.startswith(FORBIDDEN)]
    assert not [node for node in model.graph.node if node.metadata_props]
    assert b".py" not in path.read_bytes()


def test_window_graph_has_fused_cells_and_no_unrolled_steps(exported: Exported) -> None:
    operators = [node.op_type for node in onnx.load(exported.folder / "window.onnx").graph.node]
    assert operators.count("GRU") == 2
    assert len(operators) < 150
    assert "GRU" not in {n.op_type for n in onnx.load(exported.folder / "step.onnx").graph.node}


def test_first_row_alone_is_the_step_from_the_zero_state(fitted: Fitted, graphs: Graphs) -> None:
    """PCA by hand: the graph must take the raw value apart exactly as `trainer.linear` does."""
    values = np.repeat(centred(fitted, 2, start=500, count=1), PAD, axis=0)
    answer, state = graphs.step(values, np.full(PAD, 2), graphs.fresh(PAD))
    scaled = fitted.linear.scaling.scale(fitted.rows(2)[500:501], 2)
    expected = np.abs(scaled - fitted.linear.pca.reconstruct(scaled))
    np.testing.assert_allclose(answer[0][:1, 0], expected, atol=1e-5)
    standardised = fitted.linear.leave_one_out.standardise(scaled)
    np.testing.assert_allclose(state["lags"][0, 0], standardised[0], atol=1e-4)
    assert not state["lags"][:, 1:].any()


def test_error_is_taken_from_the_unclipped_value(fitted: Fitted, graphs: Graphs) -> None:
    values = np.repeat(centred(fitted, 1, start=500, count=1), PAD, axis=0)
    span = fitted.linear.scaling.span[1]
    values[:, 3] += 1e4 * span[3].astype(np.float32)
    answer, state = graphs.step(values, np.full(PAD, 1), graphs.fresh(PAD))
    assert answer[0][0, :, 3].min() > 9e3
    assert answer[0][0, :, [0, 1, 2, 4, 5]].max() < 20
    assert np.abs(state["encoder"]).max() <= 1


def test_infinite_value_does_not_become_nan(graphs: Graphs) -> None:
    values = np.full((PAD, 6), np.inf, np.float32)
    answer, state = graphs.step(values, np.zeros(PAD, np.int64), graphs.fresh(PAD))
    for tensor in (*answer, *state.values()):
        assert bool(np.isfinite(tensor).all())


def test_expected_and_scale_are_in_raw_units(fitted: Fitted, graphs: Graphs) -> None:
    rows = centred(fitted, 2, start=300, count=16)[None].repeat(PAD, axis=0)
    error, expected, scale = graphs.window(rows, np.full(PAD, 2))
    span = fitted.linear.scaling.span[2]
    difference = np.abs(rows[:, -1] - expected) / span
    np.testing.assert_allclose(difference, error[:, MEMBERS.index("network")], atol=1e-5)
    assert scale.min() > 0


def test_changed_weights_are_noticed_and_refused(fitted: Fitted, exported: Exported) -> None:
    tampered = fit(list(fitted.series), fitted.config.model_copy(update={"seed": 5}))
    other = replace(fitted, network=tampered.network)
    with pytest.raises(TrainingFailed, match="do not agree: expected differences of at most"):
        measure(other, exported.folder)


def test_answers_that_depend_on_the_batch_are_refused(tmp_path: Path) -> None:
    agreed = {"torch_window": 1e-6, "torch_step": 1e-6, "window_step": 1e-6, "batch": 0.0}
    check_parity(agreed, tmp_path)
    with pytest.raises(TrainingFailed, match="bit for bit"):
        check_parity({**agreed, "batch": 1e-9}, tmp_path)


def test_horizon_is_measured_again_to_the_same_number(fitted: Fitted, exported: Exported) -> None:
    horizon = measure_horizon(fitted, exported.folder)
    assert (horizon.points, horizon.is_reached) == (
        exported.memory_horizon,
        exported.is_horizon_reached,
    )


def test_untrained_network_without_skip_and_with_relu_exports(tmp_path: Path) -> None:
    config = tiny(epochs=0, is_linear_skip=False, dense_activation="relu")
    assert max(export(fit([series()], config), tmp_path).parity.values()) < 1e-5


def test_paper_preset_exports(tmp_path: Path) -> None:
    exported = export(fit([series()], preset("paper", epochs=0)), tmp_path)
    assert max(exported.parity.values()) < 1e-4
    assert exported.parity["batch"] == 0.0
    assert exported.window.file == "window.onnx"
