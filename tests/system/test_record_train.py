"""Record, train, activate, detect: from an empty service to an alert by a model it recorded for."""

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
SEEN_BRIEFLY, BRIEFLY = "epsilon", 30  # in the recording too, and too short to train on


def normal_and_fault() -> tuple[list[Point], list[Point]]:
    """What is recorded, and what comes when the new version is active: `c` breaks away."""
    series = [series_like(entity, NORMAL + BEFORE_FAULT + FAULT) for entity in NEWCOMERS]
    for one in series:
        one.values[-FAULT:, 2] += 5.0
    points, brief = interleaved(series), interleaved([series_like(SEEN_BRIEFLY, BRIEFLY)])
    return [*brief, *points[: NORMAL * len(series)]], points[NORMAL * len(series) :]


def fit(data: Path, output: Path) -> str:
    """Train as a user would; the version."""
    command = [sys.executable, "-m", "trainer.cli", "fit", "--data", str(data)]
    command += ["--output", str(output), "--name", "tiny", "--period-seconds", "60"]
    command += ["--epochs", "1", "--no-report", "--json"]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert ended.returncode == 0, ended.stderr
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
        assert {one.status for one in run.verdicts.values()} == {"warming", "calibrating"}
        written = f'gaugewatch_recorded_points_total{{outcome="written"}} {len(normal)}.0'
        until(lambda: written in service.get("/metrics"), "all points to be on disk")
        version = fit(recording, bundles)
        activate(client, version)
        verdicts = post(client, faulty)
        assert not isinstance(verdicts, Refused)
        assert {one.status for one in verdicts} == {"scored"}  # nobody warms up again
        subscriber.until(len(NEWCOMERS))
    alerts = [msgspec.json.decode(alert, type=Alert) for alert in subscriber.alerts]
    opened = [alert for alert in alerts if alert.kind == "opened"]
    assert {alert.entity for alert in opened} == set(NEWCOMERS)
    assert {alert.model for alert in alerts} == {f"tiny/{version}"}
    assert {alert.causes[0].dimension for alert in opened} == {"c"}
    first_ms = faulty[BEFORE_FAULT * len(NEWCOMERS)].timestamp_ms
    assert {alert.timestamp_ms for alert in opened} == {first_ms}
    assert_recorded(recording, [*normal, *faulty])  # written when the service stopped


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
