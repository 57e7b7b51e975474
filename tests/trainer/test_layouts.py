from pathlib import Path

import numpy as np
import pytest

from service.errors import BadSeries
from service.scoring.series import Segment, Series
from tests.trainer import published_sets
from tests.trainer.published_sets import array, text
from trainer.datasets import Halves, Reader, to_test_on, to_train_on
from trainer.layouts.recognise import Layout, recognise


def halves(path: Path, *, layout: Layout | None = None) -> tuple[Halves, list[str]]:
    """Both halves, and what was told of them."""
    told: list[str] = []
    reader = Reader(60.0, layout=layout, tell=told.append)
    return to_train_on(reader, path), told


def named(series: list[Series], entity: str) -> Series:
    return next(one for one in series if one.entity == entity)


def labelled(series: Series) -> list[int]:
    assert series.label is not None
    return np.flatnonzero(series.label).tolist()


# ---- which layout it is


@pytest.mark.parametrize("layout", published_sets.LAYOUTS)
def test_a_layout_is_recognised_by_what_is_there_and_has_two_halves(
    tmp_path: Path, layout: str
) -> None:
    make = published_sets.LAYOUTS[layout]
    root = make(tmp_path)
    assert recognise(root).layout == layout
    found, _ = halves(root)
    assert found.train
    assert found.test
    trained = {one.entity for one in found.train}
    assert {one.entity for one in found.test} <= trained
    assert any(one.label is not None and one.label.any() for one in found.test)
    assert [one.entity for one in found.train] == sorted(trained)


