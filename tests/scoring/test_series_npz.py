import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import BadSeries
from service.scoring.series import Segment, read_series


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "node.npz"
    both = {"train": np.zeros((3, 2)), "test": np.arange(8.0).reshape(4, 2)}
    kept = {key: array for key, array in (both | arrays).items() if array is not None}
    np.savez(path, **kept)
    return path


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


def test_an_interpretation_without_end_is_refused_unread(tmp_path: Path) -> None:
    text = np.array("[" + " " * 2_500_000 + "]")
    with pytest.raises(BadSeries, match="interpretation of at most 10000000 bytes, came 10000"):
        read_series(npz(tmp_path, interpretation=text))
