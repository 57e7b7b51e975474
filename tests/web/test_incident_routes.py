"""Incidents over HTTP, server-sent events, and the file that is replayed."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.builders import series_like
from tests.web.serving import HOME, serving, settings_for

FAULTS = (60, 120, 180)


@pytest.fixture
def folder(tmp_path: Path, bundle_folder: Path) -> Path:
    shutil.copytree(bundle_folder / "tiny", tmp_path / "bundles" / "tiny")
    return tmp_path / "bundles"


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Iterator[httpx2.Client]:
    settings = settings_for(folder, tmp_path / "data", heartbeat_seconds=0.2)
    with (
        serving(settings) as port,
        httpx2.Client(base_url=f"{HOME}:{port}", timeout=30) as client,
    ):
        yield client


def faulty(client: httpx2.Client, entity: str = "alpha") -> list[str]:
    """Post a series with three faults; names of the incidents, the first opened first."""
    series = series_like(entity, 240)
    for first in FAULTS:
        series.values[first : first + 12, 1] += 5.0 + np.arange(12) % 3
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    points = [{"entity": entity, "timestamp_ms": time, "values": values} for time, values in rows]
    verdicts = client.post("/v1/points", json={"points": points}).json()["verdicts"]
    return [v["incident"] for v in verdicts if v.get("transition") == "opened"]


def test_incidents_are_paged_filtered_and_shown(client: httpx2.Client) -> None:
    names = faulty(client)
    assert len(names) >= len(FAULTS)
    page = client.get("/v1/incidents", params={"limit": 2}).json()
    rest = client.get("/v1/incidents", params={"after": page["next"]}).json()
    shown = [one["incident"] for one in page["incidents"] + rest["incidents"]]
    assert shown == names[::-1]
    assert rest["next"] is None
    one = client.get(f"/v1/incidents/{names[0]}").json()
    assert one == rest["incidents"][-1]
    assert one["alert"]["causes"][0]["dimension"] == "b"
    assert client.get("/v1/incidents?entity=beta").json()["incidents"] == []
    assert client.get("/v1/incidents?is_open=true").json()["incidents"] == []


def test_people_acknowledge_and_label(client: httpx2.Client) -> None:
    name = faulty(client)[0]
    path = f"/v1/incidents/{name}/note"
    client.put(path, json={"is_acknowledged": True, "by": "ann"})
    said = client.put(path, json={"label": "false", "text": "a deployment"}).json()["note"]
    assert said == {"is_acknowledged": True, "label": "false", "by": "ann", "text": "a deployment"}
    labelled = client.get("/v1/incidents", params={"label": "false"}).json()["incidents"]
    assert [one["incident"] for one in labelled] == [name]


def test_what_is_called_normal_ends_and_everybody_hears_it(client: httpx2.Client) -> None:
    series = series_like("alpha", 140)
    series.values[100:, 1] += 5.0
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    points = [{"entity": "alpha", "timestamp_ms": time, "values": own} for time, own in rows]
    client.post("/v1/points", json={"points": points[:110]})
    (name,) = [
        one["incident"] for one in client.get("/v1/incidents?is_open=true").json()["incidents"]
    ]
    answer = client.put(f"/v1/incidents/{name}/note", json={"label": "new_normal"}).json()
    kept = client.get(f"/v1/incidents/{name}").json()
    assert answer == kept
    assert (kept["is_open"], kept["alert"]["reason"]) == (False, "new_normal")
    assert kept["note"]["label"] == "new_normal"
    after = client.post("/v1/points", json={"points": points[110:]}).json()["verdicts"]
    assert after[-1]["incident"] is None
    page = client.get("/metrics").text
    assert 'gaugewatch_alerts_total{kind="resolved"} ' in page


def test_what_was_said_is_taken_back_by_name(client: httpx2.Client) -> None:
    path = f"/v1/incidents/{faulty(client)[0]}/note"
    client.put(path, json={"is_acknowledged": True, "label": "true", "by": "ann"})
    taken = client.put(path, json={"is_acknowledged": False}).json()["note"]
    assert taken == {"label": "true", "by": "ann"}
    assert client.put(path, json={"label": None}).json()["note"] == {"by": "ann"}
    assert client.put(path, json={}).json()["note"] == {"by": "ann"}
    refused = client.put(path, json={"is_acknowledged": None})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_body")


def test_the_last_incident_alone_is_called_normal_and_once(client: httpx2.Client) -> None:
    """What an entity learned is not thrown away for a note on something older."""
    series = series_like("alpha", 240)
    series.values[60:72, 1] += 5.0 + np.arange(12) % 3
    series.values[230:, 1] += 5.0
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    points = [{"entity": "alpha", "timestamp_ms": time, "values": own} for time, own in rows]
    client.post("/v1/points", json={"points": points[:235]})
    newest, *_, oldest = client.get("/v1/incidents").json()["incidents"]
    assert (newest["is_open"], oldest["is_open"]) == (True, False)
    client.put(f"/v1/incidents/{oldest['incident']}/note", json={"label": "new_normal"})
    path = f"/v1/incidents/{newest['incident']}"
    assert client.get(path).json()["is_open"]
    assert client.get("/metrics").text.count('gaugewatch_incident_open{entity="alpha"') == 1
    for _ in range(2):
        answer = client.put(f"{path}/note", json={"label": "new_normal"}).json()
        assert (answer["is_open"], answer["alert"]["reason"]) == (False, "new_normal")
    client.post("/v1/points", json={"points": points[235:]})
    (opened,) = client.get("/v1/incidents?is_open=true").json()["incidents"]
    client.put(f"{path}/note", json={"label": "new_normal", "text": "yes"})
    assert client.get("/v1/incidents?is_open=true").json()["incidents"] == [opened]


def test_a_backfill_keeps_incidents_and_alerts_nobody(client: httpx2.Client) -> None:
    series = series_like("beta", 100)
    series.values[60:72, 1] += 5.0 + np.arange(12) % 3
    rows = zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    points = [{"entity": "beta", "timestamp_ms": time, "values": own} for time, own in rows]
    answer = client.post("/v1/points?mode=backfill", json={"points": points})
    assert answer.status_code == 200
    assert client.get("/v1/incidents?entity=beta").json()["incidents"] != []
    page = client.get("/metrics").text
    assert 'gaugewatch_alerts_total{kind="opened"} 0.0' in page
    refused = client.post("/v1/points?mode=forward", json={"points": points})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_input")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/incidents?limit=0", None, 422, "bad_input"),
        ("GET", "/v1/incidents?label=maybe", None, 422, "bad_input"),
        ("GET", "/v1/incidents?after=%00", None, 422, "bad_cursor"),
        ("GET", "/v1/incidents?colour=red", None, 422, "bad_input"),
        ("GET", "/v1/incidents/nobody@1", None, 404, "unknown_incident"),
        ("GET", "/v1/incidents/nobody@1/file", None, 404, "unknown_incident"),
        ("GET", "/v1/incidents/nobody@1/rows", None, 404, "unknown_incident"),
        ("GET", "/v1/incidents/nobody@1/rows?last=3", None, 422, "bad_input"),
        ("PUT", "/v1/incidents/nobody@1/note", {"label": "true"}, 404, "unknown_incident"),
        ("PUT", "/v1/incidents/nobody@1/note", {"label": "maybe"}, 400, "bad_body"),
        ("PUT", "/v1/incidents/nobody@1/note", {"text": "x" * 2_001}, 422, "bad_input"),
    ],
)
def test_what_cannot_be_had_is_a_problem(
    client: httpx2.Client, method: str, path: str, body: object, status: int, code: str
) -> None:
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_an_incident_is_taken_home_and_replayed_bit_for_bit(
    client: httpx2.Client, folder: Path, tmp_path: Path
) -> None:
    name = faulty(client)[-1]
    answer = client.get(f"/v1/incidents/{name}/file")
    assert answer.headers["content-disposition"].endswith(".npz")
    path = tmp_path / "incident.npz"
    path.write_bytes(answer.content)
    result = CliRunner().invoke(app, ["replay-incident", str(path), "--bundles", str(folder)])
    assert result.exit_code == 0, result.output
    assert "equal bit for bit" in result.output
    assert "opened" in result.output
    empty = tmp_path / "empty"
    empty.mkdir()
    result = CliRunner().invoke(app, ["replay-incident", str(path), "--bundles", str(empty)])
    assert result.exit_code != 0


def test_the_points_of_an_incident_are_read_as_those_of_its_entity(
    client: httpx2.Client,
) -> None:
    name = faulty(client)[-1]
    found = client.get(f"/v1/incidents/{name}/rows").json()
    entity = client.get("/v1/entities/alpha", params={"rows": 1_000}).json()
    assert (found["incident"], found["entity"], found["is_whole"]) == (name, "alpha", True)
    assert (found["model"], found["dimensions"]) == (entity["model"], entity["dimensions"])
    kept = {row["timestamp_ms"]: row for row in entity["window"]}
    shared = [row for row in found["window"] if row["timestamp_ms"] in kept]
    assert shared
    assert all(row == kept[row["timestamp_ms"]] for row in shared)
    assert any(row["is_anomaly"] for row in found["window"])


@contextmanager
def events(client: httpx2.Client, **asked: str) -> Iterator[Iterator[dict[str, str]]]:
    """Server-sent events, field by field."""
    headers = {"Last-Event-ID": asked.pop("last", "")} if "last" in asked else {}
    with client.stream("GET", "/v1/alerts", params=asked, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            yield fields
            fields = {}
            continue
        name, _, value = line.partition(": ")
        fields[name] = value


def test_server_sent_events_tell_what_the_log_holds_and_resume_without_repeat(
    client: httpx2.Client,
) -> None:
    names = faulty(client)
    told = []
    with events(client, after="earliest") as stream:
        for event in stream:
            if event["event"] == "alert":
                told.append(event)
            if len(told) == 2:
                break
    with events(client, last=told[-1]["id"]) as stream:
        for event in stream:
            if event["event"] == "alert":
                told.append(event)
            elif len(told) > 2:
                break  # a heartbeat: nothing is left
    alerts = [json.loads(event["data"]) for event in told]
    assert len({alert["id"] for alert in alerts}) == len(alerts)
    assert [alert["incident"] for alert in alerts if alert["kind"] == "opened"] == names


def test_the_last_event_wins_over_the_parameter_that_a_stream_began_with(
    client: httpx2.Client,
) -> None:
    """A browser that reconnects sends both."""
    faulty(client)
    with events(client, after="earliest") as stream:
        ids = [event["id"] for event in (next(stream) for _ in range(4))]
    with events(client, after="earliest", last=ids[-2]) as stream:
        told = [event for event in (next(stream) for _ in range(2)) if event["event"] == "alert"]
    assert told[0]["id"] == ids[-1]


def test_a_bad_cursor_is_refused_before_the_stream_begins(client: httpx2.Client) -> None:
    answer = client.get("/v1/alerts", params={"after": "nonsense"})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")
    assert client.get("/v1/alerts?colour=red").status_code == 422


def test_a_stopping_service_ends_its_streams(folder: Path, tmp_path: Path) -> None:
    settings = settings_for(folder, tmp_path / "data", heartbeat_seconds=0.2)
    with serving(settings) as port, httpx2.Client(base_url=f"{HOME}:{port}") as client:
        stream = events(client)
        next(stream.__enter__())
    stream.__exit__(None, None, None)  # the server has stopped meanwhile, within its time
