"""The promise over HTTP and as a table."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from service.cli import app
from service.settings import Settings
from service.stream.promise import ModelPromise
from service.web.promise_routes import ModelPromiseView
from tests.builders import NEED, PERIOD_MS, series_like
from tests.web.serving import HOME, serving, settings_for

COUNT = 240
DAYS = 3  # the points may have begun yesterday


@pytest.fixture
def settings(bundle_folder: Path, tmp_path: Path) -> Settings:
    return settings_for(bundle_folder, tmp_path, false_alarm_budget=0.75)


@pytest.fixture
def client(settings: Settings) -> Iterator[httpx2.Client]:
    with serving(settings) as port, httpx2.Client(base_url=f"{HOME}:{port}") as client:
        yield client


def faulty(client: httpx2.Client) -> list[str]:
    """Post the last four hours, with two faults; names of the incidents that opened."""
    series = series_like("alpha", COUNT)
    for first in (100, 180):
        series.values[first : first + 12, 1] += 5.0 + np.arange(12) % 3
    start_ms = time.time_ns() // 10**6 - COUNT * PERIOD_MS
    points = [
        {"entity": "alpha", "timestamp_ms": start_ms + number * PERIOD_MS, "values": values}
        for number, values in enumerate(series.values.tolist())
    ]
    verdicts = client.post("/v1/points", json={"points": points}).json()["verdicts"]
    return [v["incident"] for v in verdicts if v.get("transition") == "opened"]


def test_incidents_and_labels_are_set_against_what_was_scored(client: httpx2.Client) -> None:
    names = faulty(client)
    assert len(names) >= 2
    client.put(f"/v1/incidents/{names[0]}/note", json={"label": "false"})
    client.put(f"/v1/incidents/{names[1]}/note", json={"label": "true"})
    (found,) = client.get("/v1/promise", params={"days": DAYS}).json()
    ModelPromiseView.model_validate(found)
    assert found["model"].startswith("tiny/")
    assert (found["promised"], found["is_complete"]) == (0.75, True)
    labelled = found["labelled_true"], found["labelled_false"], found["labelled_new_normal"]
    assert labelled == (1, 1, 0)
    assert (found["incidents"], found["unlabelled"]) == (len(names), len(names) - 2)
    entity_days = (COUNT - NEED + 1) * PERIOD_MS / 86_400_000
    assert found["entity_days"] == pytest.approx(entity_days)
    assert found["false_rate"] == pytest.approx(1 / entity_days)
    assert found["at_most"] == pytest.approx((len(names) - 1) / entity_days)


def test_what_is_documented_is_what_is_sent() -> None:
    sent = {field.encode_name for field in msgspec.structs.fields(ModelPromise)}
    assert sent == set(ModelPromiseView.model_fields)


@pytest.mark.parametrize("query", ["days=0", "days=91", "days=x", "day=1"])
def test_what_cannot_be_asked_is_refused(client: httpx2.Client, query: str) -> None:
    answer = client.get(f"/v1/promise?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")


def test_the_table_shows_what_the_route_says(client: httpx2.Client) -> None:
    faulty(client)
    url = str(client.base_url)
    words = ["promise", "--days", str(DAYS), "--url", url]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "200"}, catch_exceptions=False)
    (found,) = client.get("/v1/promise", params={"days": DAYS}).json()
    assert found["model"] in result.output
    assert "0.75" in result.output
    assert f" {found['incidents']} " in result.output
    as_json = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert json.loads(as_json.output) == [found]
