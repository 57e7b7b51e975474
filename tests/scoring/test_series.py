import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from service.errors import BadSeries
from service.scoring.series import Segment, read_folder, read_series

CSV = "timestamp,cpu,disk\n2025-01-06T00:00:00Z,1,2\n2025-01-06T00:01:00Z,3,\n"


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "node.npz"
    both = {"train": np.zeros((3, 2)), "test": np.arange(8.0).reshape(4, 2)}
    kept = {key: array for key, array in (both | arrays).items() if array is not None}
    np.savez(path, **kept)
    return path


def csv_file(folder: Path, text: str, *, name: str = "node.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def real(data_set: str) -> Path:
    root = os.environ.get("GAUGEWATCH_DATA")
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = (Path(root) if root else beside) / data_set
    if not folder.is_dir():
        pytest.skip(f"NO REAL DATA: {folder} is missing; set GAUGEWATCH_DATA to run this test")
    return folder


# ---- NPZ


def test_npz_without_clock_counts_test_on_from_train(tmp_path: Path) -> None:
    path = npz(tmp_path)
    test = read_series(path, period_seconds=300)
    train = read_series(path, part="train", period_seconds=300)
    assert train.timestamps_ms.tolist() == [0, 300_000, 600_000]
    assert test.timestamps_ms.tolist() == [900_000, 1_200_000, 1_500_000, 1_800_000]
    assert test.dimensions == ("d00", "d01")
    assert (test.entity, test.label, test.segments) == ("node", None, ())
    assert test.values.dtype == np.float64


@pytest.mark.parametrize("count", [4, 7])
def test_npz_timestamps_are_of_test_or_of_both_parts(tmp_path: Path, count: int) -> None:
    stamps = 1_700_000_000 + 60 * np.arange(count)
    series = read_series(npz(tmp_path, timestamps=stamps))
    assert series.timestamps_ms.tolist() == (stamps[-4:] * 1000).tolist()


def test_npz_train_has_its_own_share_of_the_timestamps(tmp_path: Path) -> None:
    stamps = 1_700_000_000 + 60 * np.arange(7)
    train = read_series(npz(tmp_path, timestamps=stamps), part="train")
    assert train.timestamps_ms.tolist() == (stamps[:3] * 1000).tolist()
    alone = read_series(npz(tmp_path, timestamps=stamps[3:]), part="train")
    assert alone.timestamps_ms.tolist() == [0, 60_000, 120_000]


def test_labels_and_culprits_belong_to_test_only(tmp_path: Path) -> None:
    path = npz(tmp_path, label=np.array([0, 1, 1, 0]), interpretation=np.array("[[1, 2, [1]]]"))
    test, train = read_series(path), read_series(path, part="train")
    assert test.label is not None
    assert test.label.tolist() == [False, True, True, False]
    assert test.segments == (Segment(1, 2, (1,)),)
    assert (train.label, train.segments) == (None, ())


def test_names_come_from_the_file_then_from_beside_it(tmp_path: Path) -> None:
    (tmp_path / "columns.json").write_text(json.dumps(["a", "b"]))
    assert read_series(npz(tmp_path)).dimensions == ("a", "b")
    assert read_series(npz(tmp_path, dimensions=np.array(["x", "y"]))).dimensions == ("x", "y")
    (tmp_path / "columns.json").write_text(json.dumps(["a", "b", "c"]))
    assert read_series(npz(tmp_path)).dimensions == ("d00", "d01")


def test_chosen_columns_take_their_culprits_along(tmp_path: Path) -> None:
    path = npz(tmp_path, interpretation=np.array("[[0, 1, [0, 1]], [3, 3, [0]]]"))
    series = read_series(path, columns=["d01"])
    assert series.values[:, 0].tolist() == [1, 3, 5, 7]
    assert series.segments == (Segment(0, 1, (0,)), Segment(3, 3, ()))
    swapped = read_series(path, columns=["d01", "d00"])
    assert swapped.segments[1] == Segment(3, 3, (1,))


def test_a_flat_array_is_one_dimension(tmp_path: Path) -> None:
    assert read_series(npz(tmp_path, test=np.arange(5))).values.shape == (5, 1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"test": None}, r"node.npz: expected an array 'test', came \['train'\]"),
        ({"test": np.zeros((2, 2, 2))}, r"test to hold numbers \(time, dimension\).*\(2, 2, 2\)"),
        ({"test": np.zeros((0, 2))}, r"at least one of each, came float64 \(0, 2\)"),
        ({"test": np.array([["a"]])}, "test to hold numbers"),
        ({"test": np.array([{}], object)}, "expected an NPZ archive of plain arrays"),
        ({"test": np.array([[0, 1], [np.inf, 1]])}, r"test row 1 \(from 0\), d00: .*infinity"),
        ({"timestamps": np.arange(5)}, "expected 4 or 7 timestamps, came 5"),
        ({"timestamps": np.array(["a"] * 4)}, "expected timestamps in Unix seconds"),
        ({"timestamps": np.array([1, 2, np.nan, 4])}, "test row 2 .*Unix seconds.*came nan"),
        ({"timestamps": np.array([1, 2, 2, 4])}, "test row 2 .*after 2000 ms, came 2000 ms"),
        ({"timestamps": np.array([1, 4, 3, 5])}, "test row 2 .*after 4000 ms, came 3000 ms"),
        ({"label": np.zeros(3)}, "expected 4 values of label, came 3"),
        ({"dimensions": np.array(["a", "a"])}, "expected 2 different dimensions"),
        ({"interpretation": np.array("[[1, 2]]")}, "expected interpretation to be JSON"),
        ({"interpretation": np.array("no")}, "expected interpretation to be JSON"),
        ({"interpretation": np.array("[[1, 4, [0]]]")}, "expected 4 rows of 2 dimensions"),
        ({"interpretation": np.array("[[1, 2, [2]]]")}, "expected 4 rows of 2 dimensions"),
    ],
)
def test_a_broken_npz_is_explained(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSeries, match=message):
        read_series(npz(tmp_path, **arrays))