def test_plain_files_stay_plain(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", train=np.ones((3, 2)), test=np.ones((3, 2)))
    text(tmp_path / "two.csv", ["timestamp,value", "2020-01-01,1"])
    assert recognise(tmp_path).layout == "plain"
    assert recognise(tmp_path / "two.csv").layout == "plain"


def test_tables_of_ones_own_are_plain_whatever_they_are_called(tmp_path: Path) -> None:
    for name in ("web_train", "web_test", "train", "test", "test_label"):
        text(tmp_path / f"{name}.csv", ["cpu,disk", "1,2"])
    assert recognise(tmp_path).layout == "plain"
    array(tmp_path / "db_train.npy", [[1.0, 2.0]])
    assert recognise(tmp_path).layout == "plain"


def test_a_layout_that_is_told_is_not_sought(tmp_path: Path) -> None:
    with pytest.raises(BadSeries, match="expected the train half of the layout smd, found none"):
        halves(published_sets.psm(tmp_path), layout="smd")


# ---- SMD


def test_smd_counts_dimensions_from_one_and_leaves_ends_out(tmp_path: Path) -> None:
    found, told = halves(published_sets.smd(tmp_path))
    [test] = found.test
    assert test.segments == (Segment(1, 2, (0, 2)),)
    assert labelled(test) == [1, 2]
    assert test.timestamps_ms[0] == 4 * 60_000  # goes on where the training half ends
    assert told == []


def test_smd_ranges_that_the_label_contradicts_are_told(tmp_path: Path) -> None:
    found, told = halves(published_sets.smd(tmp_path, ranges=["1-3:1", "4-6:2"]))
    assert len(found.test[0].segments) == 2
    assert len(told) == 1
    assert "1 of 2 ranges differ from the runs of the label, first 4-5" in told[0]


def test_a_range_of_smd_that_the_label_has_with_its_end_gets_it(tmp_path: Path) -> None:
    found, told = halves(published_sets.smd(tmp_path, ranges=["1-2:1"]))
    assert found.test[0].segments == (Segment(1, 2, (0,)),)
    assert len(told) == 1


def test_empty_cells_of_an_array_are_missing_values(tmp_path: Path) -> None:
    text(published_sets.smd(tmp_path) / "train/machine-1-1.txt", ["1,2,3", "1,,nan"])
    found, _ = halves(tmp_path)
    assert np.isnan(found.train[0].values).tolist() == [[False] * 3, [False, True, True]]


def test_one_file_of_smd_is_one_machine_with_both_halves(tmp_path: Path) -> None:
    published_sets.smd(tmp_path, "machine-1-2")
    published_sets.smd(tmp_path)
    found, _ = halves(tmp_path / "train" / "machine-1-2.txt")
    assert [one.entity for one in found.train] == ["machine-1-2"]
    assert [len(one.values) for one in (*found.train, *found.test)] == [4, 6]


@pytest.mark.parametrize(
    ("file", "lines", "message"),
    [
        ("train/machine-1-1.txt", ["1,2,3", "1,x,3"], "row 2, column 2: expected a number, came"),
        ("train/machine-1-1.txt", ["1,2,3", "1,2"], "row 2: expected 3 cells, came 2"),
        ("train/machine-1-1.txt", ["1,2,3", "1,inf,3"], "row 2, column 2: expected a finite"),
        ("train/machine-1-1.txt", [], "found nothing"),
        ("train/machine-1-1.txt", ["", " "], "found nothing"),
        ("test_label/machine-1-1.txt", ["0", "1"], "expected 1 label for each of 6 points"),
        ("test_label/machine-1-1.txt", "010020", "row 5: expected 0 or 1, came 2"),
        ("interpretation_label/machine-1-1.txt", ["1-3:1", "x"], "row 2: expected start-end"),
        ("interpretation_label/machine-1-1.txt", ["1-3:4"], "row 1: expected dimensions of 1 to 3"),
        ("interpretation_label/machine-1-1.txt", ["1-9:1"], "expected ranges within 6 points"),
    ],
)
def test_smd_says_what_is_wrong_where(
    tmp_path: Path, file: str, lines: list[str], message: str
) -> None:
    text(published_sets.smd(tmp_path) / file, lines)
    with pytest.raises(BadSeries, match=message):
        halves(tmp_path)


# ---- telemanom


def test_a_spacecraft_is_chosen_and_its_ranges_include_their_end(tmp_path: Path) -> None:
    found, told = halves(published_sets.telemanom(tmp_path), layout="smap")
    assert {one.entity: labelled(one) for one in found.test} == {
        "P-1": [0, 1, 5],
        "P-2": [1, 2, 3, 4],
    }
    assert told == ["P-2: 2 rows of labeled_anomalies.csv; labelled is what any of them marks"]
    found, _ = halves(tmp_path / "data", layout="msl")
    assert [one.entity for one in found.train] == ["C-1"]


def test_both_spacecraft_at_once_are_told(tmp_path: Path) -> None:
    _, told = halves(published_sets.telemanom(tmp_path))
    assert any("--layout smap or msl" in line for line in told)


def test_a_channel_that_is_not_listed_has_no_label(tmp_path: Path) -> None:
    array(published_sets.telemanom(tmp_path) / "data/train/X-1.npy", [[1.0, 2.0]])
    array(tmp_path / "data/test/X-1.npy", [[1.0, 2.0]])
    found, told = halves(tmp_path / "data/test/X-1.npy")
    assert [one.label for one in found.test] == [None]
    assert "does not list this channel" in told[-1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["chan_id,class"], r"row 1: expected the columns .* no \['anomaly_sequences'"),
        (
            ["chan_id,spacecraft,anomaly_sequences", "P-1,SMAP,x"],
            "row 2, column anomaly_sequences: expected",
        ),
        (["chan_id,spacecraft,anomaly_sequences", "P-1"], "row 2, column anomaly_sequences"),
        (
            ["chan_id,spacecraft,anomaly_sequences", 'P-1,SMAP,"[[4, 6]]"'],
            r"within 6 points, came \[4, 6\]",
        ),
    ],
)
def test_telemanom_says_what_is_wrong_where(tmp_path: Path, lines: list[str], message: str) -> None:
    text(published_sets.telemanom(tmp_path) / "labeled_anomalies.csv", lines)
    with pytest.raises(BadSeries, match=message):
        halves(tmp_path)


