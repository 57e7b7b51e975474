"""What Prometheus and Alertmanager are told, as promtool and amtool read it."""

from pathlib import Path

import pytest
import yaml

from tests.deploy.monitoring import alertmanager_config, prometheus_config, shipped
from tests.deploy.tools import DEPLOY, said
from tests.system.processes import ROOT

RULES = DEPLOY / "rules" / "gaugewatch.yml"
TESTS = Path(__file__).with_name("gaugewatch.test.yml")


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    assert "SUCCESS" in said(
        "promtool", "check", "config", "--syntax-only", DEPLOY / "prometheus.yml"
    )
    checked = prometheus_config([], tmp_path, alertmanager="127.0.0.1:9")
    assert "rule files found" in said("promtool", "check", "config", checked)


def test_promtool_accepts_the_rules() -> None:
    said("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_the_rules_say_what_they_should() -> None:
    said("promtool", "test", "rules", TESTS, cwd=TESTS.parent)


def test_every_alert_is_tested_where_it_fires_and_where_it_does_not() -> None:
    (rules,) = [yaml.safe_load(RULES.read_text("utf-8"))["groups"]]
    alerts = {rule["alert"] for group in rules for rule in group["rules"] if "alert" in rule}
    checks = [
        check
        for test in yaml.safe_load(TESTS.read_text("utf-8"))["tests"]
        for check in test.get("alert_rule_test", [])
    ]
    assert alerts == {check["alertname"] for check in checks if check["exp_alerts"]}


def test_every_alert_says_how_bad_it_is_and_what_it_is() -> None:
    for group in shipped("rules/gaugewatch.yml")["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in {"critical", "warning", "info"}
                assert rule["annotations"]["summary"]


@pytest.mark.parametrize("is_shipped", [True, False])
def test_amtool_accepts_the_configuration(is_shipped: bool, tmp_path: Path) -> None:
    told = alertmanager_config(tmp_path, webhook="http://127.0.0.1:9/")
    said("amtool", "check-config", DEPLOY / "alertmanager.yml" if is_shipped else told)


def test_incidents_of_different_entities_are_different_messages() -> None:
    route = shipped("alertmanager.yml")["route"]
    assert route["group_by"] == ["alertname", "entity"]
    path = ROOT / "deploy" / "alertmanager.yml"
    labels = ("alertname=GaugewatchIncident", "entity=alpha")
    assert (
        said("amtool", "config", "routes", "test", f"--config.file={path}", *labels) == "people\n"
    )
