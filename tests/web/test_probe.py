"""One entity for Prometheus: what its newest point says, and nothing that was not measured."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.stream.messages import Cause, EntityView, Row
from service.web.app import create_app
from service.web.probe import ProbePage
from tests.builders import DIMENSIONS
from tests.deploy.monitoring import KEY, found, running
from tests.programs import program
from tests.system.processes import free_port, until
from tests.web.hostile import HOSTILE
from tests.web.serving import HOME, serving, settings_for
from tests.web.test_metrics import series, value
from tests.web.test_points import JSON, rows

ROOT = Path(__file__).parent.parent.parent
HOSTILE_NAMES = [
    *("", " ", "a b ", "a\x00b", "a\nb", "a\u202eb", "e\u0301", "x" * 201, "\ufeffa", "a\u0378"),
    *("%", "%FF", "a&entity=b", "../../etc/passwd", "{}", "'\"", "\U0001f642", "gw:*", "$(id)"),
]


@pytest.fixture
def own(bundle_folder: Path, tmp_path: Path) -> Iterator[TestClient]:
    """A service whose entities no other test knows."""
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        yield client


def probed(client: TestClient, entity: str) -> str:
    answer = client.get("/probe", params={"entity": entity})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def by_dimension(page: str, name: str) -> dict[str, float]:
    return {
        sample.labels["dimension"]: sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    }


def faulty(client: TestClient) -> dict[str, Any]:
    """The last verdict on points of which the newest opens an incident."""
    points = rows("alpha", 31)
    points[30]["values"][2] += 50.0
    verdicts = client.post("/v1/points", json={"points": points}).json()["verdicts"]
    newest: dict[str, Any] = verdicts[-1]
    assert newest["transition"] == "opened"
    return newest


def test_the_page_says_what_the_verdict_said(own: TestClient) -> None:
    verdict = faulty(own)
    page, view = probed(own, "alpha"), own.get("/v1/entities/alpha?rows=1").json()
    for name, number in (
        ("success", 1),
        ("score", verdict["score"]),
        ("severity", verdict["severity"]),
        ("is_anomaly", 1),
        ("incident_open", 1),
        ("points_total", 31),
        ("newest_point_timestamp_seconds", verdict["timestamp_ms"] / 1000),
    ):
        assert value(page, f"gaugewatch_probe_{name}") == number, name
        assert series(page, f"gaugewatch_probe_{name}") == [{"model": verdict["model"]}]
    causes = {cause["dimension"]: cause for cause in verdict["contributions"]}
    assert causes
    for name, field in (("cause_ratio", "share"), ("expected", "expected"), ("band", "band")):
        found = by_dimension(page, f"gaugewatch_probe_{name}")
        assert found == {dimension: cause[field] for dimension, cause in causes.items()}
    values = dict(zip(view["dimensions"], view["window"][0]["values"], strict=True))
    assert by_dimension(page, "gaugewatch_probe_value") == values
    assert values["c"] == causes["c"]["value"]


def test_the_status_is_one_of_those_kept(own: TestClient) -> None:
    own.post("/v1/points", json={"points": rows("alpha", 2)})
    assert _status(probed(own, "alpha")) == "warming"
    own.post("/v1/points", json={"points": rows("alpha", 9) + rows("stranger", 9)})
    assert _status(probed(own, "alpha")) == "scored"
    assert _status(probed(own, "stranger")) == "calibrating"


def _status(page: str) -> str:
    name = "gaugewatch_probe_status"
    statuses = [labels["status"] for labels in series(page, name)]
    assert len(statuses) == 3
    (found,) = [status for status in statuses if value(page, name, status=status) == 1]
    assert sum(value(page, name, status=status) for status in statuses) == 1
    return found


def test_what_was_not_scored_has_no_score(own: TestClient) -> None:
    point = rows("alpha", 1)[0]
    own.post("/v1/points", json={"points": [{**point, "values": [1.5, None, -2.0, 0.0]}]})
    page = probed(own, "alpha")
    for name in ("score", "severity", "cause_ratio", "expected", "band"):
        assert not series(page, f"gaugewatch_probe_{name}"), name
    found = by_dimension(page, "gaugewatch_probe_value")
    assert set(found) == {"a", "c", "d"}
    assert found["a"] == pytest.approx(1.5)
    assert value(page, "gaugewatch_probe_points_total") == 1


def test_an_incident_that_ended_without_a_point_is_not_open(own: TestClient) -> None:
    incident = faulty(own)["incident"]
    assert value(probed(own, "alpha"), "gaugewatch_probe_incident_open") == 1
    own.put(f"/v1/incidents/{incident}/note", json={"label": "new_normal"})
    page = probed(own, "alpha")
    assert series(page, "gaugewatch_probe_incident_open")
    assert value(page, "gaugewatch_probe_incident_open") == 0


def test_what_nobody_is_told_is_no_incident(own: TestClient) -> None:
    points = rows("stranger", 31)
    points[30]["values"][2] += 500.0
    verdict = own.post("/v1/points", json={"points": points}).json()["verdicts"][-1]
    assert (verdict["status"], verdict["is_anomaly"]) == ("calibrating", True)
    page = probed(own, "stranger")
    assert value(page, "gaugewatch_probe_is_anomaly") == 1
    assert value(page, "gaugewatch_probe_incident_open") == 0


def test_who_is_not_known_is_a_problem(client: TestClient) -> None:
    answer = client.get("/probe?entity=nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_entity")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["", "entity", "entity=", "entity=a&entity=b", "entity=a&rows=1"])
def test_what_cannot_be_asked_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"/probe?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_no_name_is_a_failure_of_ours(client: TestClient, name: str) -> None:
    for query in (quote(name, safe=""), quote(name)):
        assert client.get(f"/probe?entity={query}").status_code in (404, 422)


def test_no_bytes_are_a_failure_of_ours(client: TestClient) -> None:
    for content, _ in HOSTILE.values():
        answer = client.get(f"/probe?entity={quote(content[:1_000])}")
        assert answer.status_code in (404, 422)
    assert client.get("/probe?entity=%ff%ed%a0%80").status_code in (404, 422)


def test_names_that_can_be_are_probed(own: TestClient) -> None:
    for name in ('quote"d', "back\\slash", "{brace}=~", "ünïcödé 🙂", "a/b?c&d=e"):
        own.post("/v1/points", json={"points": rows(name, 6)}, headers=JSON)
        assert value(probed(own, name), "gaugewatch_probe_points_total") == 6


def test_names_of_dimensions_need_escapes() -> None:
    names = ['quote"d', "back\\slash", "new\nline", "ünïcödé 🙂", ""]
    causes = [Cause(name, 0.2, None, 1e-300, 1e300, None) for name in names]
    row = Row(1_750_000_000_000, "scored", 2.0, 7.0, True, [1.0, -2.0, None, 0.0, 4.0], causes)
    model, one = 'm"\n/1', len(names)
    view = EntityView("x", model, names, one, one, one, "scored", None, [row])
    page = rendered(view)
    assert set(by_dimension(page, "gaugewatch_probe_expected")) == set(names)
    assert set(by_dimension(page, "gaugewatch_probe_value")) == {*names} - {"new\nline"}
    assert series(page, "gaugewatch_probe_score") == [{"model": model}]


def rendered(view: EntityView) -> str:
    return generate_latest(ProbePage(view, is_incident_open=False)).decode()


def test_promtool_has_nothing_to_say(own: TestClient) -> None:
    promtool = program("promtool")
    faulty(own)
    own.post("/v1/points", json={"points": rows("young", 1)})
    for entity in ("alpha", "young"):
        page = probed(own, entity)
        assert all(f'dimension="{name}"' in page for name in DIMENSIONS)
        said = subprocess.run(
            [promtool, "check", "metrics"], input=page.encode(), capture_output=True, check=False
        )
        assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_real_prometheus_probes_as_documented(bundle_folder: Path, tmp_path: Path) -> None:
    names = ["alpha", "plant/line 4", 'q"{}\\x', "ünï 🙂", "http://a?b=c&d#e"]
    operations = (ROOT / "docs/operations.md").read_text("utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", operations, re.MULTILINE | re.DOTALL)
    with serving(settings_for(bundle_folder, tmp_path, api_keys=KEY)) as port:
        post(f"{HOME}:{port}", [point for name in names for point in rows(name, 9)])
        config = yaml.safe_load(block.replace("gaugewatch:8080", f"127.0.0.1:{port}"))
        (scrape,) = config["scrape_configs"]
        scrape |= {"scrape_interval": "500ms", "scrape_timeout": "500ms"}
        scrape["authorization"]["credentials_file"] = str(tmp_path / "key")
        scrape["static_configs"][0]["targets"] = [*names, "nobody"]
        (tmp_path / "key").write_text(KEY)
        (tmp_path / "prometheus.yml").write_text(json.dumps(config, ensure_ascii=False), "utf-8")
        address = f"127.0.0.1:{free_port()}"
        options = (
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path}",
        )
        with running(tmp_path, "prometheus", *options, f"--web.listen-address={address}"):
            url = f"http://{address}"
            until(lambda: len(found(url, "up == 1")) == len(names), "all probes")
            until(lambda: len(found(url, "up == 0")) == 1, "the one of nobody")
            points = found(url, "gaugewatch_probe_points_total")
    assert {one["metric"]["entity"]: one["value"][1] for one in points} == dict.fromkeys(names, "9")


def post(url: str, points: list[dict[str, Any]]) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = httpx2.post(f"{url}/v1/points", json={"points": points}, headers=headers)
    assert answer.status_code == 200
