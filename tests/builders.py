"""Small real things for tests: a bundle made without torch, series, points."""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from service.scoring.bundle import (
    Bundle,
    Calibration,
    File,
    Manifest,
    StateTensor,
    View,
    load_bundle,
    sha256_of,
    write_calibration,
    write_manifest,
)
from service.scoring.calibration import CAP
from service.scoring.series import Series
from tests.tiny_graphs import LOADING, MEMBERS, WINDOW_LENGTH, step_graph, window_graph
from trainer.calibrate import calibrate
from trainer.observe import Stretch
from trainer.windows import impute

DIMENSIONS = ("a", "b", "c", "d")
ENTITIES = ("alpha", "beta")
NEED = WINDOW_LENGTH  # its memory horizon
START_MS = 1_750_000_000_000
PERIOD_MS = 60_000
_LARGEST = {"aggregation": "top_mean", "floor": 2e-2, "half_life_points": 250.0, "power": "abs"}
_SUM = {"aggregation": "sum_sqrt", "floor": 1e-3, "half_life_points": 250.0, "power": "square"}
VIEWS = tuple(
    View.model_validate(view)  # every role, and weights that differ
    for view in (
        {"member": "persistence", "role": "score", **_LARGEST},
        {"member": "mean_of_all", "role": "both", "weight": 1.2, **_LARGEST},
        {"member": "mean_of_all", "role": "severity", "weight": 0.8, **_SUM},
    )
)


def values_like(entity: str, count: int, *, seed: int = 0) -> npt.NDArray[np.float64]:
    """Four coupled dimensions around the level of the entity: (count, 4)."""
    generator = np.random.default_rng([seed, len(entity)])
    load = np.sin(np.arange(count) / 20.0) + 0.2 * generator.normal(size=count)
    noise = 0.1 * generator.normal(size=(count, 4))
    level = 10.0 if entity == "beta" else 0.0
    values: npt.NDArray[np.float64] = level + load[:, None] * LOADING + noise
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
    onnx.save(step_graph(), folder / "step.onnx")
    onnx.save(window_graph(), folder / "window.onnx")
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


def another_version(root: Path, *, step: bytes | None = None, **changes: object) -> str:
    """A second version of `tiny` beside the current one, with these fields of its manifest.

    `step` is another step graph; the digests say so.
    """
    bundle = load_bundle(root / "tiny")
    folder = root / "tiny" / "draft"
    shutil.copytree(bundle.folder, folder)
    if step is not None:
        (folder / "step.onnx").write_bytes(step)
        changes["step"] = File(file="step.onnx", sha256=sha256_of(folder / "step.onnx"))
    update = {"training": {"seed": 1}, **changes}
    manifest = write_manifest(folder, bundle.manifest.model_copy(update=update))
    folder.rename(folder.parent / manifest.version)
    return manifest.version


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
    return Manifest(
        name="tiny",
        model="tiny",
        dimensions=DIMENSIONS,
        entities=ENTITIES,
        period_seconds=PERIOD_MS / 1000,
        window_length=WINDOW_LENGTH,
        memory_horizon=NEED,
        is_horizon_reached=True,
        members=MEMBERS,
        state=(StateTensor(name="previous", shape=(len(DIMENSIONS),)),),
        step=File(file="step.onnx", sha256=sha256_of(folder / "step.onnx")),
        window=File(file="window.onnx", sha256=sha256_of(folder / "window.onnx")),
        calibration=File(file="calibration.npz", sha256="0" * 64),
        views=VIEWS,
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
        cap=np.full((rows, dimensions), CAP),
    )
