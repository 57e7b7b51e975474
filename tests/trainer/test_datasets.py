from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import BadSeries
from trainer.datasets import Reader, expect_dimensions, to_test_on, to_train_on

READER = Reader(period_seconds=60.0)


def npz(path: Path, *, dimensions: tuple[str, ...] = ("a", "b"), **lengths: int) -> Path:
    """An NPZ file with the halves of these lengths."""
    halves = {half: np.ones((length, len(dimensions))) for half, length in lengths.items()}
    np.savez(path, allow_pickle=False, dimensions=np.array(dimensions), **halves)
    return path


def csv(path: Path) -> Path:
    path.write_text("a,b\n1,2\n3,4\n")
    return path


def test_an_npz_file_brings_both_halves(tmp_path: Path) -> None:
    halves = to_train_on(READER, npz(tmp_path / "m.npz", train=5, test=3))
    assert [len(one.values) for one in halves.train] == [5]
    assert [len(one.values) for one in halves.test] == [3]


def test_a_csv_file_is_only_the_half_it_is_asked_for(tmp_path: Path) -> None:
    path = csv(tmp_path / "m.csv")
    assert to_train_on(READER, path).test == []
    assert to_test_on(READER, path).train == []
    assert len(to_train_on(READER, path, test=path).test) == 1
    assert len(to_test_on(READER, path, train=path).train) == 1


def test_a_folder_is_one_entity_per_file_and_some_may_lack_the_other_half(tmp_path: Path) -> None:
    npz(tmp_path / "one.npz", train=5, test=3)
    npz(tmp_path / "two.npz", train=4)
    csv(tmp_path / "three.csv")
    (tmp_path / "README.md").write_text("not a series")
    halves = to_train_on(READER, tmp_path)
    assert [one.entity for one in halves.train] == ["one", "three", "two"]
    assert [one.entity for one in halves.test] == ["one"]
    assert [len(one.values) for one in halves.of("two").train] == [4]
    assert halves.of("two").test == []


def test_a_recording_is_the_half_it_is_asked_for_with_all_its_entities(tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "0123456789ab"
    folder.mkdir(parents=True)
    for number, entities in enumerate((["one", "two"], ["two", "two"])):
        columns = {"entity": entities, "timestamp_ms": [10**12 + 2 * number, 10**12 + 9 * number]}
        pq.write_table(pa.table({**columns, "a": [1.0, 2.0]}), folder / f"{number}.parquet")
    for data in (tmp_path, folder):
        halves = to_train_on(READER, data)
        assert {one.entity: len(one.values) for one in halves.train} == {"one": 1, "two": 3}
        assert halves.test == []
    halves = to_train_on(READER, folder / "0.parquet", test=folder / "1.parquet")
    assert [one.entity for one in halves.train] == ["one", "two"]
    assert [one.entity for one in halves.test] == ["two"]


def test_a_file_without_the_half_that_is_needed_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "m.npz", train=5)
    with pytest.raises(BadSeries, match="test"):
        to_test_on(READER, path)


def test_nothing_at_the_path_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BadSeries, match="found nothing"):
        to_train_on(READER, tmp_path / "missing.npz")


def test_entities_with_other_dimensions_are_named_with_the_difference(tmp_path: Path) -> None:
    npz(tmp_path / "one.npz", train=5)
    npz(tmp_path / "two.npz", dimensions=("a", "c"), train=5)
    series = to_train_on(READER, tmp_path).train
    with pytest.raises(BadSeries, match=r"entity two: .* lacks \['b'\], adds \['c'\]"):
        expect_dimensions(series, series[0].dimensions, of="one")


def test_the_order_of_dimensions_matters(tmp_path: Path) -> None:
    series = to_train_on(READER, npz(tmp_path / "m.npz", train=5)).train
    with pytest.raises(BadSeries, match="another order"):
        expect_dimensions(series, ("b", "a"), of="a bundle")
    expect_dimensions(series, ("a", "b"), of="a bundle")
