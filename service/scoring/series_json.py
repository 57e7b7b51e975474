"""Series from time-series JSON: one graph a dimension, one object a point; and marks written back.

    {"dataSetName": "pump", "graphs": [{"label": "flow", "data": [{"x": 0, "y": 1.5}, ...]}]}

All graphs have the same x. Where all of them are below `FIRST_SECONDS`, x counts periods; else it
is Unix seconds or milliseconds. Further keys may stand anywhere, and come out as they came in.
`"outlier": true` marks a point: a label where it is read, a verdict where it is written.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from service.errors import BadSeries
from service.scoring.series_types import FloatArray, Series, choose
from service.scoring.timestamps import by_period, increasing, unix_ms

FIRST_SECONDS = 1e8  # in 1973; no clock of a metric stands before


class _Point(Struct):
    x: float
    y: float | None
    outlier: bool | None = None


class _Graph(Struct):
    label: str
    data: list[_Point]


class _Document(Struct):
    graphs: list[_Graph]
    name: str = field(default="", name="dataSetName")


def read_json(path: Path, columns: Sequence[str] | None, *, period_seconds: float) -> Series:
    """Read a whole file; it is named by `dataSetName`, else by the file. Raises BadSeries."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise BadSeries(f"{path}: expected time-series JSON: {problem}") from problem
    names = tuple(graph.label for graph in document.graphs)
    if not names or len(set(names)) < len(names):
        raise BadSeries(f"{path}: expected graphs with different labels, came {list(names)}")
    times = _times(path, document.graphs)
    values = np.stack([_values(graph) for graph in document.graphs], axis=1)  # (time, dimension)
    for row, column in np.argwhere(np.isinf(values))[:1]:
        raise BadSeries(f"{path}: point {row} (from 0) of {names[column]}: expected a finite y")
    entity, label = document.name or path.stem, _label(document.graphs)
    stamps = _milliseconds(path, times, period_seconds=period_seconds)
    series = Series(entity, names, stamps, values, label, ())
    return series if columns is None else choose(path, series, columns)


def write_marked(
    path: Path,
    origin: Path,
    *,
    is_anomaly: npt.NDArray[np.bool_],
    score: FloatArray,
) -> None:
    """Write what stands in `origin` with each point's `score`, and its mark where it is anomalous.

    `is_anomaly`, `score` (time,), NaN where there is none; older marks are taken away.
    """
    document: dict[str, Any] = json.loads(origin.read_bytes())
    for graph in document["graphs"]:
        for point, marked, value in zip(graph["data"], is_anomaly, score, strict=True):
            point.pop("outlier", None)
            point["score"] = float(value) if np.isfinite(value) else None
            if marked:
                point["outlier"] = True
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def _times(path: Path, graphs: Sequence[_Graph]) -> FloatArray:
    """x (time,) that all graphs share."""
    first = graphs[0]
    if not first.data:
        raise BadSeries(f"{path}: graph {first.label}: expected at least one point")
    times = np.array([point.x for point in first.data])
    for graph in graphs[1:]:
        if len(graph.data) != len(times):
            raise BadSeries(
                f"{path}: graph {graph.label}: expected {len(times)} points as in {first.label}, "
                f"came {len(graph.data)}"
            )
        own = np.array([point.x for point in graph.data])
        for row in np.flatnonzero(own != times)[:1]:
            raise BadSeries(
                f"{path}: graph {graph.label}: point {row} (from 0): expected x {times[row]:.15g} "
                f"as in {first.label}, came {own[row]:.15g}"
            )
    return times


def _milliseconds(path: Path, times: FloatArray, *, period_seconds: float) -> npt.NDArray[np.int64]:
    def place(row: int) -> str:
        return f"{path}: point {row} (from 0)"

    if np.abs(times).max() < FIRST_SECONDS:
        return increasing(by_period(times, period_seconds), place)
    return increasing(unix_ms(times, place), place)


def _values(graph: _Graph) -> FloatArray:
    return np.array([np.nan if point.y is None else point.y for point in graph.data])


def _label(graphs: Sequence[_Graph]) -> npt.NDArray[np.bool_] | None:
    """Points that any graph marks; None where none says anything of it."""
    marks = [[point.outlier for point in graph.data] for graph in graphs]
    if all(mark is None for own in marks for mark in own):
        return None
    return np.asarray(np.any([[bool(mark) for mark in own] for own in marks], axis=0))
