import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.stream.embedded import EmbeddedValkey
from service.web.app import create_app
from service.web.auth import ACCESS
from service.web.metrics import Metrics
from service.web.scoreboard import Scoreboard
from tests.programs import program
from tests.system.processes import until
from tests.web.hostile import body
from tests.web.serving import HOME, settings_for
from tests.web.test_points import JSON, rows


def value(page: str, name: str, **labels: str) -> float:
    """Of one series; 0 where it does not exist yet."""
    found = [
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found)


def series(page: str, name: str) -> list[dict[str, str]]:
    return [
        sample.labels
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    ]


def test_points_are_counted_by_what_became_of_them(client: TestClient) -> None:
    before = client.get("/metrics").text
    points = rows("counted", 6)
    client.post("/v1/points", json={"points": points})
    client.post("/v1/points", json={"points": points[-1:]})
    after = client.get("/metrics").text
    for status, count in (("warming", 3), ("calibrating", 3), ("duplicate", 1)):
        grown = [value(p, "gaugewatch_points_total", status=status) for p in (before, after)]
        assert grown[1] - grown[0] == count
    assert value(after, "gaugewatch_entities") >= 1


def test_anomalies_and_alerts_are_counted_once(bundle_folder: Path, tmp_path: Path) -> None:
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        points = rows("alpha", 40)
        for dimension in range(4):
            points[30]["values"][dimension] += 50.0 * (-1) ** dimension
        client.post("/v1/points", json={"points": points})
        verdicts = client.post("/v1/points", json={"points": points}).json()["verdicts"]
        page = client.get("/metrics").text
    transitions = [verdict.get("transition") for verdict in verdicts]
    anomalies = sum(verdict["is_anomaly"] for verdict in verdicts)
    assert anomalies > 0
    assert value(page, "gaugewatch_anomalies_total") == anomalies
    for kind in ("opened", "updated", "resolved"):
        assert value(page, "gaugewatch_alerts_total", kind=kind) == transitions.count(kind)
    assert value(page, "gaugewatch_score", entity="alpha") > 1


def test_held_points_are_counted_again_when_they_are_scored(
    bundle_folder: Path, tmp_path: Path
) -> None:
    points = rows("alpha", 12)
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        client.put("/v1/policies/entities/alpha", json={"lateness_seconds": 240})
        posted = [points[i] for i in (1, 0, 3, 2, 3, 5, 4, 7, 6, 9, 8, 11, 10)]
        verdicts = client.post("/v1/points", json={"points": posted}).json()["verdicts"]
        again = client.post("/v1/points", json={"points": posted[:2]}).json()["verdicts"]
        client.post("/v1/points?mode=backfill", json={"points": [rows("alpha", 13)[-1]]})
        page = client.get("/metrics").text
    statuses = [one["status"] for one in verdicts]
    assert {one["reason"] for one in verdicts if one["status"] == "held"} == {"earlier_may_come"}
    assert [one["status"] for one in again] == ["duplicate", "duplicate"]
    held = value(page, "gaugewatch_points_total", status="held")
    assert held == statuses.count("held") == 4
    assert value(page, "gaugewatch_released_points_total") == held
    assert value(page, "gaugewatch_released_points_total", status="scored") == held
    at_once = sum(value(page, "gaugewatch_points_total", status=s) for s in ("scored", "warming"))
    assert held + at_once == 13


def test_at_most_so_many_entities_are_exported_and_the_rest_counted(client: TestClient) -> None:
    for name in "klmno":
        client.post("/v1/points", json={"points": rows(f"many {name}", 5)})
    page = client.get("/metrics").text
    assert len(series(page, "gaugewatch_score")) == 3
    assert len(series(page, "gaugewatch_severity")) == 3
    assert value(page, "gaugewatch_entities_not_exported") >= 2


