import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import BadSeries
from service.scoring.series import read_file, read_folder
from service.scoring.series_json import write_marked

Graphs = dict[str, list[dict[str, Any]]]


def document(path: Path, graphs: Graphs, *, name: str = "pump") -> Path:
    listed = [{"label": label, "data": data} for label, data in graphs.items()]
    path.write_text(json.dumps({"dataSetName": name, "graphs": listed}), "utf-8")
    return path


def points(*values: float | None, first: float = 0, step: float = 1) -> list[dict[str, Any]]:
    return [{"x": first + step * row, "y": value} for row, value in enumerate(values)]


def test_a_graph_is_a_dimension_and_the_data_set_is_the_entity(tmp_path: Path) -> None:
    path = document(tmp_path / "f.json", {"flow": points(1, None, 3), "level": points(4, 5, 6)})
    [series] = read_file(path, period_seconds=60.0)
    assert (series.entity, series.dimensions) == ("pump", ("flow", "level"))
    assert series.timestamps_ms.tolist() == [0, 60_000, 120_000]
    assert np.isnan(series.values[1, 0])
    assert series.values[:, 1].tolist() == [4, 5, 6]
    assert series.label is None


def test_without_a_name_the_file_names_the_entity(tmp_path: Path) -> None:
    [series] = read_file(document(tmp_path / "f.json", {"flow": points(1, 2)}, name=""))
    assert series.entity == "f"


def test_large_x_is_a_clock(tmp_path: Path) -> None:
    seconds = document(tmp_path / "s.json", {"flow": points(1, 2, first=1.7e9, step=30)})
    milliseconds = document(tmp_path / "m.json", {"flow": points(1, 2, first=1.7e12, step=30_000)})
    for path in (seconds, milliseconds):
        [series] = read_file(path)
        assert series.timestamps_ms.tolist() == [1_700_000_000_000, 1_700_000_030_000]


def test_columns_are_chosen_by_label(tmp_path: Path) -> None:
    path = document(tmp_path / "f.json", {"a": points(1, 2), "b": points(3, 4)})
    [series] = read_file(path, columns=["b"])
    assert (series.dimensions, series.values.tolist()) == (("b",), [[3], [4]])


def test_marks_are_labels(tmp_path: Path) -> None:
    marked = points(1, 2, 3)
    marked[1]["outlier"] = True
    [series] = read_file(document(tmp_path / "f.json", {"a": points(1, 2, 3), "b": marked}))
    assert series.label is not None
    assert series.label.tolist() == [False, True, False]


def test_what_comes_out_is_what_came_in_with_marks(tmp_path: Path) -> None:
    graphs = {"a": points(1, 2, 3), "b": points(4, 5, None)}
    graphs["a"][0] |= {"outlier": True, "unit": "bar"}
    path, output = document(tmp_path / "f.json", graphs), tmp_path / "out.json"
    is_anomaly, score = np.array([False, True, False]), np.array([np.nan, 1.5, 0.25])
    write_marked(output, path, is_anomaly=is_anomaly, score=score)
    written = json.loads(output.read_text("utf-8"))
    assert written["dataSetName"] == "pump"
    first, second = written["graphs"]
    assert first["data"][0] == {"x": 0, "y": 1, "score": None, "unit": "bar"}
    assert first["data"][1] == {"x": 1, "y": 2, "score": 1.5, "outlier": True}
    assert second["data"][2] == {"x": 2, "y": None, "score": 0.25}
    [again] = read_file(output)
    assert again.label is not None
    assert again.label.tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ({}, "expected graphs with different labels"),
        ({"a": []}, "graph a: expected at least one point"),
        ({"a": points(1, 2), "b": points(1)}, "graph b: expected 2 points as in a, came 1"),
        ({"a": points(1, 2), "b": points(1, 2, step=2)}, r"point 1 \(from 0\): expected x 1 as"),
        ({"a": points(1, 2, step=0)}, r"point 1 \(from 0\): expected a timestamp after"),
        ({"a": [{"x": 1, "y": "high"}]}, r"\$.graphs\[0\].data\[0\].y"),
        ({"a": [{"y": 1}]}, "missing required field `x`"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, graphs: Graphs, message: str) -> None:
    with pytest.raises(BadSeries, match=message):
        read_file(document(tmp_path / "f.json", graphs))


def test_two_graphs_of_one_label_are_refused(tmp_path: Path) -> None:
    graph = {"label": "a", "data": points(1)}
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"graphs": [graph, graph]}), "utf-8")
    with pytest.raises(BadSeries, match="different labels"):
        read_file(path)


def test_a_number_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{"graphs": [{"label": "a", "data": [{"x": 1, "y": 1e999}]}]}', "utf-8")
    with pytest.raises(BadSeries, match="time-series JSON"):
        read_file(path)


def test_a_folder_of_them_is_read_where_there_is_nothing_else(tmp_path: Path) -> None:
    document(tmp_path / "a.json", {"flow": points(1, 2)}, name="one")
    document(tmp_path / "b.json", {"flow": points(1, 2)}, name="two")
    assert [series.entity for series in read_folder(tmp_path)] == ["one", "two"]
    document(tmp_path / "c.json", {"flow": points(1, 2)}, name="two")
    with pytest.raises(BadSeries, match="came 2 of two"):
        read_folder(tmp_path)
    np.savez(tmp_path / "node.npz", test=np.zeros((3, 2)))
    assert [series.entity for series in read_folder(tmp_path)] == ["node"]
