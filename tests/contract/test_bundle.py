"""What every bundle must be, shipped or freshly exported: the same checks for each."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from service.errors import BundleInvalid, UnknownBundle
from service.scoring.bundle import (
    Bundle,
    File,
    find_bundles,
    load_bundle,
    write_calibration,
    write_manifest,
)
from service.scoring.calibration import usual_cap
from service.scoring.detector import Detector, single_threaded
from service.scoring.fold import Fold, Points
from tests.builders import tiny_bundle
from tests.trainer import small
from tests.trainer.made import bundle_of
from trainer.build import build_bundle
from trainer.config import Model, preset
from trainer.fit import fit

ROOT = Path("exported_models")
SHIPPED = sorted(path.parent for path in ROOT.glob("*/*/bundle.json"))
MADE = [
    "tiny",
    *(pytest.param(one, marks=pytest.mark.slow) for one in ("constant", "exported_lstm")),
]
TITLES = [folder.relative_to(ROOT).as_posix() for folder in SHIPPED]
EXPORTED: list[Model] = ["blind_spot", "pca", *small.WINDOWED]
MAX_SHIPPED_BYTES = 2_000_000
FORBIDDEN = ("Reduce", "Softplus", "Log", "Loop", "If", "Scan", "Random", "Dropout")
PARITY = 1e-4  # scaled units

Float32Array = np.typing.NDArray[np.float32]


def constant(folder: Path) -> Bundle:
    """A dimension that never moved: its band is 0, and 0 is expected of it."""
    series = small.series("alpha")
    series.values[:, 3] = 0.5
    fitted = fit([series], small.tiny("linear"))
    return build_bundle(fitted, folder, name="small", period_seconds=60)


@pytest.fixture(scope="session")
def exported_lstm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's recipe of the GRU-VAE, with the other cell."""
    sizes = {"hidden": 8, "dense": 8, "latent": 2, "flows": 2, "window_length": 16}
    knobs = {**sizes, "cell": "lstm", "epochs": 1, "epoch_steps": 5, "threads": 1}
    config = preset("omnianomaly", model="gru_vae", **knobs)
    folder = tmp_path_factory.mktemp("exported")
    return build_bundle(
        fit([small.series("alpha")], config), folder, name="lstm", period_seconds=60
    ).folder


@pytest.fixture(scope="session", params=[*MADE, *EXPORTED, *TITLES])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    if request.param == "tiny":
        return load_bundle(tiny_bundle(tmp_path_factory.mktemp("tiny")) / "tiny")
    if request.param == "constant":
        return constant(tmp_path_factory.mktemp("constant"))
    if request.param == "exported_lstm":
        return load_bundle(request.getfixturevalue(request.param))
    if request.param in EXPORTED:
        return bundle_of(request.param, tmp_path_factory)
    return load_bundle(ROOT / request.param)


def windows(bundle: Bundle, count: int) -> Float32Array:
    """Centred windows (count, time, dimension), some calm, some wild."""
    generator = np.random.default_rng(5)
    manifest, band = bundle.manifest, bundle.calibration.band[1]
    shape = (count, manifest.window_length, len(manifest.dimensions))
    width = generator.choice([0.3, 1.0, 30.0], size=(count, 1, 1))
    values: Float32Array = (generator.normal(size=shape) * width * band).astype(np.float32)
    return values


@pytest.mark.timeout(300)  # the first of each bundle, so it may have to be exported
def test_the_operators_do_not_depend_on_the_batch(bundle: Bundle) -> None:
    for file in (bundle.manifest.step, bundle.manifest.window):
        model = onnx.load(bundle.folder / file.file)
        operators = {node.op_type for node in model.graph.node}
        assert [op for op in operators if op.startswith(FORBIDDEN)] == []
        assert len(model.graph.node) < 200
        assert model.opset_import[0].version >= 18


def test_the_step_graph_follows_the_window_graph(bundle: Bundle) -> None:
    window = windows(bundle, 32)
    index = np.resize(np.arange(1, len(bundle.manifest.entities) + 1), 32)
    path = bundle.folder / bundle.manifest.window.file
    session = ort.InferenceSession(path.read_bytes(), single_threaded())
    feed = {"window": window, "entity_index": index}
    expected = session.run(["error", "expected", "scale"], feed)
    detector = Detector(bundle)
    states = np.zeros(32, np.dtype([(t.name, "<f4", t.shape) for t in bundle.manifest.state]))
    for row in window.swapaxes(0, 1)[:-1]:
        for name, tensor in detector.run(states, row, index).state.items():
            states[name] = tensor
    detection = detector.run(states, window[:, -1], index)
    scaled = np.abs(detection.error - expected[0]) / (1.0 + np.abs(expected[0]))
    assert scaled.max() <= PARITY
    span = np.maximum(np.abs(expected[1]), bundle.calibration.band[index])
    assert (np.abs(detection.expected - expected[1]) <= PARITY * span).all()  # both may be 0
    assert np.allclose(detection.scale, expected[2], rtol=PARITY, atol=0)


