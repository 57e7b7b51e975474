"""Parquet files of others: what is read of them, and how what cannot be read is explained."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from service.errors import BadSeries
from service.scoring.series import Series, read_file, read_folder, read_series

START_MS = 1_750_000_000_000
MINUTE_MS = 60_000


def parquet(path: Path, *, rows_of_group: int = 1_000, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=rows_of_group)
    return path


def test_a_long_table_is_one_series_per_entity_sorted_by_time(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x.parquet",
        entity=["b", "a", "b", "a"],
        timestamp_ms=[START_MS + 1, START_MS + 7, START_MS, START_MS + 5],
        cpu=[1, 2, 3, None],
        load=[0.5, 0.25, None, 0.125],
    )
    a, b = read_file(path)
    assert (a.entity, b.entity, a.dimensions) == ("a", "b", ("cpu", "load"))
    assert a.timestamps_ms.tolist() == [START_MS + 5, START_MS + 7]
    assert np.array_equal(a.values, [[np.nan, 0.125], [2, 0.25]], equal_nan=True)
    assert np.array_equal(b.values, [[3, np.nan], [1, 0.5]], equal_nan=True)


def test_of_equal_timestamps_the_first_is_kept(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", ts=[START_MS, START_MS, START_MS + 1], cpu=[1, 2, 3])
    assert read_series(path).values.tolist() == [[1], [3]]


def test_without_an_entity_the_file_names_it_and_without_a_clock_the_period_tells(
    tmp_path: Path,
) -> None:
    series = read_series(parquet(tmp_path / "web-1.parquet", cpu=[1, 2]), period_seconds=30)
    assert (series.entity, series.timestamps_ms.tolist()) == ("web-1", [0, 30_000])


@pytest.mark.parametrize(
    "clock",
    [
        pa.array([START_MS, START_MS + MINUTE_MS], pa.timestamp("ms")),
        pa.array([START_MS * 1_000_000, (START_MS + MINUTE_MS) * 1_000_000], pa.timestamp("ns")),
        pa.array([START_MS * 1_000, (START_MS + MINUTE_MS) * 1_000], pa.timestamp("us", tz="UTC")),
        pa.array(["2025-06-15T15:06:40Z", "2025-06-15T15:07:40Z"]),
        pa.array([START_MS // 1000, START_MS // 1000 + 60]),
        pa.array([START_MS / 1000, START_MS / 1000 + 60]),
    ],
    ids=lambda clock: str(clock.type),
)
def test_clocks_of_all_kinds(tmp_path: Path, clock: object) -> None:
    series = read_series(parquet(tmp_path / "x.parquet", time=clock, cpu=[1, 2]))
    assert series.timestamps_ms.tolist() == [START_MS, START_MS + MINUTE_MS]


def test_columns_and_the_timestamp_column_are_chosen_by_name(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x.parquet", at=[START_MS], a=[1.0], b=[2.0], c=pa.array([3], pa.uint8())
    )
    series = read_series(path, columns=["c", "a"], timestamp_column="at")
    assert (series.dimensions, series.values.tolist()) == (("c", "a"), [[3.0, 1.0]])
    assert series.timestamps_ms.tolist() == [START_MS]


def test_a_label_is_a_label(tmp_path: Path) -> None:
    series = read_series(parquet(tmp_path / "x.parquet", a=[1.0, 2.0], label=[False, True]))
    assert series.label is not None
    assert (series.dimensions, series.label.tolist()) == (("a",), [False, True])


def test_text_and_dictionaries_of_text_name_entities(tmp_path: Path) -> None:
    names = pa.array(["b", "a", "b"]).dictionary_encode()
    path = parquet(tmp_path / "x.parquet", rows_of_group=1, entity=names, ts=[1, 2, 3], a=[1, 2, 3])
    assert [series.values.ravel().tolist() for series in read_file(path)] == [[2], [1, 3]]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"ts": [START_MS], "a": ["high"]}, r"column a: expected numbers, came string"),
        ({"ts": [1, 2, 3], "a": [1.0, 2.0, np.inf]}, r"row group 1, row 0 .*a: .* infinity"),
        ({"ts": [1, None], "a": [1, 2]}, r"row group 0, row 1 .*ts: expected a value"),
        ({"entity": ["a", None], "ts": [1, 2], "a": [1, 2]}, "entity: expected a value"),
        ({"ts": ["noon"], "a": [1]}, "row 0 .*ts: expected a timestamp .*noon"),
        ({"ts": [1e17], "a": [1]}, "Unix seconds or milliseconds"),
        ({"entity": ["a"], "a": [1]}, "expected a column 'timestamp'"),
        ({"ts": [START_MS]}, "expected different columns"),
        ({"a": [1], "A": [2]}, "expected different names"),
        ({"a": pa.array([], pa.float64())}, "at least one row"),
    ],
)
def test_what_cannot_be_read_is_explained(
    tmp_path: Path, columns: dict[str, object], told: str
) -> None:
    path = parquet(tmp_path / "x.parquet", rows_of_group=2, **columns)
    with pytest.raises(BadSeries, match=told) as refusal:
        read_file(path)
    assert str(path) in refusal.value.detail


def test_damage_is_told_with_its_row_group(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "x.parquet", rows_of_group=1_000, a=np.random.default_rng(0).random(3_000)
    )
    data = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[place : place + 200] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(BadSeries, match=r"x\.parquet: row group 1: expected a Parquet file"):
        read_series(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(BadSeries, match=r"x\.parquet: expected a Parquet file"):
        read_series(path)


def test_several_entities_where_one_is_asked_for_are_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", entity=["a", "b"], ts=[1, 1], cpu=[1, 2])
    with pytest.raises(BadSeries, match="expected points of one entity, came 2: a, b"):
        read_series(path)


def test_a_folder_of_files_is_merged_however_deep(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    parquet(tmp_path / "2.parquet", entity=["a", "a"], ts=[3_000, 2_000], cpu=[3, 9])
    parquet(tmp_path / "deep" / "1.parquet", entity=["a", "b"], ts=[2_000, 1_000], cpu=[2, 1])
    a, b = read_folder(tmp_path)
    assert (a.timestamps_ms.tolist(), a.values.ravel().tolist()) == ([2_000_000, 3_000_000], [2, 3])
    assert (b.entity, b.values.tolist()) == ("b", [[1]])


def test_a_folder_of_other_dimensions_or_other_kinds_is_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "1.parquet", ts=[1], cpu=[1], load=[2])
    parquet(tmp_path / "2.parquet", ts=[1], load=[1])
    with pytest.raises(BadSeries, match=r"2\.parquet: expected the dimensions of .*1\.parquet"):
        read_folder(tmp_path)
    assert len(read_folder(tmp_path, columns=["load"])) == 2
    (tmp_path / "x.csv").write_text("a\n1\n")
    with pytest.raises(BadSeries, match=r"expected one kind, came x\.csv, 1\.parquet"):
        read_folder(tmp_path)


def naive(rows: list[tuple[str, int, float]]) -> dict[str, dict[int, float]]:
    """First come, first kept, one row after the other."""
    found: dict[str, dict[int, float]] = {}
    for entity, stamp, value in rows:
        found.setdefault(entity, {}).setdefault(stamp, value)
    return found


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.floats(-1e30, 1e30)), min_size=1
    ),
    cut=st.integers(0, 20),
)
def test_merging_equals_taking_one_row_after_the_other(
    rows: list[tuple[str, int, float]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("merged")
    for number, part in enumerate((rows[:cut], rows[cut:])):
        if part:
            entities, offsets, values = zip(*part, strict=True)
            moments = [
                datetime.datetime.fromtimestamp(START_MS // 1000 + offset, datetime.UTC)
                for offset in offsets
            ]
            parquet(folder / f"{number}.parquet", entity=entities, ts=moments, value=values)
    assert {one.entity: told(one) for one in read_folder(folder)} == naive(rows)


def told(series: Series) -> dict[int, float]:
    offsets = (series.timestamps_ms - START_MS) // 1000
    return dict(zip(offsets.tolist(), series.values.ravel().tolist(), strict=True))
