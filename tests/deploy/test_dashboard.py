"""Every expression of the dashboard and of the rules finds data after a replay through the service.

Prometheus is real, and so are the service, its Redis and the faults.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
import pytest
import yaml

from service.stream.messages import Point
from tests.builders import ENTITIES, series_like
from tests.deploy.monitoring import KEY, found, prometheus, shipped
from tests.deploy.tools import DEPLOY
from tests.system.processes import RedisServer, Service, until
from tests.system.replays import SERIES, interleaved

DASHBOARD: Final = DEPLOY / "grafana" / "dashboards" / "gaugewatch.json"
# As long as these tests may take, so that the replay is still in it at the last one.
VARIABLES: Final = {"$__rate_interval": "10m", "$entity": ENTITIES[0]}
OURS: Final = re.compile(r"\b(?:gaugewatch|process|entity(?:_cause)?:gaugewatch)_[\w:]+|\bup\b")
EMPTY_WHEN_WELL: Final = "absent("


def panels() -> list[dict[str, Any]]:
    every: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [panel for panel in every if panel["type"] != "row"]


def dashboard_expressions() -> list[str]:
    variables = json.loads(DASHBOARD.read_text("utf-8"))["templating"]["list"]
    asked = [one["query"]["query"] for one in variables]
    return [re.sub(r"label_values\((.*), \w+\)", r"\1", one) for one in asked] + [
        target["expr"] for panel in panels() for target in panel["targets"]
    ]


def rules() -> list[dict[str, Any]]:
    return [rule for group in shipped("rules/gaugewatch.yml")["groups"] for rule in group["rules"]]


def rule_expressions() -> list[str]:
    """Of an alert, both sides of the comparison: whether it holds is not asked here."""
    alerts = [rule["expr"] for rule in rules() if "alert" in rule]
    compared = [re.sub(r"\s(==|>) ", r" \1 bool ", alert) for alert in alerts]
    return [rule["expr"] for rule in rules() if "record" in rule] + compared


@pytest.fixture(scope="module")
def fed(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus whose service has had a replay with faults, late points and a lost Redis."""
    folder = tmp_path_factory.mktemp("fed")
    with RedisServer(folder / "redis") as redis:
        with (
            Service(bundle_folder, folder / "s", redis_url=redis.url, api_keys=KEY) as service,
            _client(service) as client,
        ):
            _score_until_now(client)
        with (
            Service(bundle_folder, folder / "s", redis_url=redis.url, api_keys=KEY) as service,
            prometheus([service], folder / "prometheus") as address,
            _client(service) as client,
        ):
            until(lambda: found(address, "up == 1"), "Prometheus to scrape")
            points = interleaved(SERIES)[: 2 * 422]  # the last incident stays open
            for start in range(0, len(points), 50):
                assert _post(client, points[start : start + 50]) == 200
            assert _post(client, points[:1]) == 200  # too late
            redis.freeze()
            assert _post(client, points[-1:]) == 503
            redis.thaw()
            until(lambda: found(address, "gaugewatch_score"), "scores")
            with repeating(client, points[-1:]):  # or there is no rate on a slow machine
                yield address


@contextmanager
def repeating(client: httpx2.Client, points: list[Point]) -> Iterator[None]:
    """Points that are posted again and again meanwhile."""
    is_over = threading.Event()

    def post() -> None:
        while not is_over.wait(0.5):
            _post(client, points)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _client(service: Service) -> httpx2.Client:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx2.Client(base_url=service.url, headers=headers, timeout=30)


def _score_until_now(client: httpx2.Client) -> None:
    """Points of the last half hour; the promise is not measured by those of last year."""
    series = series_like(ENTITIES[0], 30)
    times = series.timestamps_ms + (time.time_ns() // 10**6 - series.timestamps_ms[-1])
    rows = zip(times.tolist(), series.values.tolist(), strict=True)
    assert _post(client, [Point(series.entity, *row) for row in rows]) == 200
    assert client.delete(f"/v1/entities/{series.entity}").status_code == 204  # begins anew


def _post(client: httpx2.Client, points: list[Point]) -> int:
    return client.post("/v1/points", json={"points": msgspec.to_builtins(points)}).status_code


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "expression", dict.fromkeys([*dashboard_expressions(), *rule_expressions()])
)
def test_an_expression_finds_data(fed: str, expression: str) -> None:
    if EMPTY_WHEN_WELL in expression:
        return
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    until(lambda: any(_numbers(found(fed, expression))), expression)


def _numbers(series: list[dict[str, Any]]) -> list[bool]:
    return [one["value"][1] not in ("NaN", "+Inf", "-Inf") for one in series]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_metric_that_is_named_is_exported(fed: str) -> None:
    names = {one["metric"]["__name__"] for one in found(fed, '{__name__=~".+"}')}
    for expression in [*dashboard_expressions(), *rule_expressions()]:
        assert set(OURS.findall(expression)) <= names, expression


def test_every_panel_is_one_that_grafana_can_show() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    assert len(ids) > 15
    source = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8")
    )["datasources"][0]
    for panel in panels():
        assert panel["title"]
        assert panel["type"] in {"stat", "table", "timeseries"}
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_panels_do_not_lie_on_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_is_where_grafana_looks() -> None:
    provider = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/dashboards/gaugewatch.yml").read_text("utf-8")
    )["providers"][0]
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text("utf-8"))
    mounted = [volume.split(":") for volume in compose["services"]["grafana"]["volumes"]]
    folders = {target: source for source, target, *_ in mounted}
    path = provider["options"]["path"]
    assert folders[path] == "./deploy/grafana/dashboards"
    home = compose["services"]["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]
    assert home == f"{path}/{DASHBOARD.name}"