def test_what_is_no_npz_at_all_is_explained(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.npz"
    garbage.write_bytes(b"PK\x03\x04 no archive")
    single = tmp_path / "single.npz"
    with single.open("wb") as file:
        np.save(file, np.zeros(3))
    for path in (garbage, single, tmp_path / "missing.npz"):
        with pytest.raises(BadSeries, match=rf"{path.name}: expected an NPZ archive"):
            read_series(path)
    (tmp_path / "columns.json").write_text("[")
    with pytest.raises(BadSeries, match=r"columns.json: expected a JSON list"):
        read_series(npz(tmp_path))
    (tmp_path / "columns.json").unlink()
    with pytest.raises(BadSeries, match="different columns of"):
        read_series(npz(tmp_path), columns=["nobody"])


# ---- CSV


def test_csv_reads_time_values_and_gaps(tmp_path: Path) -> None:
    series = read_series(csv_file(tmp_path, CSV))
    assert series.dimensions == ("cpu", "disk")
    assert series.timestamps_ms.tolist() == [1_736_121_600_000, 1_736_121_660_000]
    np.testing.assert_array_equal(series.values, [[1, 2], [3, np.nan]])
    assert (series.entity, series.label, series.segments) == ("node", None, ())


@pytest.mark.parametrize(
    "stamp",
    [
        "2025-01-06 00:00:00",
        "2025-01-06T01:00:00+01:00",
        "1736121600",
        "1736121600.0",
        "1736121600000",
    ],
)
@pytest.mark.parametrize("name", ["timestamp", "Time", "date", "DateTime", "ts", "timestamp_ms"])
def test_clocks_of_every_usual_form_agree(tmp_path: Path, name: str, stamp: str) -> None:
    series = read_series(csv_file(tmp_path, f"cpu,{name}\n1,{stamp}\n"))
    assert series.timestamps_ms.tolist() == [1_736_121_600_000]
    assert series.dimensions == ("cpu",)


def test_csv_without_a_clock_counts_rows(tmp_path: Path) -> None:
    series = read_series(csv_file(tmp_path, "cpu;disk\n1;2\n\n3;4\n"), period_seconds=0.5)
    assert series.timestamps_ms.tolist() == [0, 500]
    assert series.values.tolist() == [[1, 2], [3, 4]]


def test_a_named_clock_and_chosen_columns_ignore_the_rest(tmp_path: Path) -> None:
    text = "at,host,cpu,disk,time\n10,web,1,2,noon\n20,web,3,4,night\n"
    series = read_series(csv_file(tmp_path, text), timestamp_column="at", columns=["disk", "cpu"])
    assert series.timestamps_ms.tolist() == [10_000, 20_000]
    assert series.values.tolist() == [[2, 1], [4, 3]]


def test_csv_culprits_become_segments(tmp_path: Path) -> None:
    rows = ["0,1,1,0,", "1,1,1,1,disk|cpu", "2,1,1,true,disk|cpu", "3,1,1,1,cpu", "4,1,1,0,"]
    text = "\n".join(["ts,cpu,disk,label,culprits", *rows])
    series = read_series(csv_file(tmp_path, text))
    assert series.label is not None
    assert series.label.tolist() == [False, True, True, True, False]
    assert series.segments == (Segment(1, 2, (0, 1)), Segment(3, 3, (0,)))
    chosen = read_series(csv_file(tmp_path, text), columns=["disk"])
    assert chosen.segments == (Segment(1, 2, (0,)), Segment(3, 3, ()))


def test_culprits_alone_mark_their_points(tmp_path: Path) -> None:
    series = read_series(csv_file(tmp_path, "ts,cpu,culprits\n0,1,\n1,1,cpu\n"))
    assert (series.label, series.segments) == (None, (Segment(1, 1, (0,)),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header line"),
        ("\n", "expected a header line"),
        ("time,cpu\n", "expected at least one row below the header"),
        ("time,cpu,cpu\n1,2,3\n", r"row 1: expected different names, came \['cpu'\] more than"),
        ("time\n1\n", "row 1: expected named dimensions"),
        ("time,,cpu\n1,2,3\n", "row 1: expected named dimensions"),
        ("time,cpu\n1,2\n2,hot\n", "row 3, column cpu: expected a number, came 'hot'"),
        ("time,cpu\n1,2\n2,inf\n", "row 3, column cpu: expected a finite number, came inf"),
        ("time,cpu\n1,2\n\n2,2,3\n", "row 4: expected 2 cells, came 3"),
        ("time,cpu\n1,2\n1,3\n", "row 3: expected a timestamp after 1000 ms, came 1000 ms"),
        ("time,cpu\n2,2\n1,3\n", "row 3: expected a timestamp after 2000 ms, came 1000 ms"),
        ("time,cpu\n1,2\nnan,3\n", "row 3: expected a timestamp in Unix seconds.*came nan"),
        ("time,cpu\n1,2\n,3\n", "row 3: expected a timestamp in Unix seconds.*came nan"),
        ("time,cpu\n1736121600000000000,3\n", "row 2: expected a timestamp in Unix seconds"),
        ("time,cpu\n1,2\n2025-01-06,3\n", "row 3, column time: .*came '2025-01-06'"),
        ("time,cpu\nmonday,3\n", "row 2, column time: expected a timestamp .*came 'monday'"),
        ("time,cpu,label\n1,2,maybe\n", "row 2, column label: expected 0 or 1, came 'maybe'"),
        ("time,cpu,culprits\n1,2,fan\n", r"row 2, column culprits: .*came \['fan'\]"),
        ('time,cpu\n1,"2\n', "expected CSV text in UTF-8: unexpected end of data"),
    ],
)
def test_a_broken_csv_is_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadSeries, match=f"node.csv: {message}"):
        read_series(csv_file(tmp_path, text))


