from pathlib import Path

import numpy as np
import pytest

from service.errors import BadSeries, SettingInvalid
from service.scoring.series import Segment, Series
from trainer.datasets import Reader, to_test_on, to_train_on
from trainer.ranges import Range, parse_range

DAY_MS = 86_400_000
START_MS = 1_577_836_800_000  # 2020-01-01


def daily(count: int = 10) -> Series:
    """A point a day from 2020-01-01 on; 3 to 5 are labelled."""
    label = np.zeros(count, np.bool_)
    label[3:6] = True
    stamps = START_MS + DAY_MS * np.arange(count, dtype=np.int64)
    values = np.arange(count, dtype=np.float64)[:, None]
    return Series("alpha", ("a",), stamps, values, label, (Segment(3, 5, (0,)),))


@pytest.mark.parametrize(
    ("rows", "times", "kept"),
    [
        ("2:5", None, [2, 3, 4]),
        (":2", None, [0, 1]),
        ("8:", None, [8, 9]),
        ("8:99", None, [8, 9]),
        (None, "2020-01-03..2020-01-05", [2, 3]),
        (None, "..2020-01-02T12:00Z", [0, 1]),
        (None, "2020-01-09T00:00+01:00..", [8, 9]),
        ("0:4", "2020-01-03..", [2, 3]),
    ],
)
def test_points_are_chosen_by_row_and_by_time(
    rows: str | None, times: str | None, kept: list[int]
) -> None:
    chosen = parse_range(rows, times)
    assert chosen is not None
    assert chosen.of(daily()).values[:, 0].tolist() == kept


def test_labels_and_segments_are_cut_with_their_points() -> None:
    part = Range(4, 7).of(daily())
    assert part.label is not None
    assert part.label.tolist() == [True, True, False]
    assert part.segments == (Segment(0, 1, (0,)),)
    assert Range(6, 9).of(daily()).segments == ()


def test_nothing_asked_for_is_no_range() -> None:
    assert parse_range(None, None) is None


@pytest.mark.parametrize("rows", ["5", "5:2", "-3:", "a:b", "1:2:3"])
def test_rows_that_say_nothing_are_refused(rows: str) -> None:
    with pytest.raises(SettingInvalid, match="expected rows as"):
        parse_range(rows, None)


@pytest.mark.parametrize("times", ["2020-01-01", "2020-02-01..2020-01-01", "now.."])
def test_times_that_say_nothing_are_refused(times: str) -> None:
    with pytest.raises(SettingInvalid, match="expected times as"):
        parse_range(None, times)


def test_a_range_without_points_says_what_there_is() -> None:
    with pytest.raises(BadSeries, match=r"alpha: expected points in rows 20:, came 10 points"):
        Range(20).of(daily())
    with pytest.raises(BadSeries, match="times -inf to 0 ms, came 10"):
        Range(until_ms=0.0).of(daily())


# ---- of files


def csv(path: Path, *, count: int = 10) -> Path:
    path.write_text("a,b\n" + "".join(f"{row},{row}\n" for row in range(count)), "utf-8")
    return path


def reader(**rows: str) -> Reader:
    ranges = {part: parse_range(own, None) for part, own in rows.items()}
    return Reader(60.0, ranges={p: r for p, r in ranges.items() if r})  # type: ignore[misc]


def test_one_csv_file_is_split_by_ranges(tmp_path: Path) -> None:
    path = csv(tmp_path / "m.csv")
    for halves in (
        to_train_on(reader(train=":6", test="6:"), path),
        to_test_on(reader(train=":6", test="6:"), path),
    ):
        assert [len(one.values) for one in (*halves.train, *halves.test)] == [6, 4]
        assert halves.test[0].timestamps_ms[0] == 6 * 60_000


def test_ranges_of_one_file_must_not_share_points(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="share 2 points"):
        to_train_on(reader(train=":6", test="4:"), csv(tmp_path / "m.csv"))


def test_without_a_range_to_test_on_a_csv_file_stays_one_half(tmp_path: Path) -> None:
    halves = to_train_on(reader(train=":6"), csv(tmp_path / "m.csv"))
    assert (len(halves.train[0].values), halves.test) == (6, [])


def test_ranges_of_an_npz_file_are_of_its_own_halves(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", train=np.ones((5, 2)), test=np.ones((5, 2)))
    halves = to_train_on(reader(train="1:", test="3:"), tmp_path / "m.npz")
    assert [len(one.values) for one in (*halves.train, *halves.test)] == [4, 2]
