import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from service.scoring.fold import Fold
from service.scoring.offline import score_series
from tests.builders import DIMENSIONS, NEED, series_like
from tests.cli.commands import Finished, assert_refused, called, series_file, started
from tests.system.replays import SERIES

Call = Callable[..., Finished]
COUNT = len(SERIES[0].values)


@pytest.fixture
def score(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bundle_folder: Path
) -> Call:
    """`gaugewatch score` with the tiny bundle."""
    return partial(called, capsys, monkeypatch, "score", "--bundle", str(bundle_folder / "tiny"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return series_file(tmp_path / "alpha.npz", SERIES[0])


def test_the_arrays_are_those_of_the_design(score: Call, file: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    assert score("--input", str(file), "--output", str(output)).code == 0
    with np.load(output, allow_pickle=False) as arrays:
        found = {name: (arrays[name].shape, arrays[name].dtype.kind) for name in arrays.files}
    assert found == {
        "score": ((COUNT,), "f"),
        "severity": ((COUNT,), "f"),
        "is_anomaly": ((COUNT,), "b"),
        "p_value": ((COUNT,), "f"),
        "status": ((COUNT,), "U"),
        "contribution": ((COUNT, 4), "f"),
        "expected": ((COUNT, 4), "f"),
    }


def test_the_arrays_are_those_of_the_offline_run(
    score: Call, file: Path, tmp_path: Path, fold: Fold
) -> None:
    output = tmp_path / "out.npz"
    score("--input", str(file), "--output", str(output))
    [expected] = score_series(fold, SERIES[:1])
    with np.load(output) as arrays:
        for name in arrays.files:
            assert arrays[name].tobytes() == getattr(expected, name).tobytes(), name
        is_warming = arrays["status"] == "warming"
        assert is_warming.sum() == NEED - 1
        for name in ("score", "severity", "p_value"):
            assert np.isnan(arrays[name]).tolist() == is_warming.tolist()


def test_json_is_one_object_with_the_incidents_and_their_causes(score: Call, file: Path) -> None:
    ended = score("--input", str(file), "--json")
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    summary = json.loads(ended.out)
    assert (summary["entity"], summary["points"]) == ("alpha", COUNT)
    assert summary["scored"] == COUNT - NEED + 1
    first = summary["incidents"][0]
    assert (first["row"], first["causes"][0]) == (40, "b")
    assert first["is_resolved"]
    assert first["peak_score"] > 1


def test_people_see_a_table(score: Call, file: Path) -> None:
    ended = score("--input", str(file))
    assert "Incidents of alpha" in ended.out
    assert f"{COUNT} points" in ended.out


def test_a_smaller_budget_finds_less(score: Call, file: Path) -> None:
    found = [
        json.loads(score("--input", str(file), "--json", "--budget", budget).out)["anomalies"]
        for budget in ("0.001", "50")
    ]
    assert found[0] < found[1]


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf"])
def test_a_budget_that_is_none_is_one_line(score: Call, file: Path, budget: str) -> None:
    ended = score("--input", str(file), "--json", "--budget", budget)
    assert_refused(ended, 2, "bad_input", "--budget")


def test_the_training_half_and_another_entity_can_be_scored(score: Call, file: Path) -> None:
    words = ("--input", str(file), "--json", "--part", "train", "--entity", "somebody")
    summary = json.loads(score(*words).out)
    assert (summary["entity"], summary["points"]) == ("somebody", 3)


def test_dimensions_are_found_by_name_in_any_order(score: Call, tmp_path: Path) -> None:
    """In a CSV with one more column, too."""
    series, path = SERIES[0], tmp_path / "alpha.csv"
    names = ["timestamp", "d", "extra", "c", "b", "a"]
    lines = [",".join(names)]
    for time, (a, b, c, d) in zip(
        series.timestamps_ms.tolist(), series.values.tolist(), strict=True
    ):
        cells = [time, d, 1.5, c, b, a]
        lines.append(",".join("" if cell != cell else repr(cell) for cell in cells))
    path.write_text("\n".join(lines) + "\n")
    output = tmp_path / "out.npz"
    assert score("--input", str(path), "--output", str(output)).code == 0
    file = series_file(tmp_path / "alpha.npz", series)
    score("--input", str(file), "--output", str(tmp_path / "same.npz"))
    with np.load(output) as found, np.load(tmp_path / "same.npz") as expected:
        assert found["score"].tobytes() == expected["score"].tobytes()


def test_other_dimensions_are_refused(score: Call, tmp_path: Path) -> None:
    path = tmp_path / "alpha.npz"
    np.savez(path, train=np.zeros((3, 2)), test=np.zeros((3, 2)))
    assert_refused(score("--input", str(path)), 2, "bad_series", "'tiny'", "4", "2")


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("alpha.npz", None, "alpha.npz"),
        ("alpha.npz", b"", "alpha.npz"),
        ("alpha.npz", b"PK\x03\x04 not a zip", "alpha.npz"),
        ("alpha.csv", b"", "alpha.csv"),
        ("alpha.csv", b"timestamp,a,b,c,d\n1,x,2,3,4\n", "alpha.csv"),
        ("alpha.csv", b"\xff\xfe\x00", "alpha.csv"),
        ("alpha.txt", b"1 2 3", "alpha.txt"),
        ("[/red].csv", b"timestamp,a,b,c,d\n1,x,2,3,4\n", "[/red].csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    score: Call, tmp_path: Path, name: str, content: bytes | None, word: str
) -> None:
    if content is not None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert_refused(score("--input", str(tmp_path / name)), 2, "bad_series", word)


def test_names_in_brackets_are_shown_as_they_are(score: Call, tmp_path: Path) -> None:
    series = series_like("alpha", 30)
    file = str(series_file(tmp_path / "alpha.npz", series))
    ended = score("--input", file, "--entity", "[red]alpha[/x]")
    assert ended.code == 0
    assert "[red]alpha[/x]" in ended.out


def test_a_bundle_that_is_none_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    file: Path,
    tmp_path: Path,
) -> None:
    words = ("score", "--bundle", str(tmp_path), "--input", str(file))
    assert_refused(called(capsys, monkeypatch, *words), 1, str(tmp_path))


def test_an_output_that_cannot_be_written_is_one_line(
    score: Call, file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "no" / "such" / "folder.npz"
    for source in (file, tmp_path / "not even looked for.npz"):
        ended = score("--input", str(source), "--json", "--output", str(output))
        assert_refused(ended, 2, "bad_input", str(output))


@pytest.mark.slow
def test_the_real_command_has_the_same_exit_codes(bundle_folder: Path, file: Path) -> None:
    bundle = str(bundle_folder / "tiny")
    ended = started("score", "--bundle", bundle, "--input", str(file), "--json")
    assert (ended.code, ended.err) == (0, "")
    assert_refused(started("score", "--bundle", bundle, "--input", "none.npz"), 2, "none.npz")
    assert_refused(started("score", "--bundle", "none", "--input", str(file)), 1, "none")
    assert started("score").code == 2
    assert set(DIMENSIONS) >= set(json.loads(ended.out)["incidents"][0]["causes"])


def time_series_json(path: Path) -> Path:
    series = SERIES[0]
    graphs = [
        {
            "label": name,
            "data": [
                {"x": int(x), "y": None if np.isnan(y) else float(y)}
                for x, y in zip(series.timestamps_ms, values, strict=True)
            ],
        }
        for name, values in zip(DIMENSIONS, series.values.T, strict=True)
    ]
    path.write_text(json.dumps({"dataSetName": series.entity, "graphs": graphs}), "utf-8")
    return path


def test_json_goes_in_and_comes_out_with_its_anomalies_marked(
    score: Call, tmp_path: Path, fold: Fold
) -> None:
    path, output = time_series_json(tmp_path / "any.json"), tmp_path / "out.json"
    assert score("--input", str(path), "--output", str(output)).code == 0
    [expected] = score_series(fold, SERIES[:1])
    before, after = (json.loads(one.read_text("utf-8")) for one in (path, output))
    assert [graph["label"] for graph in after["graphs"]] == list(DIMENSIONS)
    for graph, old in zip(after["graphs"], before["graphs"], strict=True):
        marks = [point.get("outlier", False) for point in graph["data"]]
        assert marks == expected.is_anomaly.tolist()
        assert [{"x": p["x"], "y": p["y"]} for p in graph["data"]] == old["data"]
    assert expected.is_anomaly.any()


def test_json_comes_out_only_of_json(score: Call, file: Path, tmp_path: Path) -> None:
    ended = score("--input", str(file), "--output", str(tmp_path / "out.json"))
    assert_refused(ended, 2, "bad_input", "expected a name ending in .npz or .csv")


@pytest.mark.parametrize("name", ["out.txt", "out", "out.parquet", "out.npz.gz"])
def test_an_output_of_another_kind_is_refused_before_anything_is_read(
    score: Call, tmp_path: Path, name: str
) -> None:
    ended = score("--input", str(tmp_path / "missing.npz"), "--output", str(tmp_path / name))
    assert_refused(ended, 2, "bad_input", name, "expected a name ending in .npz, .csv or .json")
    assert not list(tmp_path.iterdir())


def test_arrays_are_written_under_the_name_that_was_given(
    score: Call, file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "OUT.NPZ"
    assert score("--input", str(file), "--output", str(output)).code == 0
    with np.load(output) as arrays:
        assert len(arrays["score"]) == COUNT


def test_a_csv_has_a_row_for_every_point(
    score: Call, file: Path, tmp_path: Path, fold: Fold
) -> None:
    output = tmp_path / "out.csv"
    assert score("--input", str(file), "--output", str(output)).code == 0
    [expected] = score_series(fold, SERIES[:1])
    with output.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert list(rows[0]) == [
        *("timestamp", "status", "score", "severity", "is_anomaly", "p_value"),
        *(f"contribution_{name}" for name in DIMENSIONS),
    ]
    assert [int(row["timestamp"]) for row in rows] == SERIES[0].timestamps_ms.tolist()
    assert [row["status"] for row in rows] == expected.status.tolist()
    assert [row["is_anomaly"] == "1" for row in rows] == expected.is_anomaly.tolist()
    for name in ("score", "severity", "p_value"):
        found = np.array([float(row[name] or "nan") for row in rows])
        assert found.tobytes() == getattr(expected, name).tobytes(), name
    contribution = [[row[f"contribution_{name}"] for name in DIMENSIONS] for row in rows]
    found = np.array([[np.float32(cell or "nan") for cell in cells] for cells in contribution])
    np.testing.assert_array_equal(found, expected.contribution)
