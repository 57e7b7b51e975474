"""The demo ends by itself with one honest line: with a real bundle, and where nothing is found."""

import json
import shutil
from pathlib import Path

import pytest

from service.scoring.bundle import load_bundle, write_manifest
from tests.cli.commands import Finished, started
from tests.system.real import shipped_bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KEYS = [
    "points",
    "scored",
    "incidents",
    "faults_injected",
    "faults_found",
    "false_incidents",
    "median_delay_points",
    "culprit_hit_rate",
    "latency_ms_p50",
    "latency_ms_p99",
]
POINTS = 8 * 720


def last_line(ended: Finished) -> dict[str, float | None]:
    """The only line on stdout, if it is as the README says."""
    assert "Traceback" not in ended.err, ended.err
    [line] = ended.out.splitlines()
    found: dict[str, float | None] = json.loads(line)
    assert list(found) == KEYS
    return found


def altered_bundle(root: Path, *, is_strange: bool = False, memory_horizon: int = 0) -> None:
    """The shipped bundle, but of other machines, or with a longer memory."""
    source = load_bundle(shipped_bundle("simulated-fleet"))
    draft = root / "simulated-fleet" / "draft"
    shutil.copytree(source.folder, draft)
    manifest = source.manifest
    strangers = tuple(f"stranger-{entity}" for entity in manifest.entities)
    changes = {
        "entities": strangers if is_strange else manifest.entities,
        "memory_horizon": memory_horizon or manifest.memory_horizon,
    }
    manifest = write_manifest(draft, manifest.model_copy(update=changes))
    draft.rename(draft.parent / manifest.version)
    (draft.parent / "current").write_text(manifest.version + "\n")


def test_the_demo_finds_faults_and_says_so_in_its_last_line(tmp_path: Path) -> None:
    """On the shipped bundles, wherever it is started, whatever is set for another service."""
    assert shipped_bundle("simulated-fleet").is_dir()
    others = {"redis_url": f"unix://{tmp_path}/no.sock", "api_keys": "x" * 16, "typo": 1}
    ended = started("demo", "--no-wait", seconds=150, folder=tmp_path, **others)
    found = last_line(ended)
    assert ended.code == 0
    assert found["points"] == POINTS
    assert 0 < (found["scored"] or 0) <= POINTS
    assert found["faults_injected"] == 24
    assert 0 < (found["faults_found"] or 0) <= 24
    assert 0 < (found["culprit_hit_rate"] or 0) <= 1
    assert 0 < (found["latency_ms_p50"] or 0) <= (found["latency_ms_p99"] or 0)
    assert "opened" in ended.err


def test_a_demo_whose_incidents_nobody_is_told_of_fails(tmp_path: Path) -> None:
    """By a bundle that knows none of these machines: points are scored, alerts are not sent."""
    altered_bundle(tmp_path, is_strange=True)
    ended = started("demo", "--no-wait", "--bundles", str(tmp_path), seconds=150)
    found = last_line(ended)
    assert ended.code == 1
    assert (found["points"], found["incidents"], found["faults_found"]) == (POINTS, 0, 0)
    assert found["median_delay_points"] is found["culprit_hit_rate"] is None
    assert (found["scored"] or 0) > 0


def test_a_demo_that_scores_nothing_fails(tmp_path: Path) -> None:
    """By a bundle that warms up for longer than the demo lasts; a lost dimension is told still."""
    altered_bundle(tmp_path, memory_horizon=2_000)
    ended = started("demo", "--no-wait", "--bundles", str(tmp_path), seconds=150)
    found = last_line(ended)
    assert ended.code == 1
    assert (found["points"], found["scored"]) == (POINTS, 0)


def test_a_demo_without_bundles_says_why_its_service_did_not_start(tmp_path: Path) -> None:
    ended = started("demo", "--no-wait", "--bundles", str(tmp_path), seconds=60)
    assert (ended.code, ended.out) == (1, "")
    assert "Traceback" not in ended.err
    assert str(tmp_path) in ended.err
