import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
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


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (["b", "a"], ("b", "a")),
        (["2-3"], ("b", "c")),
        (["4"], ("7",)),
        (["7"], ("7",)),  # a name before a number
        (["a..c"], ("a", "b", "c")),
        (["7", "1-2"], ("7", "a", "b")),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
def test_columns_are_chosen_by_name_or_range(
    tmp_path: Path, kind: str, columns: list[str], chosen: tuple[str, ...]
) -> None:
    names, path = ["a", "b", "c", "7"], tmp_path / f"m.{kind}"
    if kind == "csv":
        path.write_text("time,a,b,c,7,label\n2020-01-01,1,2,3,4,0\n", "utf-8")
    elif kind == "npz":
        np.savez(path, test=np.array([[1.0, 2.0, 3.0, 4.0]]), dimensions=np.array(names))
    else:
        pq.write_table(pa.table({name: [1.0 + i] for i, name in enumerate(names)}), path)
    series = read_series(path, columns=columns)
    assert series.dimensions == chosen
    assert series.values[0].tolist() == [1.0 + names.index(name) for name in chosen]


@pytest.mark.parametrize("columns", [["5"], ["0-1"], ["3-2"], ["c..a"], ["a..x"], ["1-2", "b"]])
def test_ranges_that_choose_nothing_or_twice_are_refused(
    tmp_path: Path, columns: list[str]
) -> None:
    path = tmp_path / "m.csv"
    path.write_text("a,b,c\n1,2,3\n", "utf-8")
    with pytest.raises(BadSeries, match="expected different columns"):
        read_series(path, columns=columns)
