import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from service.errors import TrainingFailed
from service.scoring.series import Series, read_series
from tests.trainer.small import DIMENSIONS, series, tiny
from trainer.calibrate import MIN_POINTS
from trainer.config import Config, Model, Preset, preset
from trainer.fit import Fitted, Progress, fit, points_needed
from trainer.lessons import lesson_of
from trainer.linear import LAGS, clip, recent
from trainer.models.gru_vae import GruVae
from trainer.windows import split

DATA = Path(os.environ.get("GAUGEWATCH_DATA", "../shared/data"))


NETWORKS: list[Model] = ["blind_spot", "gru_vae"]


def weights(fitted: Fitted) -> torch.Tensor:
    assert fitted.network is not None
    return torch.cat([p.detach().flatten() for p in fitted.network.parameters()])


def left_over(fitted: Fitted) -> float:
    """Absolute calibration error with the network over the one without it."""
    clipped = clip(fitted.linear.scaling.scale(fitted.rows(1), 1))
    with torch.no_grad():
        if isinstance(fitted.network, GruVae):
            x = torch.from_numpy(fitted.residual(clipped).astype(np.float32))[None]
            mean = fitted.network.reconstruct(x, fitted.network.fresh(1))[0][0]
        else:
            assert fitted.network is not None
            rows = fitted.linear.leave_one_out.standardise(clipped)
            windows = recent(rows, np.arange(LAGS, len(rows))).astype(np.float32)
            mean, _ = fitted.network(torch.from_numpy(windows))
    apart = (clipped - fitted.skip(clipped))[-len(mean) :]
    held_out = slice(fitted.splits[0].calibration.start - fitted.splits[0].calibration.stop, None)
    left = (apart - fitted.residual_scale * mean.numpy())[held_out]
    return float(np.abs(left).sum() / np.abs(apart[held_out]).sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "share"),
    [
        (tiny(hidden=32, batch=256, epochs=12, epoch_steps=25), 0.8),
        (
            tiny(
                "gru_vae",
                hidden=24,
                dense=24,
                latent=4,
                lanes=16,
                tbptt_steps=25,
                epochs=8,
                epoch_steps=25,
            ),
            0.8,
        ),
    ],
    ids=NETWORKS,
)
def test_trained_network_beats_its_untrained_self_and_the_linear_skip(
    config: Config, share: float
) -> None:
    untrained = fit([series()], config.model_copy(update={"epochs": 0}))
    trained = fit([series()], config)
    first, best = trained.history[0], trained.history[trained.best_epoch - 1]
    assert best.validation_loss is not None
    assert first.validation_loss is not None
    assert best.validation_loss < first.validation_loss - 0.1
    assert left_over(trained) < share < left_over(untrained)


@pytest.fixture
def real() -> Series:
    path = DATA / "SMD" / "machine-2-1.npz"
    if not path.exists():
        pytest.skip(f"real data is missing: {path} (set GAUGEWATCH_DATA)")
    return read_series(path, part="train")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_gru_vae_learns_of_a_real_machine_what_its_pca_leaves_over(real: Series) -> None:
    config = preset("small", model="gru_vae", epochs=6, members=("raw",))
    assert left_over(fit([real], config)) < 0.85


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_blind_spot_learns_of_a_real_machine_what_is_not_linear(real: Series) -> None:
    config = preset("small", epochs=6, members=("raw",))
    untrained = lesson_of(fit([real], config.model_copy(update={"epochs": 0})))
    trained = fit([real], config)
    best = trained.history[trained.best_epoch - 1].validation_loss
    assert untrained is not None
    assert best is not None
    with torch.no_grad():
        assert best < untrained.validation_loss() - 0.2


def test_linear_model_has_nothing_to_train() -> None:
    fitted = fit([series()], tiny("linear"))
    assert (fitted.network, fitted.history, fitted.best_epoch) == (None, (), 0)


def test_typical_windows_are_looked_for_only_by_the_member_that_needs_them() -> None:
    assert fit([series()], tiny("linear")).nearest is not None
    assert fit([series()], tiny("linear", members=("raw",))).nearest is None


@pytest.mark.parametrize("model", NETWORKS)
def test_same_seed_gives_identical_weights_and_another_does_not(model: Model) -> None:
    one, same, other = (fit([series()], tiny(model, seed=seed)) for seed in (3, 3, 4))
    assert bool((weights(one) == weights(same)).all())
    assert not bool((weights(one) == weights(other)).all())
    assert [p.loss for p in one.history] == [p.loss for p in same.history]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("model", "size"), [("gru_vae", "omnianomaly"), ("slmr", "paper")])
def test_same_seed_gives_identical_weights_at_the_size_of_the_paper(
    model: Model, size: Preset
) -> None:
    """Many threads, and many parts of one sum: what a small network never shows."""
    config = preset(size, model=model, epochs=1, epoch_steps=2, threads=2, members=("network",))
    one, same = (fit([series()], config) for _ in range(2))
    assert bool((weights(one) == weights(same)).all())


def test_training_forbids_algorithms_that_may_give_another_sum() -> None:
    seen: list[bool] = []

    def look(_: object) -> None:
        seen.append(torch.are_deterministic_algorithms_enabled())

    fit([series()], tiny(), on_progress=look)
    assert seen
    assert all(seen)
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_leaves_the_random_state_and_threads_of_the_caller_alone() -> None:
    torch.manual_seed(7)
    expected = torch.randn(3)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    fit([series()], tiny(epochs=1))
    assert bool((torch.randn(3) == expected).all())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("model", NETWORKS)