def test_a_point_scores_the_same_in_any_batch(bundle: Bundle) -> None:
    fold = Fold(bundle)
    rows = windows(bundle, 48)[:, 0]
    index = np.resize(np.arange(len(bundle.manifest.entities) + 1), 48)
    points = Points(index, np.arange(48), rows)
    states = fold.fresh(index)
    for _ in range(3):
        together, verdicts = fold.step(states, points)
        for one in (0, 17, 47):
            alone = Points(index[[one]], np.array([one]), rows[[one]])
            state, verdict = fold.step(states[[one]], alone)
            assert state.tobytes() == together[[one]].tobytes()
            assert verdict.surprisal.tobytes() == verdicts.surprisal[[one]].tobytes()
        states = together


def test_errors_are_finite_and_not_negative_whatever_comes(bundle: Bundle) -> None:
    detector = Detector(bundle)
    state = np.zeros(4, np.dtype([(t.name, "<f4", t.shape) for t in bundle.manifest.state]))
    rows = np.zeros((4, len(bundle.manifest.dimensions)), np.float32)
    rows[1], rows[2], rows[3, 0] = 1e30, -1e30, 1e30
    for _ in range(3):
        detection = detector.run(state, rows, np.ones(4, np.int64))
        for name, tensor in detection.state.items():
            assert np.isfinite(tensor).all()
            state[name] = tensor
        assert np.isfinite(detection.error).all()
        assert (detection.error >= 0).all()


def test_the_manifest_reproduces_its_version(bundle: Bundle) -> None:
    text = json.loads((bundle.folder / "bundle.json").read_text())
    assert text["version"] == bundle.manifest.digest[:12]
    other = {"report": "other.md", "created_at": "never", "parity": {"batch": 0.5}}
    assert bundle.manifest.model_copy(update=other).digest == bundle.manifest.digest
    longer = bundle.manifest.model_copy(update={"memory_horizon": 10_000})
    assert longer.digest != bundle.manifest.digest


def test_one_state_is_a_few_kilobytes_beside_a_window(bundle: Bundle) -> None:
    """A model without a recurrent form carries its window, as float32."""
    manifest = bundle.manifest
    window = 4 * manifest.window_length * len(manifest.dimensions)
    assert Fold(bundle).state_dtype.itemsize < 10_000 + window


@pytest.mark.parametrize("folder", SHIPPED, ids=TITLES)
def test_a_shipped_bundle_is_small_and_reported(folder: Path) -> None:
    files = [file for file in folder.iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MAX_SHIPPED_BYTES
    report = (folder / "report.md").read_text()
    assert all(name in report for name in ("random", "PCA"))
    page = (folder / "report.html").read_text()
    assert f"<h1>{folder.parent.name} <small>{folder.name}</small></h1>" in page
    measured = load_bundle(folder).manifest.metrics
    precision = f"{measured['bundle']['average_precision']:.3f}"
    assert f"| average precision | {precision} |" in report
    assert f'<td class="own">{precision}</td>' in page


def test_the_bundles_of_the_issue_are_shipped() -> None:
    for name in ("simulated-fleet", "smd-machine-1-6", "smd-machine-2-1"):
        versions = [load_bundle(folder) for folder in SHIPPED if folder.parent.name == name]
        models = {one.manifest.model for one in versions}
        assert models == {"blind_spot", "gru_vae", "slmr"}
        assert {one.manifest.name for one in versions} == {name}
        assert len({(one.manifest.entities, one.manifest.dimensions) for one in versions}) == 1


def test_the_default_model_is_what_serves() -> None:
    models = {load_bundle(folder).manifest.model for folder in find_bundles(ROOT)}
    assert models == {"blind_spot"}


def copied(folder: Path, bundle: Bundle) -> Path:
    for file in bundle.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def copy(tmp_path: Path, bundle_folder: Path) -> Path:
    return copied(tmp_path, load_bundle(bundle_folder / "tiny"))


def test_a_changed_graph_is_refused(copy: Path) -> None:
    (copy / "step.onnx").write_bytes((copy / "step.onnx").read_bytes() + b"x")
    with pytest.raises(BundleInvalid, match="was changed"):
        load_bundle(copy)


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "window.onnx").unlink()
    with pytest.raises(BundleInvalid, match=r"window\.onnx"):
        load_bundle(copy)


def test_a_link_out_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "step.onnx").rename(copy / "elsewhere.onnx")
    (copy / "step.onnx").symlink_to(copy / "elsewhere.onnx")
    with pytest.raises(BundleInvalid):
        load_bundle(copy)


