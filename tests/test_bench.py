"""The benches run to their end and say what they promise; how fast is not a test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks import convolutions, every_model, shadow, speed
from benchmarks.conv_graphs import CONV, OURS, both_graphs
from benchmarks.sheet import figure
from benchmarks.step_graphs import flops

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


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "bench", [*speed.BENCHES, *speed.BY_THEMSELVES[:2]], ids=lambda bench: bench.path.stem
)
def test_a_bench_runs_to_its_end_and_shows_what_it_kept(
    bench: speed.Bench[Any], bundle_folder: Path, tmp_path: Path
) -> None:
    name = bench.path.stem
    words = [f"benchmarks.{name}", "--quick", "--output", str(tmp_path / bench.path.name)]
    words += [] if name in ("memory", "steps", "training") else ["--bundles", str(bundle_folder)]
    words += ["--pictures", str(tmp_path)] if name == "latency" else []
    said = run(*words)
    assert "GEMM" in said
    assert "PING" in said
    assert "echo" in said
    blocks = dict(bench.blocks(tmp_path))
    assert len(blocks) > 1
    assert all(text.count("\n|") > 1 for key, text in blocks.items() if "machine-" not in key)
    assert "persistence" in " ".join(blocks.values())
    page = (ROOT / speed.PAGE).read_text("utf-8")
    assert [key for key in blocks if f"<!-- figures:{key} -->" not in page] == []
    if name == "latency":
        assert all((tmp_path / f"{one}.png").is_file() for one in speed.PICTURES)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_trip_of_a_model_ends_with_equal_verdicts_and_is_not_made_again(tmp_path: Path) -> None:
    data = Path(os.environ.get("GAUGEWATCH_DATA") or ROOT.parent / "shared" / "data")
    if not (data / "NAB").is_dir():
        pytest.skip(f"NO REAL DATA: {data / 'NAB'} is missing; set GAUGEWATCH_DATA")
    output, folder = tmp_path / "every_model.json", tmp_path / "trips"
    words = ("--data", str(data), "--output", str(output), "--folder", str(folder))
    one = ("--only", "linear", "--case", every_model.CASES[-1].name)
    assert "equal bit for bit" in run("benchmarks.every_model", *words, *one)
    [trip] = json.loads(output.read_text())["trips"]
    assert (trip["scored"], set(trip["differences"].values())) == (400, {0.0})
    assert trip["compared_causes"] > 0
    [answer] = folder.glob("linear-*.json")
    made = answer.stat().st_mtime_ns
    run("benchmarks.every_model", *words, *one)
    assert answer.stat().st_mtime_ns == made


def test_the_page_of_speed_shows_the_committed_results() -> None:
    page = (ROOT / speed.PAGE).read_text("utf-8")
    results, pictures = ROOT / "benchmarks/results", ROOT / "docs/pictures"
    assert speed.filled(page, results, pictures=pictures) == page, "run make bench"


def test_the_work_of_a_step_is_two_per_weight() -> None:
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape).astype(np.float32) for shape in ((3, 5), (7, 5))]
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "a"], ["y"]),
        onnx.helper.make_node("Gemm", ["y", "b"], ["z"], transB=1),
        onnx.helper.make_node("Tanh", ["z"], ["out"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "two products",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 3])],
        [onnx.helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, [None, 7])],
        [
            onnx.numpy_helper.from_array(weight, name)
            for weight, name in zip(weights, "ab", strict=True)
        ],
    )
    assert flops(onnx.helper.make_model(graph)) == 2 * (3 * 5 + 5 * 7)


@pytest.mark.parametrize(
    ("value", "text"), [(123456.7, "123,457"), (99.94, "99.9"), (1.2345, "1.23"), (0.0, "0")]
)
def test_a_figure_has_three_digits_that_count(value: float, text: str) -> None:
    assert figure(value) == text
