import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from service.scoring.series import read_folder
from tests.cli.commands import Finished, assert_refused, called

Call = Callable[..., Finished]
SIZES = ("--entities", "2", "--train-points", "600", "--test-points", "900")


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    return partial(called, capsys, monkeypatch, "simulate")


def test_what_is_written_can_be_read_back_with_its_faults(simulate: Call, tmp_path: Path) -> None:
    ended = simulate(
        "--output", str(tmp_path), *SIZES, "--faults-per-entity", "2", "--seed", "5", "--json"
    )
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    summary = json.loads(ended.out)
    fleet = read_folder(tmp_path)
    assert summary["entities"] == len(fleet) == 2
    assert [len(read.values) for read in fleet] == [900, 900]
    assert [len(read.values) for read in read_folder(tmp_path, part="train")] == [600, 600]
    told = {(fault["entity"], fault["start"], fault["end"]) for fault in summary["faults"]}
    read = {(one.entity, part.start, part.end) for one in fleet for part in one.segments}
    assert told == read
    assert len(told) == 4
    for one in fleet:
        assert one.label is not None
        assert one.label.any()


def test_csv_holds_the_same_values(simulate: Call, tmp_path: Path) -> None:
    arrays, tables = tmp_path / "npz", tmp_path / "csv"
    assert simulate("--output", str(arrays), "--csv", str(tables), *SIZES).code == 0
    for array, table in zip(read_folder(arrays), read_folder(tables), strict=True):
        assert array.entity == table.entity
        assert array.dimensions == table.dimensions
        assert array.timestamps_ms.tolist() == table.timestamps_ms[-900:].tolist()
        np.testing.assert_array_equal(array.values, table.values[-900:])


def test_the_same_seed_is_the_same_fleet_and_another_is_not(simulate: Call, tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("same", "1"), ("other", "2")):
        assert simulate("--output", str(tmp_path / name), *SIZES, "--seed", seed).code == 0
    one, same, other = (read_folder(tmp_path / name)[0] for name in ("one", "same", "other"))
    np.testing.assert_array_equal(one.values, same.values)
    assert not np.array_equal(one.values, other.values)


def test_people_see_a_table_of_faults(simulate: Call, tmp_path: Path) -> None:
    ended = simulate("--output", str(tmp_path / "[/b]"), *SIZES)
    assert ended.code == 0
    assert "culprits" in ended.out


def test_faults_that_do_not_fit_are_one_line(simulate: Call, tmp_path: Path) -> None:
    words = ("--output", str(tmp_path), "--test-points", "5", "--faults-per-entity", "50")
    assert_refused(simulate(*words), 2, "bad_input")


def test_a_folder_that_cannot_be_made_is_one_line(simulate: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(simulate("--output", str(tmp_path / "file"), *SIZES), 1, "file")