def test_an_array_of_objects_is_not_read(tmp_path: Path) -> None:
    published_sets.telemanom(tmp_path)
    np.save(tmp_path / "data/train/P-1.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(BadSeries, match=r"P-1\.npy: expected an NPY file of numbers"):
        halves(tmp_path)


# ---- SWaT and WADI


def test_swat_has_lines_above_its_header_and_two_spellings_of_attack(tmp_path: Path) -> None:
    found, told = halves(published_sets.swat(tmp_path))
    [train], [test] = found.train, found.test
    assert train.dimensions == test.dimensions == ("FIT101", "MV101")
    assert train.values[:, 0].tolist() == [2.0, 2.1, 2.2]
    assert np.diff(train.timestamps_ms).tolist() == [1000, 1000]
    assert train.label is None
    assert labelled(test) == [1, 2]
    assert told == []


def test_one_file_of_swat_is_the_half_it_is_asked_for(tmp_path: Path) -> None:
    path = published_sets.swat(tmp_path) / "SWaT_Dataset_Attack_v0.csv"
    reader = Reader(1.0)
    assert to_train_on(reader, path).test == []
    found = to_test_on(reader, path)
    assert (found.train, labelled(found.test[0])) == ([], [1, 2])


def test_of_two_versions_of_swat_the_last_is_read(tmp_path: Path) -> None:
    text(published_sets.swat(tmp_path) / "SWaT_Dataset_Normal_v0.csv", [])
    _, told = halves(tmp_path)
    assert len(told) == 1
    assert "the last is read" in told[0]


def test_a_clock_that_repeats_gives_way_to_the_period(tmp_path: Path) -> None:
    lines = (published_sets.swat(tmp_path) / "SWaT_Dataset_Normal_v1.csv").read_text().splitlines()
    text(tmp_path / "SWaT_Dataset_Normal_v1.csv", [*lines, lines[-1]])
    found, told = halves(tmp_path)
    assert np.diff(found.train[0].timestamps_ms).tolist() == [60_000] * 3
    assert "1 timestamps are not after the one before, first that of point 3" in told[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (" 28/12/2015 10:00:03 AM,2.5,1,Odd", "row 6: expected Normal or Attack, came 'Odd'"),
        (" 28/12/2015 10:00:03 AM,high,1,Normal", "row 6, column FIT101: expected a number"),
        ("yesterday,2.5,1,Normal", "row 6: expected a timestamp like the first"),
        ("2.5,1,Normal", "row 6: expected 4 cells, came 3"),
    ],
)
def test_swat_says_what_is_wrong_where(tmp_path: Path, line: str, message: str) -> None:
    path = published_sets.swat(tmp_path) / "SWaT_Dataset_Attack_v0.csv"
    text(path, [*path.read_text("utf-8").splitlines(), line])
    with pytest.raises(BadSeries, match=message):
        halves(tmp_path)


def test_wadi_drops_its_unlabelled_end_and_counts_rows(tmp_path: Path) -> None:
    found, told = halves(published_sets.wadi(tmp_path))
    [train], [test] = found.train, found.test
    assert train.dimensions == test.dimensions == ("1_AIT_001_PV", "2_LS_001_AL", "3_P_001_STATUS")
    assert train.timestamps_ms.tolist() == [60_000, 120_000, 300_000]  # rows 1, 2 and 5
    assert labelled(test) == [1]
    assert len(test.values) == 3
    assert np.isnan(test.values[2, 0])
    assert any("1 dimensions have no value: 2_LS_001_AL" in line for line in told)
    assert any("the last 1 rows have no label" in line for line in told)


def test_wadi_of_2017_has_paths_for_names_and_no_label(tmp_path: Path) -> None:
    found, told = halves(published_sets.wadi_of_2017(tmp_path))
    assert found.train[0].dimensions == ("1_AIT_001_PV", "3_P_001_STATUS")
    assert found.test[0].label is None
    assert "no column of labels" in told[-1]


