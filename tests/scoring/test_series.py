import os
from pathlib import Path

import numpy as np
import pytest

from service.errors import BadSeries
from service.scoring.series import read_folder, read_series

CSV = "timestamp,cpu\n2025-01-06T00:00:00Z,1\n2025-01-06T00:01:00Z,3\n"


def real(data_set: str) -> Path:
    root = os.environ.get("GAUGEWATCH_DATA")
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = (Path(root) if root else beside) / data_set
    if not folder.is_dir():
        pytest.skip(f"NO REAL DATA: {folder} is missing; set GAUGEWATCH_DATA to run this test")
    return folder


def test_a_folder_is_read_sorted_by_entity(tmp_path: Path) -> None:
    for name in ("zebra", "ant"):
        (tmp_path / f"{name}.csv").write_text(CSV, "utf-8")
    np.savez(tmp_path / "node.npz", test=np.zeros((3, 2)))
    assert [series.entity for series in read_folder(tmp_path)] == ["ant", "node", "zebra"]
    (tmp_path / "node.csv").write_text(CSV, "utf-8")
    with pytest.raises(BadSeries, match="expected one file per entity, came node"):
        read_folder(tmp_path)


def test_an_empty_or_missing_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BadSeries, match="expected at least one"):
        read_folder(tmp_path)
    with pytest.raises(BadSeries, match="expected a folder"):
        read_folder(tmp_path / "missing")


def test_a_real_machine_has_names_labels_and_culprits() -> None:
    series = read_series(real("SMD") / "machine-1-6.npz")
    assert series.values.shape[1] == 38
    assert series.dimensions[:2] == ("cpu_r", "load_1")
    assert series.label is not None
    marked = np.zeros(len(series.label), np.bool_)
    for segment in series.segments:
        assert segment.dimensions
        marked[segment.start : segment.end + 1] = True
    assert (marked == series.label).mean() > 0.99


@pytest.mark.parametrize("data_set", ["ASD", "MSL", "SMAP", "NAB", "NAB_VAELSTM"])
def test_real_folders_are_read_whole(data_set: str) -> None:
    for series in read_folder(real(data_set), period_seconds=300):
        assert series.label is not None
        assert series.label.shape == series.timestamps_ms.shape == series.values.shape[:1]
        assert np.isfinite(series.values).all()
        assert (np.diff(series.timestamps_ms) > 0).all()


def test_the_joint_inside_a_published_test_part_stays_a_gap() -> None:
    series = read_series(real("NAB_VAELSTM") / "machine_temp.npz", period_seconds=300)
    assert np.unique(np.diff(series.timestamps_ms)).tolist() == [300_000, 10_501 * 300_000]
