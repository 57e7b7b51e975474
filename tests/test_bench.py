"""The benches run to their end and say what they promise; how fast is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import convolutions, shadow
from benchmarks.conv_graphs import CONV, OURS, both_graphs

ROOT = Path(__file__).parent.parent
PICTURE_BYTES = 120_000


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


def run(*words: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=115
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_bench_of_convolutions_compares_graphs_that_agree(tmp_path: Path) -> None:
    output = tmp_path / "convolutions.json"
    said = run("benchmarks.convolutions", "--quick", "--output", str(output))
    result = json.loads(output.read_text())
    assert {one["graph"] for one in result["rounds"]} == {OURS, CONV}
    assert [one["batch"] for one in result["summary"]] == list(convolutions.BATCHES)
    assert "ratio" in said


@pytest.mark.slow
def test_matrices_say_what_convolutions_say_for_any_number_of_points() -> None:
    rows = np.random.default_rng(0).normal(size=(2, 5, 6, 3, 38)).astype(np.float32)
    graphs = both_graphs()
    [ours] = graphs[OURS].session.run(None, {"halves": rows})
    [conv] = graphs[CONV].session.run(None, {"halves": rows.transpose(0, 2, 3, 4, 1).copy()})
    shaped = ours.reshape(rows.shape).transpose(0, 2, 3, 4, 1)
    np.testing.assert_allclose(shaped, conv, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_shadow_is_drawn_as_it_was_reported(tmp_path: Path) -> None:
    data = Path(os.environ.get("GAUGEWATCH_DATA") or ROOT.parent / "shared" / "data")
    if not (data / "SMD" / f"{shadow.MACHINE}.npz").is_file():
        pytest.skip(f"NO REAL DATA: {data / 'SMD'} is missing; set GAUGEWATCH_DATA")
    output, picture = tmp_path / "shadow.json", tmp_path / "shadow.png"
    words = ("--points", "400", "--output", str(output), "--picture", str(picture))
    run("benchmarks.shadow", "--data", str(data), *words)
    report = json.loads(output.read_text())["report"]
    assert report["points"] == 400
    assert 300 < report["compared"] < 400
    assert picture.is_file()


def test_the_pages_show_the_figures_of_the_committed_results() -> None:
    for bench in (convolutions, shadow):
        page = (ROOT / bench.PAGE).read_text("utf-8")
        found = json.loads((ROOT / bench.RESULTS).read_text("utf-8"))
        assert bench.filled(page, found) == page, f"run python -m {bench.__name__}"


def test_the_shadow_that_is_shown_is_of_shipped_versions() -> None:
    found = json.loads((ROOT / shadow.RESULTS).read_text("utf-8"))
    titles = {found["report"][who] for who in ("active", "shadow")}
    titles |= {f"{one['name']}/{one['version']}" for one in found["versions"]}
    assert [one for one in titles if not (ROOT / "exported_models" / one).is_dir()] == []
    assert (ROOT / shadow.PICTURE).stat().st_size < PICTURE_BYTES
