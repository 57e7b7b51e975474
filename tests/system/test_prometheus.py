"""A real Prometheus scrapes the service, and promtool has nothing to say."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.stream.messages import Point, Verdict
from tests.builders import ENTITIES, NEED
from tests.programs import program
from tests.system.processes import Service, answer_of, free_port, until
from tests.system.replays import (
    SERIES,
    Replay,
    Run,
    client_of,
    interleaved,
    post_until_acknowledged,
)
from tests.web.crowd import MOST_MEGABYTES, complaints, hostile_names

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@contextmanager
def prometheus(service: Service, folder: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes the service."""
    folder.mkdir()
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [
            {
                "job_name": "gaugewatch",
                "static_configs": [{"targets": [f"127.0.0.1:{service.port}"]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def value(address: str, query: str) -> float | None:
    """Of the only series that a query finds now, None where it finds none."""
    answer = answer_of(f"{address}/api/v1/query", query=query)
    if answer is None or answer.status_code != 200:
        return None  # still starting
    found = answer.json()["data"]["result"]
    assert len(found) <= 1, found
    return float(found[0]["value"][1]) if found else None


def highest_score(verdicts: list[Verdict]) -> float:
    return max(verdict.score for verdict in verdicts if verdict.score is not None)


def test_a_real_prometheus_scrapes_scores_and_counters(bundle_folder: Path, tmp_path: Path) -> None:
    with (
        Service(bundle_folder, tmp_path) as service,
        prometheus(service, tmp_path / "prometheus") as address,
    ):
        until(lambda: value(address, "up") == 1, "Prometheus to scrape")
        replay = Replay(service, seed=51)
        replay.begin()
        verdicts = list(replay.end().verdicts.values())
        points = len(verdicts)
        until(lambda: value(address, "sum(gaugewatch_points_total)") == points, "all points")
        for entity in ENTITIES:
            score = highest_score([one for one in verdicts if one.entity == entity])
            found = value(address, f'gaugewatch_score{{entity="{entity}"}}')
            assert found == pytest.approx(score, rel=1e-12)
        for status in ("scored", "warming"):
            count = sum(one.status == status for one in verdicts)
            assert value(address, f'gaugewatch_points_total{{status="{status}"}}') == count
        anomalies = sum(one.is_anomaly for one in verdicts)
        assert value(address, "gaugewatch_anomalies_total") == anomalies
        for kind in ("opened", "updated", "resolved"):
            count = sum(one.transition == kind for one in verdicts)
            assert value(address, f'gaugewatch_alerts_total{{kind="{kind}"}}') == count


def test_a_real_prometheus_reads_a_crowd_of_hostile_names(
    bundle_folder: Path, tmp_path: Path
) -> None:
    names = list(hostile_names(2_000))
    with (
        Service(bundle_folder, tmp_path) as service,
        prometheus(service, tmp_path / "prometheus") as address,
        client_of(service) as client,
    ):
        for time_ms in range(NEED):
            for start in range(0, len(names), 500):
                points = [Point(name, time_ms, [0.1] * 4) for name in names[start : start + 500]]
                post_until_acknowledged(client, points, Run())
        until(lambda: (value(address, "count(gaugewatch_score)") or 0) > 100, "a scrape")
        shown = value(address, "count(gaugewatch_score)") or 0
        assert value(address, "up") == 1
        assert value(address, "gaugewatch_entities_not_exported") == len(names) - shown
        page = service.get("/metrics").encode()
    assert complaints(page) == ""
    assert len(page) < 1e6 * MOST_MEGABYTES


def test_promtool_has_nothing_to_say(bundle_folder: Path, tmp_path: Path) -> None:
    promtool = program("promtool")
    with Service(bundle_folder, tmp_path) as service, client_of(service) as client:
        replay = Replay(service, seed=52)
        replay.begin()
        run = replay.end()
        post_until_acknowledged(client, interleaved(SERIES)[-20:], run)  # duplicates
        assert service.status("/v1/entities/nobody") == 404
        page = service.get("/metrics")
    assert 'gaugewatch_points_total{status="duplicate"} 20.0' in page
    assert 'gaugewatch_score{entity="alpha"' in page
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, timeout=60
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
