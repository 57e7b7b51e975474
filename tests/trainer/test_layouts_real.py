"""Real sets, which lie here as NPZ, written out as they are published and read back."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from service.scoring.series import Series
from tests.trainer.published_sets import array, rows, text
from trainer.datasets import Halves, Reader, to_train_on

Arrays = dict[str, npt.NDArray[Any]]


def real(data_set: str, entity: str) -> tuple[Path, Arrays]:
    """A file of a real set, and its arrays."""
    root = os.environ.get("GAUGEWATCH_DATA")
    beside = Path(__file__).parents[3] / "shared" / "data"
    path = (Path(root) if root else beside) / data_set / f"{entity}.npz"
    if not path.is_file():
        pytest.skip(f"NO REAL DATA: {path} is missing; set GAUGEWATCH_DATA to run this test")
    with np.load(path, allow_pickle=False) as arrays:
        return path, dict(arrays)


def assert_same(path: Path, published: Path, *, period_seconds: float = 60.0) -> list[str]:
    """Both forms have the same points, labels and segments; returns what was told."""
    told: list[str] = []
    expected = to_train_on(Reader(period_seconds), path)
    found = to_train_on(Reader(period_seconds, tell=told.append), published)
    for series, again in zip(_all(expected), _all(found), strict=True):
        np.testing.assert_allclose(series.values, again.values, rtol=1e-5)
        assert series.timestamps_ms.tolist() == again.timestamps_ms.tolist()
        assert series.segments == again.segments
    one, other = expected.test[0].label, found.test[0].label
    assert one is not None
    assert other is not None
    assert one.tolist() == other.tolist()
    return told


def _all(halves: Halves) -> list[Series]:
    return [*halves.train, *halves.test]


@pytest.mark.parametrize(
    ("entity", "odd"), [("machine-1-6", 0), ("machine-1-3", 1), ("machine-3-3", 2)]
)
def test_smd_and_its_ranges_that_differ_from_the_label(
    tmp_path: Path, entity: str, odd: int
) -> None:
    path, arrays = real("SMD", entity)
    for half in ("train", "test"):
        text(tmp_path / f"{half}/{entity}.txt", rows(arrays[half].tolist()))
    text(tmp_path / f"test_label/{entity}.txt", rows(arrays["label"][:, None].tolist()))
    ranges = str(arrays["interpretation_published"]).splitlines()
    text(tmp_path / f"interpretation_label/{entity}.txt", ranges)
    told = assert_same(path, tmp_path)
    assert len(told) == min(odd, 1)
    assert all(f"{odd} of {len(ranges)} ranges differ" in line for line in told)


def test_asd(tmp_path: Path) -> None:
    path, arrays = real("ASD", "omi-4")
    for name, key in (("train", "train"), ("test", "test"), ("test_label", "label")):
        array(tmp_path / f"processed/omi-4_{name}.npy", arrays[key].tolist())
    ranges = str(arrays["interpretation_published"]).splitlines()
    text(tmp_path / "interpretation_label/omi-4.txt", ranges)
    assert assert_same(path, tmp_path) == []


@pytest.mark.parametrize(("folder", "channel"), [("SMAP", "A-1"), ("SMAP", "P-2"), ("MSL", "C-1")])
def test_channels_of_telemanom(tmp_path: Path, folder: str, channel: str) -> None:
    path, arrays = real(folder, channel)
    for half in ("train", "test"):
        array(tmp_path / f"data/{half}/{channel}.npy", arrays[half].tolist())
    ranges = [[start, end] for start, end, _ in json.loads(str(arrays["anomalies"]))]
    body = [f'{channel},{folder},"{json.dumps([one])}"' for one in ranges]
    text(tmp_path / "labeled_anomalies.csv", ["chan_id,spacecraft,anomaly_sequences", *body])
    told = assert_same(path, tmp_path)
    assert bool(told) == (len(ranges) > 1)


@pytest.mark.parametrize("name", ["nyc_taxi", "ambient_temperature_system_failure"])
def test_nab(tmp_path: Path, name: str) -> None:
    path, arrays = real("NAB", name)
    values = np.concatenate([arrays["train"], arrays["test"]])[:, 0]
    stamps = [f"{second.astype('datetime64[s]')}" for second in arrays["timestamps"]]
    lines = [f"{stamp},{value:.9g}" for stamp, value in zip(stamps, values, strict=True)]
    text(tmp_path / f"data/realKnownCause/{name}.csv", ["timestamp,value", *lines])
    windows = [[stamps[start], stamps[end]] for start, end in json.loads(str(arrays["windows"]))]
    listed = json.dumps({f"realKnownCause/{name}.csv": windows})
    text(tmp_path / "labels/combined_windows.json", [listed])
    assert_same(path, tmp_path, period_seconds=3600.0)