def test_an_open_incident_is_shown_with_its_causes(bundle_folder: Path, tmp_path: Path) -> None:
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        points = rows("alpha", 31)
        points[30]["values"][2] += 50.0
        verdict = client.post("/v1/points", json={"points": points}).json()["verdicts"][-1]
        page = client.get("/metrics").text
    assert verdict["transition"] == "opened"
    about = {"entity": "alpha", "model": verdict["model"]}
    assert value(page, "gaugewatch_incident_open", **about) == 1
    newest = value(page, "gaugewatch_newest_point_timestamp_seconds", **about)
    assert newest == points[-1]["timestamp_ms"] / 1000
    shown = series(page, "gaugewatch_incident_cause_ratio")
    assert 1 <= len(shown) <= 3
    for cause in verdict["contributions"][:3]:
        found = value(page, "gaugewatch_incident_cause_ratio", cause=cause["dimension"], **about)
        assert found == cause["share"]


def test_a_backfill_is_counted_and_not_shown(bundle_folder: Path, tmp_path: Path) -> None:
    """Alertmanager alerts of what is shown."""
    points = rows("alpha", 31)
    points[30]["values"][2] += 50.0
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        answer = client.post("/v1/points?mode=backfill", json={"points": points}).json()
        page = client.get("/metrics").text
    assert answer["verdicts"][-1]["transition"] == "opened"
    assert value(page, "gaugewatch_points_total") == 31
    assert value(page, "gaugewatch_anomalies_total") == 1
    for name in ("gaugewatch_incident_open", "gaugewatch_score"):
        assert series(page, name) == []


def test_an_entity_that_alerts_while_it_is_calibrating_is_shown(
    bundle_folder: Path, tmp_path: Path
) -> None:
    """One that does not alert has no incident there."""
    own = "/v1/policies/entities/loud"
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        client.put(own, json={"alert_while_calibrating": True})
        for name in ("loud", "quiet"):
            points = rows(name, 31)
            points[30]["values"][2] += 50.0
            answer = client.post("/v1/points", json={"points": points}).json()
            assert answer["verdicts"][-1]["status"] == "calibrating"
        page = client.get("/metrics").text
    assert value(page, "gaugewatch_alerts_total", kind="opened") == 1
    assert value(page, "gaugewatch_incident_open", entity="loud") == 1
    assert value(page, "gaugewatch_incident_open", entity="quiet") == 0
    assert {"entity": "quiet"}.items() <= series(page, "gaugewatch_incident_open")[1].items()


def test_replicas_agree_on_incidents_whoever_scored_or_ended_them(
    bundle_folder: Path, tmp_path: Path
) -> None:
    """The one with the newest point is asked: it wrote neither the first alert nor the last."""
    with EmbeddedValkey(tmp_path / "valkey") as valkey, ExitStack() as stack:
        settings = settings_for(bundle_folder, tmp_path, redis_url=valkey.url)
        apps = [create_app(settings) for _ in range(2)]
        first, second = (stack.enter_context(TestClient(app, base_url=HOME)) for app in apps)
        first.put("/v1/policies", json={"default": {"alert_while_calibrating": True}})
        effective = "/v1/policies/effective?entity=newcomer"
        until(lambda: "default" in second.get(effective).text, "the other to know the policy")
        for name in ("alpha", "newcomer"):
            points = rows(name, 33)
            points[30]["values"][2] += 50.0
            first.post("/v1/points", json={"points": points[:31]})
            second.post("/v1/points", json={"points": points[31:]})
        page = second.get("/metrics").text
        board = apps[1].state.services.metrics.scoreboard
        for name in ("alpha", "newcomer"):
            assert value(page, "gaugewatch_incident_open", entity=name) == 1
            assert first.delete(f"/v1/entities/{name}").status_code == 204
        until(lambda: not is_open(board, time.monotonic() + 61), "the ends to be heard of")


def is_open(board: Scoreboard, now_seconds: float) -> bool:
    return any(standing.is_open for standing in board.leading(now_seconds)[0])


