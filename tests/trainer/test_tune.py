import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import optuna
import pytest

import trainer
from service.errors import SettingInvalid
from tests.trainer.small import TINY, series, tiny
from tests.trainer.test_cli import Run, is_one_red_line, run as run
from trainer.config import CONFIGS, Model
from trainer.objectives import exam_of, expect_loss
from trainer.recipe import Source, configured, of_file
from trainer.search_space import (
    SAME_LOSS,
    Between,
    OneOf,
    incomparable,
    space_of_file,
    space_of_pairs,
    usual_space,
)
from trainer.training import Progress
from trainer.tuning import Reporting

TUNE = ("--period-seconds", "60", "--quiet", "--json")
SET = ("--set", "epochs=3", "--set", "epoch_steps=3", "--set", "clusters=4")


def folder(path: Path) -> Path:
    data = path / "data"
    data.mkdir()
    np.savez(data / "alpha.npz", allow_pickle=False, train=series("alpha", count=2400).values)
    return data


# ---- what is searched


@pytest.mark.parametrize("model", TINY)
def test_choices_and_ends_of_every_usual_range_are_allowed(model: Model) -> None:
    base = tiny(model)
    space = usual_space(base)
    assert space
    for knob, own in space.items():
        values = own.choices if isinstance(own, OneOf) else (own.low, own.high)
        assert len(values) > 1
        for value in values:
            chosen = int(value) if isinstance(own, Between) and own.is_whole else value
            config = configured(Source({knob: chosen}), like=Source(base.model_dump()))
            assert config.model_dump()[knob] == chosen


