"""A training that was killed goes on to the very weights of one that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from service.errors import SettingInvalid, TrainingFailed
from service.scoring.bundle import load_bundle
from tests.trainer.small import series, tiny
from trainer.checkpoint import Keeper
from trainer.config import CONFIGS, Config, Model, NetworkConfig
from trainer.fit import fit
from trainer.fitted import Fitted
from trainer.memory import random_state, set_random

NETWORKS = [name for name, kind in CONFIGS.items() if issubclass(kind, NetworkConfig)]
SHORT = {"epochs": 4, "epoch_steps": 3}
CASES: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in NETWORKS),
    ("gru_vae", {"lesson": "windows", "batch": 400, "cell": "lstm"}),
    ("slmr", {"mask_mode": "separate", "validate_steps": 2}),
    ("blind_spot", {"optimiser": "adam", "anneal_factor": 0.5, "anneal_epochs": 1}),
]


class Killed(Exception):
    """What ends a training in the middle."""


def config_of(model: str, knobs: dict[str, object]) -> Config:
    name: Model = model  # type: ignore[assignment]
    return tiny(name, **{**SHORT, **knobs})


def keeper(folder: Path, *, every: int = 1, is_resumed: bool = False) -> Keeper:
    return Keeper(folder / "checkpoints", every, is_resumed)


def killed_after(epoch: int, config: Config, kept: Keeper) -> None:
    def kill(fitted: Fitted) -> None:
        if fitted.history[-1].epoch == epoch:
            raise Killed

    with pytest.raises(Killed):
        fit([series()], config, keeper=kept, on_epoch=kill)


def state(fitted: Fitted) -> dict[str, torch.Tensor]:
    assert fitted.network is not None
    return fitted.network.state_dict()


def is_same(one: Fitted, other: Fitted) -> bool:
    ours, theirs = state(one), state(other)
    return ours.keys() == theirs.keys() and all(bool((ours[k] == theirs[k]).all()) for k in ours)


def losses(fitted: Fitted) -> list[tuple[int, float, float | None]]:
    return [(one.step, one.loss, one.validation_loss) for one in fitted.history]


@pytest.mark.parametrize(("model", "knobs"), CASES)
def test_a_training_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, model: str, knobs: dict[str, object]
) -> None:
    config = config_of(model, knobs)
    undisturbed = fit([series()], config)
    killed_after(2, config, keeper(tmp_path))
    resumed = fit([series()], config, keeper=keeper(tmp_path, is_resumed=True))
    assert is_same(undisturbed, resumed)
    assert losses(undisturbed) == losses(resumed)
    assert undisturbed.best_epoch == resumed.best_epoch


@given(st.integers(0, 2**32), st.integers(0, 50))
def test_a_generator_goes_on_from_where_another_one_stood(seed: int, drawn: int) -> None:
    one, other = np.random.default_rng(seed), np.random.default_rng(0)
    one.random(drawn)
    set_random(other, random_state(one))
    np.testing.assert_array_equal(one.integers(1000, size=9), other.integers(1000, size=9))


def test_every_so_many_epochs_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    config = config_of("blind_spot", {"epochs": 5})
    fitted = fit([series()], config, keeper=keeper(tmp_path, every=2))
    names = sorted(file.name for file in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.npz", "epoch-0002.npz", "epoch-0004.npz", "last.npz"]
    with np.load(tmp_path / "checkpoints" / "best.npz", allow_pickle=False) as best:
        assert set(best.files) == set(state(fitted))
        assert all(bool((best[k] == v.numpy()).all()) for k, v in state(fitted).items())
    with np.load(tmp_path / "checkpoints" / "last.npz", allow_pickle=False) as last:
        assert json.loads(str(last["told"]))["epoch"] == 5


def test_a_training_that_had_ended_is_not_trained_again(tmp_path: Path) -> None:
    config = config_of("blind_spot", {"patience": 1, "epochs": 9, "learning_rate": 0.5})
    ended = fit([series()], config, keeper=keeper(tmp_path))
    epochs: list[int] = []
    again = fit(
        [series()],
        config,
        keeper=keeper(tmp_path, is_resumed=True),
        on_progress=lambda progress: epochs.append(progress.epoch),
    )
    assert epochs == []
    assert is_same(ended, again)


def test_without_a_checkpoint_a_resumed_training_begins(tmp_path: Path) -> None:
    config = config_of("blind_spot", {})
    begun = fit([series()], config, keeper=keeper(tmp_path, is_resumed=True))
    assert is_same(begun, fit([series()], config))


def test_a_new_training_removes_what_another_left(tmp_path: Path) -> None:
    fit([series()], config_of("blind_spot", {}), keeper=keeper(tmp_path))
    fit([series()], config_of("blind_spot", {"epochs": 2}), keeper=keeper(tmp_path))
    assert not (tmp_path / "checkpoints" / "epoch-0003.npz").exists()


def test_a_checkpoint_of_another_configuration_is_refused_and_says_why(tmp_path: Path) -> None:
    killed_after(1, config_of("blind_spot", {}), keeper(tmp_path))
    other = config_of("blind_spot", {"hidden": 9, "min_change": 0.5})
    told = r"hidden 8 \(now 9\), min_change by default \(now 0.5\)"
    with pytest.raises(SettingInvalid, match=told):
        fit([series()], other, keeper=keeper(tmp_path, is_resumed=True))


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    config = config_of("blind_spot", {})
    killed_after(1, config, keeper(tmp_path))
    other = replace(series(), values=series().values + 1.0)
    with pytest.raises(SettingInvalid, match="other data"):
        fit([other], config, keeper=keeper(tmp_path, is_resumed=True))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half an archive", b"nothing"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    config = config_of("blind_spot", {})
    killed_after(1, config, keeper(tmp_path))
    (tmp_path / "checkpoints" / "last.npz").write_bytes(content)
    with pytest.raises(TrainingFailed, match=r"last\.npz is no checkpoint"):
        fit([series()], config, keeper=keeper(tmp_path, is_resumed=True))


def command(data: Path, output: Path, *more: str) -> list[str]:
    made = ["--data", str(data), "--output", str(output), "--name", "one", "--period-seconds", "60"]
    size = ["--epochs", "40", "--set", "epoch_steps=20", "--set", "patience=0", "--set", "hidden=8"]
    quick = ["--set", "members=raw,network", "--no-report", "--quiet", "--checkpoint-every", "1"]
    return [sys.executable, "-m", "trainer.cli", "fit", *made, *size, *quick, *more]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_killed_process_goes_on_to_the_same_bundle(tmp_path: Path) -> None:
    data = tmp_path / "alpha.npz"
    np.savez(data, allow_pickle=False, train=series().values)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed, left_alone = tmp_path / "killed", tmp_path / "left alone"
    reached = killed / "one" / "checkpoints" / "epoch-0003.npz"
    with subprocess.Popen(command(data, killed), env=environment) as process:
        while not reached.exists():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "one" / "current").exists()
    subprocess.run(command(data, killed, "--resume"), env=environment, check=True)
    subprocess.run(command(data, left_alone), env=environment, check=True)
    versions = {load_bundle(folder / "one").manifest.digest for folder in (killed, left_alone)}
    assert len(versions) == 1
