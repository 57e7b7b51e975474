import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from service.errors import TrainingFailed
from service.scoring.series import read_series
from tests.trainer.small import DIMENSIONS, series, tiny
from trainer.config import preset
from trainer.fit import Fitted, Progress, fit
from trainer.linear import clip

DATA = Path(os.environ.get("GAUGEWATCH_DATA", "../shared/data"))


def weights(fitted: Fitted) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in fitted.network.parameters()])


def relative_residual(fitted: Fitted) -> float:
    """Squared calibration error of the network over that of its PCA skip."""
    scaled = fitted.linear.scaling.scale(fitted.rows(1), 1)
    clipped = clip(scaled)
    x = torch.from_numpy(fitted.network_input(clipped))[None]
    with torch.no_grad():
        mean, _, _ = fitted.network.reconstruct(x, fitted.network.fresh(1))
    skip = fitted.linear.pca.reconstruct(clipped)
    held_out = fitted.splits[0].calibration
    left = (scaled - skip - fitted.residual_scale * mean[0].numpy())[held_out]
    return float(np.square(left).sum() / np.square((scaled - skip)[held_out]).sum())


@pytest.mark.slow
def test_trained_network_beats_its_untrained_self_and_the_linear_skip() -> None:
    config = tiny(hidden=24, dense=24, latent=4, lanes=16, tbptt_steps=25, epochs=8, epoch_steps=25)
    untrained = fit([series()], config.model_copy(update={"epochs": 0}))
    trained = fit([series()], config)
    first, best = trained.history[0], trained.history[trained.best_epoch - 1]
    assert best.validation_loss is not None
    assert first.validation_loss is not None
    assert best.validation_loss < first.validation_loss - 1.0
    assert relative_residual(trained) < 0.7 < relative_residual(untrained)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_machine_is_learned_beyond_its_pca() -> None:
    path = DATA / "SMD" / "machine-1-6.npz"
    if not path.exists():
        pytest.skip(f"real data is missing: {path} (set GAUGEWATCH_DATA)")
    fitted = fit([read_series(path, part="train")], preset("small", epochs=6))
    assert relative_residual(fitted) < 0.7


def test_same_seed_gives_identical_weights_and_another_does_not() -> None:
    one, same, other = (fit([series()], tiny(seed=seed)) for seed in (3, 3, 4))
    assert bool((weights(one) == weights(same)).all())
    assert not bool((weights(one) == weights(other)).all())
    assert [p.loss for p in one.history] == [p.loss for p in same.history]


def test_training_leaves_the_random_state_and_threads_of_the_caller_alone() -> None:
    torch.manual_seed(7)
    expected = torch.randn(3)
    torch.manual_seed(7)
    threads = torch.get_num_threads()
    fit([series()], tiny(epochs=1))
    assert bool((torch.randn(3) == expected).all())
    assert torch.get_num_threads() == threads


def test_zero_epochs_give_the_seeded_initial_weights() -> None:
    untrained = fit([series()], tiny(epochs=0, seed=3))
    again = fit([series()], tiny(epochs=0, seed=3))
    assert untrained.history == ()
    assert untrained.best_epoch == 0
    assert bool((weights(untrained) == weights(again)).all())


def test_calibration_rows_move_neither_weights_nor_constants() -> None:
    one = series()
    fitted = fit([one], tiny())
    values = one.values.copy()
    values[fitted.splits[0].calibration] += 100.0
    other = fit([replace(one, values=values)], tiny())
    assert bool((weights(fitted) == weights(other)).all())
    np.testing.assert_array_equal(fitted.linear.scaling.span, other.linear.scaling.span)
    np.testing.assert_array_equal(
        fitted.linear.leave_one_out.weights, other.linear.leave_one_out.weights
    )
    assert fitted.training_sha256 != other.training_sha256


def test_validation_rows_move_no_constants() -> None:
    one = series()
    fitted = fit([one], tiny(epochs=0))
    values = one.values.copy()
    values[fitted.splits[0].fit.stop :] = np.nan
    other = fit([replace(one, values=values)], tiny(epochs=0))
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


def test_loss_that_is_not_a_number_stops_the_training_and_says_where() -> None:
    with pytest.raises(TrainingFailed, match=r"in epoch 1, step \d+; try a smaller learning_rate"):
        fit([series()], tiny(learning_rate=1e25))


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
    fitted = fit([series()], tiny(epochs=0, is_linear_skip=False))
    clipped = clip(fitted.linear.scaling.scale(fitted.rows(1), 1))[fitted.splits[0].fit]
    x = fitted.network_input(clipped)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)


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
