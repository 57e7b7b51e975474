"""Small real things for tests: a bundle made without torch, series, points."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.scoring.bundle import (
    Bundle,
    Calibration,
    File,
    Manifest,
    StateTensor,
    load_bundle,
    sha256_of,
    write_calibration,
    write_manifest,
)
from service.scoring.series import Series
from trainer.calibrate import calibrate, default_views
from trainer.observe import Stretch
from trainer.windows import impute

DIMENSIONS = ("a", "b", "c", "d")
ENTITIES = ("alpha", "beta")
NEED = 4
START_MS = 1_750_000_000_000
PERIOD_MS = 60_000
_LOADING = np.array([1.0, 0.8, 0.5, 0.2])
_SPREAD = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5]], np.float32)


def values_like(entity: str, count: int, *, seed: int = 0) -> npt.NDArray[np.float64]:
    """Four coupled dimensions around the level of the entity: (count, 4)."""
    generator = np.random.default_rng([seed, len(entity)])
    load = np.sin(np.arange(count) / 20.0) + 0.2 * generator.normal(size=count)
    noise = 0.1 * generator.normal(size=(count, 4))
    level = 10.0 if entity == "beta" else 0.0
    values: npt.NDArray[np.float64] = level + load[:, None] * _LOADING + noise
    return values


def series_like(entity: str, count: int, *, seed: int = 0, start: int = 0) -> Series:
    """A series of `values_like`."""
    return Series(
        entity=entity,
        dimensions=DIMENSIONS,
        timestamps_ms=START_MS + PERIOD_MS * np.arange(start, start + count, dtype=np.int64),
        values=values_like(entity, count, seed=seed),
        label=None,
        segments=(),
    )


def tiny_bundle(root: Path) -> Path:
    """A folder of bundles holding `tiny`: two entities, four dimensions, two members."""
    folder = root / "tiny" / "draft"
    folder.mkdir(parents=True)
    onnx.save(_step_graph(), folder / "step.onnx")
    onnx.save(_window_graph(), folder / "window.onnx")
    manifest = _manifest(folder)
    rows = len(ENTITIES) + 1
    draft = Bundle(folder, manifest, _neutral_calibration(manifest, rows))
    stretches = [
        stretch_of(values_like(entity, 600, seed=7), draft.calibration.center, index=index)
        for index, entity in enumerate(ENTITIES, start=1)
    ]
    calibration = write_calibration(folder, calibrate(draft, stretches))
    manifest = write_manifest(folder, manifest.model_copy(update={"calibration": calibration}))
    folder.rename(folder.parent / manifest.version)
    (root / "tiny" / "current").write_text(manifest.version + "\n")
    return root


def stretch_of(
    values: npt.NDArray[np.float64], center: npt.NDArray[np.float64], *, index: int
) -> Stretch:
    """Raw values (time, 4), NaN = missing, as the trainer hands them to the calibration."""
    is_missing = np.isnan(values)
    centred = impute(values, center[index]) - center[index]
    return Stretch(index, NEED, centred.astype(np.float32), is_missing)


def loaded_tiny_bundle(root: Path) -> Bundle:
    """The bundle of `tiny_bundle`, loaded."""
    return load_bundle(tiny_bundle(root) / "tiny")


def _manifest(folder: Path) -> Manifest:
    members = ("persistence", "mean_of_all")
    return Manifest(
        name="tiny",
        model="tiny",
        dimensions=DIMENSIONS,
        entities=ENTITIES,
        period_seconds=PERIOD_MS / 1000,
        window_length=NEED,
        memory_horizon=NEED,
        is_horizon_reached=True,
        members=members,
        state=(StateTensor(name="previous", shape=(len(DIMENSIONS),)),),
        step=File(file="step.onnx", sha256=sha256_of(folder / "step.onnx")),
        window=File(file="window.onnx", sha256=sha256_of(folder / "window.onnx")),
        calibration=File(file="calibration.npz", sha256="0" * 64),
        views=tuple(default_views(members, dimensions=len(DIMENSIONS), train_points=2000)),
        default_budget=5.0,
        supported_p=1 / 600,
        parity={},
        training={},
    )


def _neutral_calibration(manifest: Manifest, rows: int) -> Calibration:
    dimensions, views = len(manifest.dimensions), len(manifest.views)
    center = np.zeros((rows, dimensions))
    center[2] = 10.0
    return Calibration(
        center=center,
        seed=np.zeros((rows, views, dimensions, 2)),
        knots=np.zeros((rows, views + 1, 64)),
        tail=np.ones((rows, views + 1, 4)),
        excess=np.ones((rows, views)),
        band=np.ones((rows, dimensions)),
        kappa=np.ones(rows),
        is_constant=np.zeros((rows, dimensions), bool),
    )


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
        helper.make_node("Concat", ["first", "second"], ["error"], axis=1),
        helper.make_node("Mul", ["mixed", "scale_raw"], ["expected"]),
        helper.make_node("Identity", ["scale_raw"], ["scale"]),
    ]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[str | int]],
    outputs: dict[str, list[str | int]],
) -> onnx.ModelProto:
    mixing = np.outer(_LOADING, _LOADING) / float(_LOADING @ _LOADING)
    constants = [
        numpy_helper.from_array(_SPREAD, "spread"),
        numpy_helper.from_array(mixing.astype(np.float32), "mixing"),
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


def _step_graph() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Identity", ["values"], ["now"]),
        helper.make_node("Identity", ["state_previous"], ["before"]),
        *_judging_nodes(),
        helper.make_node("Identity", ["values"], ["next_previous"]),
    ]
    inputs: dict[str, list[str | int]] = {"values": ["batch", 4], "state_previous": ["batch", 4]}
    return _model(nodes, inputs, {**_outputs(), "next_previous": ["batch", 4]})


def _window_graph() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["window", "last"], ["now"], axis=1),
        helper.make_node("Gather", ["window", "last_but_one"], ["before"], axis=1),
        *_judging_nodes(),
    ]
    return _model(nodes, {"window": ["batch", NEED, 4]}, _outputs())