def test_a_label_of_wadi_that_is_neither_is_named(tmp_path: Path) -> None:
    path = published_sets.wadi(tmp_path) / "WADI_attackdataLABLE.csv"
    text(path, path.read_text("utf-8").replace(",2,-1", ",2,0").splitlines())
    with pytest.raises(BadSeries, match="row 4, column attack lable: expected 1 or -1, came '0'"):
        halves(tmp_path)


# ---- NAB, SKAB, PSM, ASD


def test_nab_trains_on_its_probation_and_labels_windows(tmp_path: Path) -> None:
    found, told = halves(published_sets.nab(tmp_path))
    assert [one.entity for one in found.train] == ["jump", "taxi"]
    train, test = named(found.train, "taxi"), named(found.test, "taxi")
    assert (len(train.values), len(test.values)) == (3, 17)
    assert labelled(test) == [7, 8]
    assert np.diff(test.timestamps_ms).tolist() == [3_600_000] * 16
    assert any("jump.csv" in line and "1 timestamps" in line for line in told)
    assert np.diff(named(found.test, "jump").timestamps_ms).tolist() == [60_000] * 20


def test_one_file_of_nab_has_both_halves(tmp_path: Path) -> None:
    path = published_sets.nab(tmp_path) / "data/realKnownCause/taxi.csv"
    found, _ = halves(path)
    assert (len(found.train[0].values), len(found.test[0].values)) == (3, 17)


def test_a_window_outside_its_file_is_named(tmp_path: Path) -> None:
    windows = published_sets.nab(tmp_path) / "labels/combined_windows.json"
    text(windows, [windows.read_text("utf-8").replace("2014-01-01 1", "2015-01-01 1")])
    with pytest.raises(BadSeries, match="expected windows within"):
        halves(tmp_path)


def test_skab_trains_on_what_is_calm(tmp_path: Path) -> None:
    found, _ = halves(published_sets.skab(tmp_path))
    assert {one.entity: len(one.values) for one in found.train} == {
        "anomaly-free": 403,
        "valve1-0": 400,
    }
    [test] = found.test
    assert test.dimensions == ("Current", "Volume Flow RateRMS")
    assert labelled(test) == [1]


def test_psm_counts_minutes_and_misses_cells(tmp_path: Path) -> None:
    found, _ = halves(published_sets.psm(tmp_path))
    [train], [test] = found.train, found.test
    assert train.timestamps_ms.tolist() == [0, 60_000, 180_000]
    assert np.isnan(train.values).sum() == 1
    assert labelled(test) == [1]


@pytest.mark.parametrize(
    ("minutes", "message"),
    [((4, 5), "expected 3 labels, came 2"), ((4, 7, 8), "row 3: expected minute 5")],
)
def test_labels_of_psm_must_be_those_of_its_rows(
    tmp_path: Path, minutes: tuple[int, ...], message: str
) -> None:
    with pytest.raises(BadSeries, match=message):
        halves(published_sets.psm(tmp_path, minutes=minutes))


def test_asd_includes_the_ends_of_its_ranges(tmp_path: Path) -> None:
    found, told = halves(published_sets.asd(tmp_path))
    assert found.test[0].segments == (Segment(1, 2, (1,)),)
    assert labelled(found.test[0]) == [1, 2]
    assert told == []


@pytest.mark.parametrize("at", ["", "omi-1_train.pkl", "processed"])
def test_pickles_are_refused_whatever_points_at_them(tmp_path: Path, at: str) -> None:
    for folder in (tmp_path, tmp_path / "processed"):
        folder.mkdir(exist_ok=True)
        (folder / "omi-1_train.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(BadSeries, match=r"pickles are not read.*numpy\.save"):
        halves(tmp_path / at)


def test_columns_of_a_layout_are_chosen_by_name(tmp_path: Path) -> None:
    published_sets.swat(tmp_path)
    found = to_train_on(Reader(1.0, ["MV101"]), tmp_path)
    assert [one.dimensions for one in (*found.train, *found.test)] == [("MV101",), ("MV101",)]
