"""docker-compose.yml, as docker-compose reads it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import said
from tests.system.processes import ROOT


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """Every variable filled in, every path made absolute."""
    config: dict[str, Any] = yaml.safe_load(said("docker-compose", "config"))
    return config


def test_everything_that_belongs_together_is_started(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services.keys() == {"gaugewatch", "redis", "prometheus", "alertmanager", "grafana"}
    assert all(one["restart"] == "unless-stopped" for one in services.values())
    for name, one in services.items():
        assert set(one.get("depends_on", [])) <= services.keys(), name


def test_every_file_that_is_mounted_exists(compose: dict[str, Any]) -> None:
    volumes = [v.split(":") for one in compose["services"].values() for v in one.get("volumes", [])]
    paths = [source for source, *_ in volumes if source.startswith("/")]
    assert len(paths) == 6
    assert all(Path(path).exists() for path in paths)
    named = {source for source, *_ in volumes} - set(paths)
    assert named == compose["volumes"].keys()


def test_nobody_outside_the_machine_reaches_it(compose: dict[str, Any]) -> None:
    ports = [port for one in compose["services"].values() for port in one.get("ports", [])]
    assert len(ports) == 4
    assert all(str(port).startswith("127.0.0.1:") for port in ports)
    assert "ports" not in compose["services"]["redis"]


def test_the_service_and_redis_may_do_little(compose: dict[str, Any]) -> None:
    for name in ("gaugewatch", "redis"):
        one = compose["services"][name]
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]


def test_addresses_name_services_of_the_same_file(compose: dict[str, Any]) -> None:
    texts = [
        (ROOT / "deploy/prometheus.yml").read_text("utf-8"),
        (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"),
        compose["services"]["gaugewatch"]["environment"]["GAUGEWATCH_REDIS_URL"],
    ]
    hosts = set(re.findall(r"([a-z]+):\d{4}\b", "\n".join(texts)))
    assert hosts == {"alertmanager", "prometheus", "redis"}
    scrape = yaml.safe_load(texts[0])["scrape_configs"][0]["dns_sd_configs"][0]
    assert scrape["names"] == ["gaugewatch"]
    assert {*hosts, *scrape["names"]} <= compose["services"].keys()


def test_secrets_are_kept_out_of_version_control(compose: dict[str, Any]) -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    files = {Path(secret["file"]).name for secret in compose["secrets"].values()}
    assert files == {"gaugewatch.key", "grafana.key"}
    assert files <= set(ignored)