def test_what_is_not_an_alert_stops_nobody() -> None:
    metrics = Metrics(budgets=dict, scoreboard=Scoreboard(shown=1, max_entities=1))
    metrics.hear(b"not an alert")


def test_an_incident_ends_on_the_page_with_its_entity(bundle_folder: Path, tmp_path: Path) -> None:
    """No point comes that could say so."""
    points = rows("alpha", 31)
    points[30]["values"][2] += 50.0
    app = create_app(settings_for(bundle_folder, tmp_path))
    with TestClient(app, base_url=HOME) as client:
        client.post("/v1/points", json={"points": points})
        scoreboard = app.state.services.metrics.scoreboard
        assert client.delete("/v1/entities/alpha").status_code == 204
        page = client.get("/metrics").text
        until(lambda: not is_open(scoreboard, time.monotonic() + 61), "the end to be heard of")
    assert value(page, "gaugewatch_incident_open", entity="alpha") == 1, "a minute longer"


def test_missing_values_of_scored_points_are_counted(bundle_folder: Path, tmp_path: Path) -> None:
    points = rows("alpha", 12)
    for row, dimension in ((0, 1), (9, 0), (9, 3), (11, 2)):
        points[row]["values"][dimension] = None
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        assert value(client.get("/metrics").text, "gaugewatch_missing_values_total") == 0
        verdicts = client.post("/v1/points", json={"points": points}).json()["verdicts"]
        client.post("/v1/points", json={"points": points})
        page = client.get("/metrics").text
    model = verdicts[-1]["model"]
    assert verdicts[0]["status"] == "warming"
    assert value(page, "gaugewatch_missing_values_total", model=model) == 3
    assert len(series(page, "gaugewatch_missing_values_total")) == 1


def test_labels_of_requests_are_as_few_as_routes(client: TestClient) -> None:
    for path in ("/a", "/b", "/v1/entities/x", "/v1/entities/y", "/%FF", "/v1/points/"):
        client.get(path)
    client.post("/v1/points", content=body(), headers=JSON)
    routes = {
        labels["route"]
        for labels in series(client.get("/metrics").text, "gaugewatch_request_seconds_count")
    }
    assert {"/v1/points", "/v1/entities/{entity:path}", "none"} <= routes
    assert routes <= {*ACCESS, "none"}


def test_every_stage_of_the_path_of_a_point_is_timed(client: TestClient) -> None:
    client.post("/v1/points", content=body(), headers=JSON)
    stages = series(client.get("/metrics").text, "gaugewatch_stage_seconds_count")
    assert {"decode", "restore", "fold", "commit", "answer", "encode"} <= {
        labels["stage"] for labels in stages
    }


def test_a_stage_that_fails_is_timed_too(client: TestClient) -> None:
    before, _, after = (
        value(client.get("/metrics").text, "gaugewatch_stage_seconds_count", stage="decode"),
        client.post("/v1/points", content=b"{", headers=JSON),
        value(client.get("/metrics").text, "gaugewatch_stage_seconds_count", stage="decode"),
    )
    assert after - before == 1


def test_names_that_need_escapes_do_not_break_the_page(bundle_folder: Path, tmp_path: Path) -> None:
    names = ['quote"d', "back\\slash", "{brace}=~", "ünïcödé 🙂"]
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        for name in names:
            client.post("/v1/points", json={"points": rows(name, 6)})
        page = client.get("/metrics").text
    assert {labels["entity"] for labels in series(page, "gaugewatch_score")} == set(names)


def test_promtool_has_nothing_to_say(client: TestClient) -> None:
    promtool = program("promtool")
    client.post("/v1/points", json={"points": rows("linted", 8)})
    page = client.get("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "gaugewatch_score{" in page.text, "promtool accepts an empty page"
    said = subprocess.run(
        [promtool, "check", "metrics"], input=page.content, capture_output=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")
