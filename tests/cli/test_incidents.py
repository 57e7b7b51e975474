"""`gaugewatch incidents` against a real server."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from service.cli import app, incidents as module
from service.stream.messages import Point
from tests.stream.test_swap import points_like
from tests.web.serving import HOME, serving, settings_for


@pytest.fixture
def url(bundle_folder: Path, tmp_path: Path) -> Iterator[str]:
    with serving(settings_for(bundle_folder, tmp_path / "data")) as port:
        yield f"{HOME}:{port}"


def post(url: str, points: list[Point]) -> None:
    body = {
        "points": [
            {"entity": one.entity, "timestamp_ms": one.timestamp_ms, "values": one.values}
            for one in points
        ]
    }
    httpx2.post(f"{url}/v1/points", json=body, timeout=30).raise_for_status()


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["incidents", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_all_incidents_are_listed_page_by_page(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    for entity in ("alpha", "beta"):
        post(url, points_like(entity, 60, fault_from=55))
    found = json.loads(told("--url", url, "--json"))["incidents"]
    assert {one["entity"] for one in found} == {"alpha", "beta"}
    own = found[0]["incident"]
    note = f"{url}/v1/incidents/{own}/note"
    httpx2.put(note, json={"label": "true"}, timeout=30).raise_for_status()
    (labelled,) = json.loads(told("--url", url, "--label", "true", "--json"))["incidents"]
    assert labelled["incident"] == own
    assert json.loads(told("--url", url, "--entity", "gamma", "--json"))["incidents"] == []
    table = told("--url", url)
    assert found[0]["entity"] in table
    assert "true" in table
    assert "open" in table