def test_wrong_choices_and_bytes_are_explained(tmp_path: Path) -> None:
    path = csv_file(tmp_path, CSV)
    with pytest.raises(BadSeries, match="row 1: expected a column 'when'"):
        read_series(path, timestamp_column="when")
    with pytest.raises(BadSeries, match="expected different columns of"):
        read_series(path, columns=["cpu", "cpu"])
    path.write_bytes(b"time,cpu\n1,\xff\n")
    with pytest.raises(BadSeries, match="expected CSV text in UTF-8"):
        read_series(path)
    with pytest.raises(BadSeries, match=r"ending in .npz or .csv"):
        read_series(tmp_path / "points.txt")


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(
        st.one_of(st.floats(allow_infinity=False), st.integers(-(10**9), 10**9)), min_size=1
    )
)
def test_csv_keeps_every_float(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("floats")
    text = "\n".join(["ts,cpu", *(f"{i},{value!r}" for i, value in enumerate(values))])
    np.testing.assert_array_equal(read_series(csv_file(folder, text)).values[:, 0], values)


def test_rows_are_right_beyond_one_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.scoring.series.ROWS_AT_ONCE", 3)
    rows = [f"{i},{i * 10}" for i in range(8)]
    series = read_series(csv_file(tmp_path, "\n".join(["ts,cpu", *rows])))
    assert series.values[:, 0].tolist() == [i * 10 for i in range(8)]
    rows[7] = "7,hot"
    with pytest.raises(BadSeries, match="row 9, column cpu"):
        read_series(csv_file(tmp_path, "\n".join(["ts,cpu", *rows])))


# ---- folders and real data


def test_a_folder_is_read_sorted_by_entity(tmp_path: Path) -> None:
    csv_file(tmp_path, CSV, name="zebra.csv")
    csv_file(tmp_path, CSV, name="ant.csv")
    npz(tmp_path)
    assert [series.entity for series in read_folder(tmp_path)] == ["ant", "node", "zebra"]
    csv_file(tmp_path, CSV, name="node.csv")
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
