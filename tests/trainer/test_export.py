from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from service.errors import TrainingFailed
from service.scoring.bundle import sha256_of
from tests.trainer.small import series, tiny
from trainer.config import BlindSpotConfig, Member, Model, preset
from trainer.export import FORBIDDEN, Exported, check_parity, export, measure, write_graphs
from trainer.fit import Fitted, fit
from trainer.graphs import state_shapes, window_graph
from trainer.horizon import CAP, measure_horizon
from trainer.linear import LAGS
from trainer.parity import PAD, Array, Graphs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the exporter of PyTorch is slow


ONES = np.ones(PAD, np.int64)
STATE = {"blind_spot": ["lags"], "linear": ["lags"]}
MODELS: list[Model] = ["blind_spot", "gru_vae", "linear"]


@pytest.fixture(scope="module", params=MODELS)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    return fit([series("alpha"), series("beta", level=1e9)], tiny(request.param))


@pytest.fixture(scope="module")
def exported(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(fitted, tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def graphs(fitted: Fitted, exported: Exported) -> Graphs:
    return Graphs(exported.folder, state_shapes(fitted))


def centred(fitted: Fitted, index: int, *, start: int, count: int) -> Array:
    rows = fitted.rows(index)[start : start + count] - fitted.linear.scaling.center[index]
    return np.asarray(rows, dtype=np.float32)


def member(fitted: Fitted, name: str) -> int:
    return [*map(str, fitted.config.members)].index(name)


def test_graphs_agree_with_pytorch_and_each_other(exported: Exported) -> None:
    assert set(exported.parity) == {"torch_window", "torch_step", "window_step", "batch"}
    assert max(exported.parity.values()) < 1e-5


def test_answer_of_a_row_does_not_depend_on_its_batch(exported: Exported) -> None:
    assert exported.parity["batch"] == 0.0


def test_horizon_lies_between_the_lags_and_the_cap(fitted: Fitted, exported: Exported) -> None:
    assert LAGS < exported.memory_horizon <= CAP
    if fitted.config.model != "gru_vae":
        assert (exported.memory_horizon, exported.is_horizon_reached) == (LAGS + 1, True)


def test_carried_lags_are_forgotten_after_the_horizon(fitted: Fitted, graphs: Graphs) -> None:
    if fitted.config.model == "gru_vae":
        pytest.skip("a recurrent state fades, and never ends")
    rows, index = centred(fitted, 1, start=300, count=LAGS + 1), np.full(PAD, 1)
    wild = graphs.fresh(PAD)
    wild["lags"] += 7.0
    for row in rows[:-1]:
        _, wild = graphs.step(row[None].repeat(PAD, axis=0), index, wild)
    answer, _ = graphs.step(rows[-1:].repeat(PAD, axis=0), index, wild)
    expected, _ = graphs.replay(rows[None].repeat(PAD, axis=0), index)
    for part, other in zip(answer, expected, strict=True):
        np.testing.assert_array_equal(part, other)


def test_files_are_named_by_their_digest(exported: Exported) -> None:
    for file in (exported.step, exported.window):
        assert sha256_of(exported.folder / file.file) == file.sha256


def test_step_graph_has_the_inputs_and_outputs_of_the_contract(
    fitted: Fitted, exported: Exported
) -> None:
    graph = onnx.load(exported.folder / "step.onnx").graph
    names = STATE.get(fitted.config.model, ["lags", "encoder", "latent", "decoder"])
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
    assert exported.members == fitted.config.members
    assert ("network" in exported.members) == (fitted.network is not None)


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


def test_window_graph_has_fused_cells_and_no_unrolled_steps(
    fitted: Fitted, exported: Exported
) -> None:
    operators = [node.op_type for node in onnx.load(exported.folder / "window.onnx").graph.node]
    assert operators.count("GRU") == (2 if fitted.config.model == "gru_vae" else 0)
    assert len(operators) < 150
    assert "GRU" not in {n.op_type for n in onnx.load(exported.folder / "step.onnx").graph.node}


def test_first_row_alone_is_the_step_from_the_zero_state(fitted: Fitted, graphs: Graphs) -> None:
    """PCA by hand: the graph must take the raw value apart exactly as `trainer.linear` does."""
    values = np.repeat(centred(fitted, 2, start=500, count=1), PAD, axis=0)
    answer, state = graphs.step(values, np.full(PAD, 2), graphs.fresh(PAD))
    scaled = fitted.linear.scaling.scale(fitted.rows(2)[500:501], 2)
    expected = np.abs(scaled - fitted.linear.pca.reconstruct(scaled))
    np.testing.assert_allclose(answer[0][:1, member(fitted, "pca")], expected, atol=1e-5)
    standardised = fitted.linear.leave_one_out.standardise(scaled)
    np.testing.assert_allclose(state["lags"][0, 0], standardised[0], atol=1e-4)
    assert not state["lags"][:, 1:].any()


def test_error_is_taken_from_the_unclipped_value(fitted: Fitted, graphs: Graphs) -> None:
    values = np.repeat(centred(fitted, 1, start=500, count=1), PAD, axis=0)
    span = fitted.linear.scaling.span[1]
    values[:, 3] += 1e4 * span[3].astype(np.float32)
    answer, state = graphs.step(values, np.full(PAD, 1), graphs.fresh(PAD))
    assert answer[0][0, :, 3].min() > 4e3  # a window's distance is a mean over its rows
    assert answer[0][0, :, [0, 1, 2, 4, 5]].max() < 20
    for tensor in state.values():
        assert np.abs(tensor).max() < 100


def test_infinite_value_does_not_become_nan(graphs: Graphs) -> None:
    values = np.full((PAD, 6), np.inf, np.float32)
    answer, state = graphs.step(values, np.zeros(PAD, np.int64), graphs.fresh(PAD))
    for tensor in (*answer, *state.values()):
        assert bool(np.isfinite(tensor).all())


def test_expected_and_scale_are_in_raw_units(fitted: Fitted, graphs: Graphs) -> None:
    rows = centred(fitted, 2, start=300, count=fitted.config.window_length)[None].repeat(
        PAD, axis=0
    )
    error, expected, scale = graphs.window(rows, np.full(PAD, 2))
    span = fitted.linear.scaling.span[2]
    difference = np.abs(rows[:, -1] - expected) / span
    relative = scale / span / fitted.residual_scale
    if fitted.config.model == "linear":
        known = error[:, member(fitted, "leave_one_out")]
        np.testing.assert_allclose(relative, 1, rtol=1e-5)
    else:
        unit = relative if fitted.config.model == "blind_spot" else np.ones_like(relative)
        known = error[:, member(fitted, "network")] * unit
    np.testing.assert_allclose(difference, known, atol=1e-5)
    assert scale.min() > 0


def test_every_error_equals_its_slow_reference(fitted: Fitted, graphs: Graphs) -> None:
    """By hand and in float64, for a point far outside what is clipped."""
    length = fitted.config.window_length
    rows = centred(fitted, 1, start=600, count=length).astype(np.float64)
    scaling, loo, nearest = fitted.linear.scaling, fitted.linear.leave_one_out, fitted.nearest
    rows[-1, 2] += 40 * scaling.span[1, 2]
    error, _, _ = graphs.window(np.repeat(rows[None], PAD, axis=0).astype(np.float32), ONES)
    scaled = (rows - scaling.offset[1]) / scaling.span[1]
    clipped = np.clip(scaled, -4, 5)
    assert nearest is not None
    distances = [
        sum(((clipped[-1 - lag] - centroid[lag]) ** 2).sum() for lag in range(5))
        for centroid in nearest.centroids
    ]
    chosen = nearest.centroids[int(np.argmin(distances))]
    squares = [(scaled[-1] - chosen[0]) ** 2]
    squares += [(clipped[-1 - lag] - chosen[lag]) ** 2 for lag in range(1, 5)]
    expected = {
        "raw": np.abs(rows[-1]) / scaling.span[1],
        "pca": np.abs(scaled[-1] - fitted.linear.pca.reconstruct(clipped[-1])),
        "leave_one_out": np.abs(scaled[-1] - loo.predict(clipped)[-1]),
        "nearest": np.sqrt(sum(squares) / 5),
    }
    for name, known in expected.items():
        np.testing.assert_allclose(error[0, member(fitted, name)], known, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 5), st.floats(-3, 3), st.integers(100, 1000))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_dimension_of_the_graph_sees_itself_now_or_earlier(
    fitted: Fitted, graphs: Graphs, dimension: int, shift: float, start: int
) -> None:
    """What a dimension did in all its rows changes its expectation by rounding only."""
    if fitted.config.model == "gru_vae":
        pytest.skip("reconstructs every dimension from itself, too")
    rows = centred(fitted, 1, start=start, count=8)[None].repeat(PAD, axis=0)
    span, unit = fitted.linear.scaling.span[1], fitted.residual_scale
    changed = rows.copy()
    changed[:, :, dimension] += np.float32(shift * span[dimension])
    _, expected, scale = graphs.window(rows, ONES)
    _, other, wider = graphs.window(changed, ONES)
    apart = np.abs(other - expected)[0, dimension] / (span * unit)[dimension]
    assert apart < 1e-3
    assert wider[0, dimension] == pytest.approx(scale[0, dimension], rel=1e-4)


def test_relative_scale_of_the_graph_keeps_its_bounds(fitted: Fitted, graphs: Graphs) -> None:
    config = fitted.config
    if not isinstance(config, BlindSpotConfig):
        pytest.skip("has no relative scale")
    unit = fitted.linear.scaling.span[1] * fitted.residual_scale
    for sign in (-1, 1):
        for dimension in range(6):
            rows = centred(fitted, 1, start=300, count=8)[None].repeat(PAD, axis=0)
            rows[:, :, dimension] = sign * 5 * fitted.linear.scaling.span[1, dimension]
            error, expected, scale = graphs.window(rows, ONES)
            relative = scale / unit
            assert relative.min() >= config.scale_low * (1 - 1e-5)
            assert relative.max() <= config.scale_high * (1 + 1e-5)
            left = np.abs(rows[0, -1] - expected[0])[dimension]
            least = left / fitted.linear.scaling.span[1, dimension] / config.scale_high
            assert error[0, member(fitted, "network"), dimension] >= least * (1 - 1e-4)


def test_changed_weights_are_noticed_and_refused(fitted: Fitted, exported: Exported) -> None:
    if fitted.network is None:
        other = replace(fitted, residual_scale=fitted.residual_scale * 2)
    else:
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
    config = tiny("gru_vae", epochs=0, is_linear_skip=False, dense_activation="relu")
    assert max(export(fit([series()], config), tmp_path).parity.values()) < 1e-5


@pytest.mark.parametrize(
    ("model", "members"),
    [("blind_spot", ("network", "raw")), ("gru_vae", ("nearest", "pca")), ("linear", ("raw",))],
)
def test_only_the_members_asked_for_are_exported(
    tmp_path: Path, model: Model, members: tuple[Member, ...]
) -> None:
    exported = export(fit([series()], tiny(model, epochs=0, members=members)), tmp_path)
    assert exported.members == members
    assert max(exported.parity.values()) < 1e-5


def test_every_choice_of_members_gives_the_errors_of_each(fitted: Fitted) -> None:
    every, length = fitted.config.members, fitted.config.window_length
    rows = torch.from_numpy(centred(fitted, 1, start=400, count=length)[None])
    with torch.no_grad():
        whole, *_ = window_graph(fitted)(rows, torch.ones(1, dtype=torch.int64))
        for count in range(1, len(every) + 1):
            for members in permutations(every, count):
                config = fitted.config.model_copy(update={"members": members})
                graph = window_graph(replace(fitted, config=config))
                error, *_ = graph(rows, torch.ones(1, dtype=torch.int64))
                chosen = [member(fitted, name) for name in members]
                assert bool((error == whole[:, chosen]).all())


def test_same_seed_gives_the_same_bytes(fitted: Fitted, exported: Exported, tmp_path: Path) -> None:
    write_graphs(fit(list(fitted.series), fitted.config), tmp_path)
    for file in (exported.step, exported.window):
        assert sha256_of(tmp_path / file.file) == file.sha256


def test_paper_preset_exports(tmp_path: Path) -> None:
    exported = export(fit([series()], preset("paper", model="gru_vae", epochs=0)), tmp_path)
    assert max(exported.parity.values()) < 1e-4
    assert exported.parity["batch"] == 0.0
    assert exported.window.file == "window.onnx"
