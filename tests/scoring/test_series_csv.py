from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from service.errors import BadSeries
from service.scoring.series import Segment, read_series

CSV = "timestamp,cpu,disk\n2025-01-06T00:00:00Z,1,2\n2025-01-06T00:01:00Z,3,\n"


def csv_file(folder: Path, text: str) -> Path:
    path = folder / "node.csv"
    path.write_text(text, "utf-8")
    return path


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
    with pytest.raises(BadSeries, match=r"ending in \.npz, \.csv, \.parquet or \.json"):
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
    monkeypatch.setattr("service.scoring.csv_rows.ROWS_AT_ONCE", 3)
    rows = [f"{i},{i * 10}" for i in range(8)]
    series = read_series(csv_file(tmp_path, "\n".join(["ts,cpu", *rows])))
    assert series.values[:, 0].tolist() == [i * 10 for i in range(8)]
    rows[7] = "7,hot"
    with pytest.raises(BadSeries, match="row 9, column cpu"):
        read_series(csv_file(tmp_path, "\n".join(["ts,cpu", *rows])))


def test_a_line_without_end_is_refused_before_it_is_split(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "cpu\n" + "1," * 2**19 + "1\n")
    with pytest.raises(
        BadSeries, match=r"row 2: expected at most 1048576 characters, came 1048578"
    ):
        read_series(path)
