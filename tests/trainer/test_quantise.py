"""Int8 is close to float32, does not depend on the batch, and is refused where it is not close."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks.step_graphs import series
from service.errors import SettingInvalid, TrainingFailed
from service.scoring.bundle import sha256_of
from trainer.config import preset
from trainer.export import export
from trainer.fit import fit
from trainer.fitted import Fitted
from trainer.graphs import state_shapes
from trainer.parity import PAD, Array, Graphs
from trainer.precision import INT8_STEP, LIMITS, check_precision
from trainer.quantise import BOUNDED_STATES, LEVELS, quantised


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    changes = {"hidden": 24, "dense": 24, "epochs": 2, "epoch_steps": 10, "is_int8": True}
    return fit([series()], preset("small", model="gru_vae", **changes))


@pytest.fixture(scope="module")
def folder(fitted: Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    exported = export(fitted, folder)
    assert exported.step.file == INT8_STEP
    assert exported.step.sha256 == sha256_of(folder / INT8_STEP)
    assert all(exported.parity[name] <= limit for name, limit in LIMITS.items())
    return folder


@pytest.mark.slow
@pytest.mark.timeout(300)  # of which the export takes the most
def test_recurrent_products_are_those_of_rounded_states_and_weights(
    fitted: Fitted, folder: Path
) -> None:
    weights = {
        one.name: numpy_helper.to_array(one).astype(np.float64)
        for one in onnx.load(folder / "step.onnx").graph.initializer
    }
    rounded = {
        one.name: numpy_helper.to_array(one).astype(np.float64)
        for one in onnx.load(folder / INT8_STEP).graph.initializer
    }
    for name in ("encoder.w_h", "decoder.w_h"):
        assert name not in rounded
        unit = np.abs(weights[name]).max(axis=1) / LEVELS
        again = (rounded[f"{name}_int8"] * rounded[f"{name}_unit"]).T
        assert np.all(np.abs(again - weights[name]) <= 0.501 * unit[:, None])
    assert {rounded[f"{state}_unit"].item() for state in BOUNDED_STATES} == {np.float32(1 / LEVELS)}


@pytest.mark.slow
@pytest.mark.timeout(300)  # of which the export takes the most
def test_one_step_in_int8_differs_by_its_rounding_alone(fitted: Fitted, folder: Path) -> None:
    ours, exact = (Graphs(folder, state_shapes(fitted), step=n) for n in (INT8_STEP, "step.onnx"))
    random = np.random.default_rng(0)
    values: Array = random.normal(size=(PAD, len(fitted.dimensions))).astype(np.float32)
    state = exact.fresh(PAD)
    for name in ("encoder", "decoder"):
        state[name] = random.uniform(-1, 1, state[name].shape).astype(np.float32)
    index = np.ones(PAD, np.int64)
    _, found = ours.step(values, index, state)
    _, expected = exact.step(values, index, state)
    for name in ("encoder", "decoder"):
        assert 0 < np.abs(found[name] - expected[name]).max() < 0.05
    for name in ("lags",):
        np.testing.assert_array_equal(found[name], expected[name])


def test_a_graph_without_gru_cannot_be_quantised() -> None:
    with pytest.raises(TrainingFailed, match="no GRU"):
        quantised(onnx.ModelProto())


def test_models_without_gru_do_not_know_int8() -> None:
    with pytest.raises(SettingInvalid, match="is_int8"):
        preset("small", model="blind_spot", is_int8=True)


@pytest.mark.parametrize("name", LIMITS)
def test_a_graph_that_says_something_else_is_refused(name: str, tmp_path: Path) -> None:
    within = dict.fromkeys(LIMITS, 0.0)
    check_precision(within, tmp_path)
    with pytest.raises(TrainingFailed, match="without --quantise"):
        check_precision({**within, name: 0.2}, tmp_path)
    with pytest.raises(TrainingFailed, match="without --quantise"):
        check_precision({**within, name: float("nan")}, tmp_path)