def test_ranges_and_choices_are_read() -> None:
    space = space_of_pairs(
        ["hidden=16..128:log", "learning_rate=1e-4..1e-2", "cell=gru,lstm"], "gru_vae"
    )
    assert space == {
        "hidden": Between(16, 128, is_log=True, is_whole=True),
        "learning_rate": Between(1e-4, 1e-2),
        "cell": OneOf(("gru", "lstm")),
    }


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("hiddem=1..2", "no knob 'hiddem'"),
        ("hidden=9..3", "low < high"),
        ("hidden=0..3:log", "0 < low"),
        ("hidden=0..3", "not within"),
        ("hidden=3", "expected low..high"),
        ("l2=e..1", "expected"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(pair: str, told: str) -> None:
    with pytest.raises(SettingInvalid, match=told):
        space_of_pairs([pair], "blind_spot")


def test_a_file_has_ranges_and_lists(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('hidden = "8..16"\nwindow_length = [6, 8]\n')
    assert space_of_file(file, "blind_spot") == {
        "hidden": Between(8, 16, is_whole=True),
        "window_length": OneOf((6, 8)),
    }
    file.write_text("hidden = [")
    with pytest.raises(SettingInvalid, match="is not TOML"):
        space_of_file(file, "blind_spot")
    with pytest.raises(SettingInvalid, match="cannot read"):
        space_of_file(tmp_path / "none.toml", "blind_spot")


@pytest.mark.parametrize(
    ("model", "pair"),
    [
        ("gru_vae", "kl_weight=0.1..1"),
        ("gru_vae", "is_linear_skip=true,false"),
        ("gru_vae", "window_length=16..64"),
        ("gru_vae", "pca_components=1..3"),
        ("gru_vae", "epoch_steps=10..50"),
        ("slmr", "likelihood=laplace,rmse"),
        ("slmr", "gamma=0.5..1"),
        ("rvae", "latent=2..8"),
    ],
)
def test_losses_cannot_be_compared_where_a_knob_makes_another_loss(model: Model, pair: str) -> None:
    space = space_of_pairs(["hidden=4..16", pair, "learning_rate=1e-4..1e-2"], model)
    assert incomparable(space, model) == [pair.partition("=")[0]]


def test_knobs_that_leave_the_loss_as_it_is_are_known() -> None:
    known = {knob for kind in CONFIGS.values() for knob in kind.model_fields}
    assert known >= SAME_LOSS
    models: list[Model] = ["blind_spot", "gru_vae", "slmr", "mad_gan", "mtad_gat", "usad"]
    assert [incomparable(usual_space(tiny(model)), model) for model in models] == [[]] * 6


# ---- what is made better


def test_breaks_are_put_into_rows_that_no_weight_sees() -> None:
    whole = series("alpha", count=2400)
    exam = exam_of([whole], "injected", seed=0, period_seconds=60.0)
    (fit,), (broken,) = exam.fit, exam.broken
    assert broken.label is not None
    assert 0.05 < broken.label.mean() < 0.25
    assert fit.timestamps_ms[-1] < broken.timestamps_ms[0]
    end = whole.values[len(fit.values) :]
    np.testing.assert_array_equal(broken.values[~broken.label], end[~broken.label])
    assert (broken.values != end).any()
    again = exam_of([whole], "injected", seed=0, period_seconds=60.0)
    np.testing.assert_array_equal(again.broken[0].values, broken.values)


def test_a_model_without_a_training_has_no_loss() -> None:
    with pytest.raises(SettingInvalid, match="linear"):
        expect_loss(tiny("linear"))


# ---- trials


def progress(epoch: int, held_out: float | None) -> Progress:
    return Progress(epoch, 3, epoch, 3, 1.0, held_out, 0.0, 1e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trial_behind_the_others_is_pruned(sign: int) -> None:
    study = optuna.create_study(
        pruner=optuna.pruners.MedianPruner(1, 0), direction="minimize" if sign > 0 else "maximize"
    )
    told: list[str] = []
    first, second = study.ask(), study.ask()
    watch = Reporting(first, told.append, sign=sign)
    for epoch in (1, 2):
        watch(progress(epoch, None))
        watch(progress(epoch, 1.0))
    study.tell(first, 1.0)
    behind = Reporting(second, told.append, sign=sign)
    with pytest.raises(optuna.TrialPruned):
        behind(progress(1, 1.5))
    assert told[-1] == "epoch 1/3, held out 1.5000"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_goes_on_where_it_stopped_and_its_best_can_be_fitted(
    run: Run, tmp_path: Path
) -> None:
    words = ["tune", "--data", folder(tmp_path), "--output", tmp_path / "search", *TUNE, *SET]
    words += ["--objective", "loss", "--search", "hidden=4..16:log", "--workers", "1"]
    ran = run(*words, "--trials", "2")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)["trials"]) == 2
    ran = run(*words, "--trials", "3", "--workers", "1", "--no-prune")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    values = [float(one["value"]) for one in told["trials"]]
    assert (len(values), values) == (3, sorted(values))
    best = of_file(Path(told["best"]))
    config = configured(Source({}), file=best)
    assert str(config.model_dump()["hidden"]) == told["trials"][0]["hidden"]
    assert "seed 0" in Path(told["best"]).read_text()
    assert (tmp_path / "search" / "trials.png").stat().st_size > 1000
    assert len((tmp_path / "search" / "trials.csv").read_text().splitlines()) == 4
    ran = run(*words, "--trials", "3", "--seed", "1")
    assert (ran.code, is_one_red_line(ran)) == (2, True)
    assert "another --output" in ran.err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_usual_search_asks_for_breaks_and_needs_no_label(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "search"
    ran = run(
        *("tune", "--data", folder(tmp_path), "--output", output, *TUNE, "--model", "linear"),
        *("--trials", "2", "--workers", "2"),
    )
    assert ran.code == 0, ran.err
    first, second = json.loads(ran.out)["trials"]
    assert 0.05 < float(second["value"]) <= float(first["value"]) <= 1
    told = tomllib.loads((output / "best.toml").read_text())
    assert (told["model"], told["preset"]) == ("linear", "small")


@pytest.mark.parametrize(("missing", "code"), [("optuna", 2), ("trainer.canvas", None)])
def test_only_a_missing_optuna_is_a_missing_extra(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    code: int | None,
) -> None:
    for name in ("tuning", "trials"):
        monkeypatch.delitem(sys.modules, f"trainer.{name}", raising=False)
        monkeypatch.delattr(trainer, name, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    words = ["tune", "--data", folder(tmp_path), "--output", tmp_path / "search", *TUNE]
    if code is None:
        with pytest.raises(ModuleNotFoundError, match="canvas"):
            run(*words)
        return
    ran = run(*words)
    assert (ran.code, is_one_red_line(ran)) == (code, True)
    assert "gaugewatch[tune]" in ran.err
