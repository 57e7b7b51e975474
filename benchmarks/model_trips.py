"""One trip of a model over one data set: fitted, checked, streamed, and compared with `score`."""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.agreement import NUMBERS, Arrays, difference, expect_same_kinds, of_causes
from benchmarks.servers import gaugewatch
from service.cli.client import Client
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.candidate import try_bundle
from service.scoring.series import Series, read_series
from service.stream.messages import EntityView
from tests.contract import test_bundle as contract
from trainer.config import CONFIGS, Model, NetworkConfig

POINTS = 400  # scored, behind those that warm the entity up
EPOCHS = "2"
TEST_ROWS = ":2000"  # that a fit examines: all of SMD would take longer than the fit
CHECKS = (
    contract.test_the_operators_do_not_depend_on_the_batch,
    contract.test_the_step_graph_follows_the_window_graph,
    contract.test_a_point_scores_the_same_in_any_batch,
    contract.test_errors_are_finite_and_not_negative_whatever_comes,
    contract.test_the_manifest_reproduces_its_version,
    contract.test_one_state_is_a_few_kilobytes_beside_a_window,
)


class Case(NamedTuple):
    """One entity of a data set."""

    name: str
    path: str  # in the folder of the data sets
    period_seconds: float


class Trip(Struct, frozen=True):
    """What one trip showed."""

    model: str
    case: str
    version: str
    seconds: float  # of the fit
    points: int
    scored: int
    anomalies: int
    parity: dict[str, float]
    differences: dict[str, float]  # greatest, between the service and `score`
    compared_causes: int  # dimensions of points whose part in them was compared

    @property
    def difference(self) -> float:
        """The greatest of all."""
        return max(self.differences.values())


def trip(model: Model, case: Case, *, data: Path, output: Path) -> Trip:
    """Raises where a command fails, the contract is broken, or a verdict is another one."""
    folder = output / f"{model}-{Path(case.path).stem}".lower()
    seconds, bundle = fitted(model, case, data=data, folder=folder)
    checked(bundle)
    series = stretch_of(case, data, points=bundle.manifest.memory_horizon - 1 + POINTS)
    file = written(series, folder)
    offline, (online, view) = scored(bundle, file), streamed(bundle, file)
    expect_same_kinds(offline, online)
    differences = {name: difference(offline[name], online[name]) for name in NUMBERS}
    rows = dict(zip(series.timestamps_ms.tolist(), range(len(series.values)), strict=True))
    kept = [(rows[row.timestamp_ms], row) for row in view.window if row.score is not None]
    differences["contribution"], compared = of_causes(offline, kept, series.dimensions)
    return Trip(
        model=model,
        case=case.name,
        version=bundle.manifest.version,
        seconds=seconds,
        points=len(series.values),
        scored=int(np.isfinite(online["score"]).sum()),
        anomalies=int(online["is_anomaly"].sum()),
        parity=bundle.manifest.parity,
        differences=differences,
        compared_causes=compared,
    )


def fitted(model: Model, case: Case, *, data: Path, folder: Path) -> tuple[float, Bundle]:
    """The seconds it took to fit, export, calibrate and examine, and the bundle."""
    words = ["fit", "--data", str(data / case.path), "--output", str(folder), "--name", folder.name]
    words += ["--period-seconds", str(case.period_seconds), "--model", model]
    words += ["--test-rows", TEST_ROWS, "--no-report", "--quiet", "--json"]
    words += ["--epochs", EPOCHS] if issubclass(CONFIGS[model], NetworkConfig) else []
    [found] = json.loads(_said("trainer.cli", *words))["bundles"]
    return float(found["seconds"]), load_bundle(Path(found["folder"]))


def checked(bundle: Bundle) -> None:
    """The tests of the contract, and what the service asks of a candidate."""
    for check in CHECKS:
        check(bundle)
    try_bundle(bundle.folder)


def stretch_of(case: Case, data: Path, *, points: int) -> Series:
    """Part of the test half, around the start of its first labelled anomaly."""
    series = read_series(data / case.path, period_seconds=case.period_seconds)
    first = 0 if series.label is None else int(np.argmax(series.label)) - POINTS // 2
    first = max(0, min(first, len(series.values) - points))
    part = slice(first, first + points)
    values, times = series.values[part], series.timestamps_ms[part]
    return replace(series, values=values, timestamps_ms=times, label=None, segments=())


def written(series: Series, folder: Path) -> Path:
    """The series as the test half of an NPZ that is named for its entity."""
    path = folder / f"{series.entity}.npz"
    np.savez(
        path,
        train=series.values[:1],
        test=series.values,
        timestamps=series.timestamps_ms / 1000,
        dimensions=np.array(series.dimensions),
    )
    return path


def scored(bundle: Bundle, file: Path) -> Arrays:
    """What `gaugewatch score` says."""
    output = file.with_name("offline.npz")
    words = ("--bundle", str(bundle.folder), "--input", str(file), "--output", str(output))
    _said("service.cli", "score", *words, "--json")
    return _arrays(output)


def streamed(bundle: Bundle, file: Path) -> tuple[Arrays, EntityView]:
    """What a service answers to `gaugewatch replay`, and what it then knows of the entity."""
    output = file.with_name("online.npz")
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-trip-") as folder,
        gaugewatch(bundle, "everysec", Path(folder)) as running,
    ):
        url = f"http://127.0.0.1:{running.face.port}"
        _said("service.cli", "replay", str(file), "--url", url, "--output", str(output), "--json")
        with Client(url) as client:
            known = client.get(f"/v1/entities/{quote(file.stem, safe='')}?rows=1000")
    return _arrays(output), msgspec.convert(known, EntityView)


def _arrays(path: Path) -> Arrays:
    with np.load(path) as arrays:
        return dict(arrays)


def _said(module: str, *words: str) -> str:
    """What a command of ours writes to stdout; raises with what it wrote to stderr."""
    ended = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(
            f"{module} {' '.join(words)} ended with {ended.returncode}: {ended.stderr[-2000:]}"
        )
    return ended.stdout
