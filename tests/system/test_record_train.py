"""Record, label, train, activate, detect: from an empty service to an alert by its own model."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx2
import msgspec
import pytest

from service.scoring.series import read_folder
from service.stream.messages import Alert, Point
from tests.builders import series_like
from tests.system.processes import ROOT, Service, environment, until
from tests.system.replays import (
    Refused,
    Run,
    client_of,
    interleaved,
    post,
    post_until_acknowledged,
    requests_of,
)
from tests.system.subscribers import Subscriber

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NEWCOMERS = ("gamma", "delta")  # the bundle at the start was not trained on them
NORMAL, BEFORE_FAULT, FAULT = 700, 20, 10  # points of each
KNOWN, KNOWN_FAULT = "alpha", slice(300, 310)  # whose fault is told, and labelled
SEEN_BRIEFLY, BRIEFLY = "epsilon", 30  # in the recording too, and too short to train on


def normal_and_fault() -> tuple[list[Point], list[Point]]:
    """What is recorded, and what comes when the new version is active: `c` breaks away."""
    series = [series_like(entity, NORMAL + BEFORE_FAULT + FAULT) for entity in NEWCOMERS]
    for one in series:
        one.values[-FAULT:, 2] += 5.0
    known = series_like(KNOWN, NORMAL)
    known.values[KNOWN_FAULT, 2] += 5.0
    points, brief = interleaved(series), interleaved([series_like(SEEN_BRIEFLY, BRIEFLY)])
    recorded = [*brief, *interleaved([known]), *points[: NORMAL * len(series)]]
    return recorded, points[NORMAL * len(series) :]


def gaugewatch(*words: str, module: str = "service.cli") -> subprocess.CompletedProcess[str]:
    """A command as a user would give it."""
    command = [sys.executable, "-m", module, *words]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
    return ended


def label_all(client: httpx2.Client, service: Service, file: Path) -> int:
    """Call every incident true, and take them home; how many there are."""
    for one in client.get("/v1/incidents").json()["incidents"]:
        note = f"/v1/incidents/{one['incident']}/note"
        client.put(note, json={"label": "true"}).raise_for_status()
    said = gaugewatch("incidents", "--url", service.url, "--label", "true", "--json").stdout
    file.write_text(said)
    return len(json.loads(said)["incidents"])


def fit(data: Path, output: Path, *, labels: Path, faults: int) -> str:
    """Train as a user would; the version."""
    words = ["fit", "--data", str(data), "--labels", str(labels)]
    words += ["--output", str(output), "--name", "tiny", "--period-seconds", "60"]
    ended = gaugewatch(*words, "--epochs", "1", "--no-report", "--json", module="trainer.cli")
    assert f"{faults} true incidents: " in ended.stderr
    assert "points of 1 entities are left out" in ended.stderr
    assert f"{SEEN_BRIEFLY} is left out: it has {BRIEFLY} points" in ended.stderr
    [bundle] = json.loads(ended.stdout)["bundles"]
    return str(bundle["version"])


def test_what_was_recorded_trains_a_model_that_then_alerts(
    bundle_folder: Path, tmp_path: Path
) -> None:
    bundles, recording = tmp_path / "bundles", tmp_path / "recording"
    shutil.copytree(bundle_folder / "tiny", bundles / "tiny")
    normal, faulty = normal_and_fault()
    settings = {"recording_directory": recording, "recording_seconds": 0.5}
    with (
        Service(bundles, tmp_path / "service", **settings) as service,
        Subscriber(service) as subscriber,
        client_of(service) as client,
    ):
        run = Run()
        for request in requests_of(normal, seed=5, largest=200):
            post_until_acknowledged(client, request, run)
        statuses = {one.status for one in run.verdicts.values()}
        assert statuses == {"warming", "calibrating", "scored"}
        written = f'gaugewatch_recorded_points_total{{outcome="written"}} {len(normal)}.0'
        until(lambda: written in service.get("/metrics"), "all points to be on disk")
        faults = label_all(client, service, tmp_path / "labels.json")
        assert faults >= 1
        version = fit(recording, bundles, labels=tmp_path / "labels.json", faults=faults)
        activate(client, version)
        verdicts = post(client, faulty)
        assert not isinstance(verdicts, Refused)
        assert {one.status for one in verdicts} == {"scored"}  # nobody warms up again
        model = f"tiny/{version}"
        until(lambda: {one.entity for one in told_by(subscriber, model)} == {*NEWCOMERS}, "alerts")
    opened = [alert for alert in told_by(subscriber, model) if alert.kind == "opened"]
    assert {alert.entity for alert in opened} == set(NEWCOMERS)
    assert {alert.causes[0].dimension for alert in opened} == {"c"}
    first_ms = faulty[BEFORE_FAULT * len(NEWCOMERS)].timestamp_ms
    assert {alert.timestamp_ms for alert in opened} == {first_ms}
    assert_recorded(recording, [*normal, *faulty])  # written when the service stopped


def told_by(subscriber: Subscriber, model: str) -> list[Alert]:
    alerts = [msgspec.json.decode(alert, type=Alert) for alert in subscriber.alerts]
    return [alert for alert in alerts if alert.model == model]


def activate(client: httpx2.Client, version: str) -> None:
    answer = client.post("/v1/models/tiny/activate", json={"version": version})
    assert answer.status_code == 200, answer.text
    assert answer.json()["active"] == version


def assert_recorded(recording: Path, points: list[Point]) -> None:
    """Every point, once, as it was posted."""
    found = {
        (series.entity, time): values
        for series in read_folder(recording)
        for time, values in zip(series.timestamps_ms.tolist(), series.values.tolist(), strict=True)
    }
    assert found == {(point.entity, point.timestamp_ms): point.values for point in points}
