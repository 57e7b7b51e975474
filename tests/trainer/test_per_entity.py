import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from service.scoring.bundle import load_bundle
from tests.trainer.small import series, tiny
from trainer.attended import Comforts
from trainer.datasets import Halves
from trainer.finished import MARKER
from trainer.one_fit import OneFit
from trainer.per_entity import fit_side_by_side
from trainer.run import Order

ENTITIES = ("alpha", "beta", "gamma")


def one_fit(output: Path, entity: str, *, is_resumed: bool = False, **knobs: object) -> OneFit:
    config = tiny("blind_spot", members=("network",), **knobs)
    comforts = Comforts(is_resumed=is_resumed)
    halves = Halves([series(entity, count=700)], [])
    order = Order(config, f"m-{entity}", output, 60.0)
    return OneFit(order, halves, comforts, has_report=False)


def versions(output: Path, count: int = len(ENTITIES)) -> dict[str, str]:
    names = ENTITIES[:count]
    return {one: load_bundle(output / f"m-{one}").manifest.version for one in names}


def quietly(fits: list[OneFit], *, workers: int = 2) -> dict[str, str]:
    return fit_side_by_side(fits, workers=workers, ray=None, is_quiet=True)[1]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_entities_are_fitted_side_by_side_as_one_by_one(tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    broken = one_fit(together, "beta")
    broken.halves.train[0].values[5, 1] = np.inf
    errors = quietly([one_fit(together, "alpha"), broken, one_fit(together, "gamma")])
    assert list(errors) == ["m-beta"]  # and it stopped no other
    assert "expected finite values, got inf in row 5 of beta" in errors["m-beta"]
    before = {path: path.stat().st_mtime_ns for path in together.glob(f"*/{MARKER}")}
    assert quietly([one_fit(together, entity, is_resumed=True) for entity in ENTITIES]) == {}
    after = {path: path.stat().st_mtime_ns for path in together.glob(f"*/{MARKER}")}
    assert before.items() < after.items()
    one_fit(alone, "gamma")(lambda detail: None)
    assert versions(together)["gamma"] == load_bundle(alone / "m-gamma").manifest.version


@pytest.mark.slow
def test_only_the_same_knobs_and_data_are_finished(tmp_path: Path) -> None:
    told: list[str] = []
    made = one_fit(tmp_path, "alpha")
    assert made.finished() is None
    made(told.append)
    assert (told[0], "export, calibration" in told) == ("training", True)
    assert made.finished() is not None
    assert one_fit(tmp_path, "alpha", seed=1).finished() is None
    other = one_fit(tmp_path, "alpha")
    other.halves.train[0].values[0, 0] += 1e-9
    assert other.finished() is None
    graph = load_bundle(made.folder).folder / "step.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    assert made.finished() is None
    (made.folder / MARKER).write_text("{}")
    assert made.finished() is None


COMMAND = ("--period-seconds", "60", "--epochs", "15", "--per-entity", "--no-report", "--quiet")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_run_of_a_folder_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data, output, whole = tmp_path / "data", tmp_path / "out", tmp_path / "whole"
    data.mkdir()
    for entity in ENTITIES[:2]:
        np.savez(data / f"{entity}.npz", allow_pickle=False, train=series(entity).values)
    words = [sys.executable, "-m", "trainer.cli", "fit", "--data", str(data), "--name", "m"]
    words += [*COMMAND, "--set", "members=network"]
    words += ["--set", "epoch_steps=5", "--checkpoint-every", "1", "--workers", "1"]
    words += ["--output", str(output)]
    killed = subprocess.Popen(words)
    while not (output / "m-alpha" / MARKER).exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    assert killed.wait() < 0
    first = (output / "m-alpha" / MARKER).stat().st_mtime_ns
    assert not (output / "m-beta" / MARKER).exists()
    ended = subprocess.run([*words, "--resume", "--json"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)["bundles"]) == 2
    assert (output / "m-alpha" / MARKER).stat().st_mtime_ns == first
    subprocess.run([*words[:-1], str(whole)], check=True)
    assert versions(output, 2) == versions(whole, 2)
    (output / "m-beta" / MARKER).unlink()
    (output / "m-beta" / "checkpoints" / "last.npz").write_bytes(b"no array")
    failed = subprocess.run([*words, "--resume", "--json"], capture_output=True, text=True)
    assert failed.returncode == 1
    assert "1 of 2 entities failed: m-beta: " in failed.stderr
    assert len(json.loads(failed.stdout)["bundles"]) == 1