def test_an_edited_manifest_is_refused(copy: Path) -> None:
    text = (copy / "bundle.json").read_text()
    (copy / "bundle.json").write_text(
        text.replace('"default_budget":', '"default_budget": 9, "b":')
    )
    with pytest.raises(BundleInvalid, match="breaks the contract"):
        load_bundle(copy)
    (copy / "bundle.json").write_text(text.replace('"memory_horizon": 4', '"memory_horizon": 5'))
    with pytest.raises(BundleInvalid, match="digest"):
        load_bundle(copy)


def test_a_manifest_that_names_files_elsewhere_is_refused(copy: Path) -> None:
    text = (copy / "bundle.json").read_text()
    (copy / "bundle.json").write_text(text.replace('"step.onnx"', '"../step.onnx"'))
    with pytest.raises(BundleInvalid, match="file"):
        load_bundle(copy)


def test_random_bytes_instead_of_a_graph_are_refused(copy: Path) -> None:
    (copy / "step.onnx").write_bytes(b"not a graph")
    bundle = load_bundle_with_new_digests(copy)
    with pytest.raises(BundleInvalid, match="cannot be opened"):
        Detector(bundle)


def test_a_graph_with_other_inputs_is_refused(copy: Path) -> None:
    (copy / "step.onnx").write_bytes((copy / "window.onnx").read_bytes())
    bundle = load_bundle_with_new_digests(copy)
    with pytest.raises(BundleInvalid, match="must take"):
        Detector(bundle)


def test_a_calibration_of_another_shape_is_refused(copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["kappa"] = arrays["kappa"][:-1]

    with pytest.raises(BundleInvalid, match="kappa"):
        load_bundle_with_changed_calibration(copy, change)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("tail", np.s_[0, 0, 1], 0.0),
        ("tail", np.s_[1, 0, 1], 1.5),
        ("tail", np.s_[2, -1, 2], -0.1),
        ("tail", np.s_[1, -1, 3], 0.0),
        ("kappa", np.s_[0], 0.5),
        ("excess", np.s_[1, 0], 0.0),
        ("seed", np.s_[1, 0, 0, 1], -1.0),
        ("knots", np.s_[1, 0, 5], 1e9),
        ("center", np.s_[1, 0], np.nan),
        ("cap", np.s_[1, 0], 0.0),
    ],
)
def test_a_calibration_that_means_nothing_is_refused(
    copy: Path, name: str, at: tuple[int, ...], value: float
) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays.setdefault("cap", usual_cap(arrays["is_constant"]))
        arrays[name][at] = value

    with pytest.raises(BundleInvalid, match=name):
        load_bundle_with_changed_calibration(copy, change)


def test_caps_are_kept_where_they_are_not_the_usual(copy: Path, tmp_path: Path) -> None:
    bundle = load_bundle(copy)
    usual = usual_cap(bundle.calibration.is_constant)
    assert bundle.calibration.cap.tobytes() == usual.tobytes()  # its file does not have them
    assert write_calibration(tmp_path, bundle.calibration) == bundle.manifest.calibration
    cap = np.minimum(usual, 6.0)
    file = write_calibration(copy, replace(bundle.calibration, cap=cap))
    write_manifest(copy, bundle.manifest.model_copy(update={"calibration": file}))
    assert load_bundle(copy).calibration.cap.tobytes() == cap.tobytes()


def test_another_number_of_knots_is_refused(copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["knots"] = arrays["knots"][..., ::2]

    with pytest.raises(BundleInvalid, match="knots"):
        load_bundle_with_changed_calibration(copy, change)


def test_text_in_a_calibration_is_refused(copy: Path) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        arrays["band"] = arrays["band"].astype(str)

    with pytest.raises(BundleInvalid, match="band"):
        load_bundle_with_changed_calibration(copy, change)


@pytest.mark.parametrize("content", [b"PK\x03\x04 but not an archive", b"nothing", b""])
def test_a_broken_archive_is_refused(copy: Path, content: bytes) -> None:
    (copy / "calibration.npz").write_bytes(content)
    with pytest.raises(BundleInvalid, match="cannot be read"):
        load_bundle_with_new_digests(copy)


def load_bundle_with_changed_calibration(
    folder: Path, change: Callable[[dict[str, np.ndarray]], None]
) -> Bundle:
    with np.load(folder / "calibration.npz") as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    change(changed)
    np.savez(folder / "calibration.npz", allow_pickle=False, **changed)
    return load_bundle_with_new_digests(folder)


def test_no_bundle_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownBundle, match="bundle"):
        load_bundle(tmp_path)


def load_bundle_with_new_digests(folder: Path) -> Bundle:
    """Sign changed files again, so that what they hold is checked."""
    import hashlib

    from service.scoring.bundle import Manifest

    manifest = Manifest.model_validate_json((folder / "bundle.json").read_bytes())
    update = {
        name: File(
            file=getattr(manifest, name).file,
            sha256=hashlib.sha256((folder / getattr(manifest, name).file).read_bytes()).hexdigest(),
        )
        for name in ("step", "window", "calibration")
    }
    write_manifest(folder, manifest.model_copy(update=update))
    return load_bundle(folder)
