"""Points that people called faults are not learned from."""

import json
from math import inf
from pathlib import Path

import numpy as np
import pytest

from service.errors import SettingInvalid
from tests.builders import PERIOD_MS, START_MS, series_like
from trainer.datasets import Halves
from trainer.labels import MARGIN_PERIODS, Fault, read_faults, without_faults
from trainer.windows import stretches

PERIOD_SECONDS = PERIOD_MS / 1000


def at(row: int) -> int:
    return START_MS + PERIOD_MS * row


def incident(row: int, *, label: str | None, end: int | None, name: str = "") -> dict[str, object]:
    """As the service says it; it opened at `row`, and is open still if `end` is None."""
    alert = {"kind": "resolved" if end else "updated", "timestamp_ms": at(end or row + 1)}
    return {
        "incident": name or f"alpha@{at(row)}",
        "entity": "alpha",
        "is_open": end is None,
        "opened_ms": at(row),
        "note": {"label": label} if label else {},
        "alert": {**alert, "summary": "alpha: c"},
    }


def written(path: Path, *incidents: dict[str, object]) -> Path:
    path.write_text(json.dumps({"incidents": incidents, "next": None}))
    return path


def test_only_true_incidents_of_points_are_faults(tmp_path: Path) -> None:
    path = written(
        tmp_path / "labels.json",
        incident(100, label="true", end=120),
        incident(200, label="false", end=220),
        incident(300, label="new_normal", end=320),
        incident(400, label=None, end=420),
        incident(500, label="true", end=520, name=f"alpha@{at(500)}~silence"),
        incident(600, label="true", end=None),
    )
    assert read_faults(path) == [
        Fault("alpha", at(100), at(120)),
        Fault("alpha", at(600), inf),
    ]


@pytest.mark.parametrize("content", [None, "", "[]", '{"incidents": [{"entity": "alpha"}]}'])
def test_what_holds_no_incidents_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "labels.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingInvalid, match=r"labels\.json: expected incidents as JSON"):
        read_faults(path)


def test_a_fault_leaves_a_gap_that_nothing_is_learned_across() -> None:
    told: list[str] = []
    alpha, beta = series_like("alpha", 300), series_like("beta", 300)
    faults = [Fault("alpha", at(100), at(105)), Fault("alpha", at(280), inf)]
    halves = without_faults(
        Halves([alpha, beta], [alpha]), faults, period_seconds=PERIOD_SECONDS, tell=told.append
    )
    left, other = halves.train
    gone = {*range(100 - MARGIN_PERIODS, 106 + MARGIN_PERIODS), *range(280 - MARGIN_PERIODS, 300)}
    kept = [row for row in range(300) if row not in gone]
    assert left.timestamps_ms.tolist() == [at(row) for row in kept]
    assert np.array_equal(left.values, alpha.values[kept])
    assert [other, halves.test] == [beta, [alpha]]
    assert len(stretches(left, slice(0, len(kept)))) == 2
    assert told == [f"2 true incidents: {len(gone)} points of 1 entities are left out"]
