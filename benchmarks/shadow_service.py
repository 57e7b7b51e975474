"""A real service with a shadow: started, told its versions, fed, and asked for its report."""

import http.client
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.servers import gaugewatch
from benchmarks.shadow_picture import Said
from service.scoring.bundle import Bundle
from service.scoring.series import Series

POINTS = 500  # per request
PATIENCE_SECONDS = 600.0  # a shadow may be slower than the answers

Found = dict[str, Any]


def served(active: Bundle, shadow: Bundle, series: Series) -> tuple[Said, Found]:
    """What the active version answered, and the report on its shadow."""
    name = active.manifest.name
    with (
        tempfile.TemporaryDirectory(prefix="gaugewatch-shadow-") as folder,
        gaugewatch(active, "everysec", Path(folder)) as running,
    ):
        port, path = running.face.port, f"/v1/models/{name}"
        _asked(port, "POST", f"{path}/activate", {"version": active.manifest.version})
        _asked(port, "PUT", f"{path}/shadow", {"version": shadow.manifest.version})
        verdicts = [one for body in _bodies(series) for one in _posted(port, body)]
        report = _report(port, f"{path}/shadow", points=len(series.values))
    wrong = {one["model"] for one in verdicts} - {active.title, None}
    if wrong or report["shadow"] != shadow.title:
        raise RuntimeError(f"expected {active.title} beside {shadow.title}, got {wrong}, {report}")
    numbers = np.array([[one["score"], one["severity"]] for one in verdicts], dtype=np.float64)
    is_anomaly = np.array([one["is_anomaly"] for one in verdicts])
    return Said(active.manifest.model, numbers[:, 0], numbers[:, 1], is_anomaly), report


def _bodies(series: Series) -> Iterator[Found]:
    """The columns of so many points each; a missing value is null."""
    values = series.values.astype(object)
    values[np.isnan(series.values)] = None
    for start in range(0, len(values), POINTS):
        yield {
            "entity": series.entity,
            "timestamp_ms": series.timestamps_ms[start : start + POINTS].tolist(),
            "values": values[start : start + POINTS].tolist(),
        }


def _posted(port: int, body: Found) -> list[Found]:
    verdicts: list[Found] = _asked(port, "POST", "/v1/points", body)["verdicts"]
    return verdicts


def _report(port: int, path: str, *, points: int) -> Found:
    """When the shadow has seen all points."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (report := _asked(port, "GET", path))["points"] < points:
        if time.monotonic() > deadline:
            raise RuntimeError(f"expected {points} points in the report, got {report['points']}")
        time.sleep(0.2)
    return report


def _asked(port: int, method: str, path: str, body: Found | None = None) -> Found:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        found: Found = json.loads(answer.read())
    if answer.status != 200:
        raise RuntimeError(f"{method} {path} was answered {answer.status}: {found}")
    return found