def test_zero_epochs_give_the_seeded_initial_weights(model: Model) -> None:
    untrained = fit([series()], tiny(model, epochs=0, seed=3))
    again = fit([series()], tiny(model, epochs=0, seed=3))
    assert untrained.history == ()
    assert untrained.best_epoch == 0
    assert bool((weights(untrained) == weights(again)).all())


@pytest.mark.parametrize("model", NETWORKS)
def test_calibration_rows_move_neither_weights_nor_constants(model: Model) -> None:
    one = series()
    fitted = fit([one], tiny(model))
    values = one.values.copy()
    values[fitted.splits[0].calibration] += 100.0
    other = fit([replace(one, values=values)], tiny(model))
    assert bool((weights(fitted) == weights(other)).all())
    np.testing.assert_array_equal(fitted.linear.scaling.span, other.linear.scaling.span)
    np.testing.assert_array_equal(
        fitted.linear.leave_one_out.weights, other.linear.leave_one_out.weights
    )
    assert fitted.nearest is not None
    assert other.nearest is not None
    np.testing.assert_array_equal(fitted.nearest.centroids, other.nearest.centroids)
    assert fitted.training_sha256 != other.training_sha256


@pytest.mark.parametrize("model", NETWORKS)
def test_validation_rows_move_no_constants(model: Model) -> None:
    one = series()
    fitted = fit([one], tiny(model, epochs=0))
    values = one.values.copy()
    values[fitted.splits[0].fit.stop :] = np.nan
    other = fit([replace(one, values=values)], tiny(model, epochs=0))
    np.testing.assert_array_equal(fitted.residual_scale, other.residual_scale)
    np.testing.assert_array_equal(fitted.linear.pca.basis, other.linear.pca.basis)


def test_best_weights_are_restored() -> None:
    fitted = fit([series()], tiny(epochs=6, learning_rate=0.5, patience=2))
    losses = [progress.validation_loss for progress in fitted.history]
    assert len(losses) <= fitted.best_epoch + 2
    if fitted.best_epoch:
        assert losses[fitted.best_epoch - 1] == min(loss for loss in losses if loss is not None)


def test_progress_tells_every_step_and_the_validation_loss_of_every_epoch() -> None:
    seen: list[Progress] = []
    fitted = fit([series()], tiny(), on_progress=seen.append)
    steps = [progress for progress in seen if progress.validation_loss is None]
    assert [progress.step for progress in steps] == list(range(1, 11))
    assert {progress.total for progress in seen} == {10}
    assert [p for p in seen if p.validation_loss is not None] == list(fitted.history)
    assert seen[-1].seconds_left == 0.0


@pytest.mark.parametrize("model", NETWORKS)
def test_loss_that_is_not_a_number_stops_the_training_and_says_where(model: Model) -> None:
    with pytest.raises(TrainingFailed, match=r"in epoch 1, step \d+; try a smaller learning_rate"):
        fit([series()], tiny(model, learning_rate=1e25))


def test_several_entities_share_one_network_and_keep_their_own_scaling() -> None:
    fitted = fit([series("alpha"), series("beta", count=900, level=1e12)], tiny())
    assert fitted.entities == ("alpha", "beta")
    assert fitted.linear.scaling.center.shape == (3, 6)
    assert fitted.linear.scaling.center[2].min() > 1e11
    assert len(fitted.splits) == 2
    scaled = [fitted.linear.scaling.scale(fitted.rows(index), index) for index in (1, 2)]
    for rows, parts in zip(scaled, fitted.splits, strict=True):
        assert rows[parts.fit].min() == pytest.approx(0.0, abs=1e-12)
        assert rows[parts.fit].max() == pytest.approx(1.0, abs=1e-12)


def test_missing_values_are_imputed() -> None:
    one = series()
    values = one.values.copy()
    values[100:130, 2] = np.nan
    values[:, 4] = np.nan
    fitted = fit([replace(one, values=values)], tiny(epochs=1))
    assert bool(np.isfinite(weights(fitted).numpy()).all())
    assert not np.isnan(fitted.rows(1)).any()


def test_without_skip_the_network_sees_the_standardised_values() -> None:
    fitted = fit([series()], tiny("gru_vae", epochs=0, is_linear_skip=False))
    clipped = clip(fitted.linear.scaling.scale(fitted.rows(1), 1))[fitted.splits[0].fit]
    x = fitted.residual(clipped)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("window_length", [11, 50, 200])
def test_so_many_points_are_needed_that_no_part_is_too_short(window_length: int) -> None:
    config = tiny("gru_vae", window_length=window_length)
    needed = points_needed(config)

    def is_enough(count: int) -> bool:
        try:
            part = split(count, config).calibration
        except TrainingFailed:
            return False
        return bool(part.stop - part.start >= MIN_POINTS)

    assert [is_enough(count) for count in range(needed)] == [False] * needed
    assert all(is_enough(count) for count in range(needed, needed + 500))


def test_a_series_that_is_too_short_is_named() -> None:
    with pytest.raises(TrainingFailed, match=r"beta: .*40 rows is too short"):
        fit([series("alpha"), series("beta", count=40)], tiny())


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(TrainingFailed, match="at least one series"):
        fit([], tiny())


def test_two_series_of_one_entity_are_refused() -> None:
    with pytest.raises(TrainingFailed, match="every entity once"):
        fit([series(), series()], tiny())


def test_entities_with_other_dimensions_are_refused() -> None:
    other = replace(series("beta"), dimensions=(*DIMENSIONS[:-1], "z"))
    with pytest.raises(TrainingFailed, match="the same dimensions everywhere"):
        fit([series(), other], tiny())


def test_infinite_value_is_named() -> None:
    one = series()
    values = one.values.copy()
    values[5, 2] = np.inf
    with pytest.raises(TrainingFailed, match="got inf in row 5 of alpha, dimension c"):
        fit([replace(one, values=values)], tiny())
