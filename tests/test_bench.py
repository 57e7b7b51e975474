"""`make bench` runs to its end and says what it promises; how fast is not a test's business."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def measured(
    bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any]]:
    output = tmp_path_factory.mktemp("bench") / "results" / "ingest.json"
    words = ["--quick", "--bundles", str(bundle_folder), "--output", str(output)]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, json.loads(output.read_text())


@pytest.mark.slow
def test_every_request_of_the_bench_is_answered(measured: tuple[str, dict[str, Any]]) -> None:
    rounds = measured[1]["rounds"]
    assert all(one["requests_answered"] == one["requests_sent"] > 0 for one in rounds)


@pytest.mark.slow
def test_the_bench_measures_both_services_in_every_mode(
    measured: tuple[str, dict[str, Any]],
) -> None:
    said, result = measured
    assert {(one["durability"], one["service"]) for one in result["rounds"]} == {
        (mode, service) for mode in ("always", "everysec") for service in ("gaugewatch", "naive")
    }
    for one in result["summary"]:
        assert one["gaugewatch"].keys() == one["naive"].keys()
        assert one["ratio"].keys() == {"points_per_second", "points_per_service_cpu_second"}
        assert f"persistence: {one['durability']}" in said
        assert one["load"] in said


@pytest.mark.slow
def test_the_bench_names_the_machine(measured: tuple[str, dict[str, Any]]) -> None:
    machine = measured[1]["machine"]
    assert machine.keys() > {"cpu", "cores", "python", "versions", "store", "bundle"}
    assert machine["bundle"].startswith("tiny/")
