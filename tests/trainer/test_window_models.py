"""What every model that looks at a whole window at every point must do, each of them in turn."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from service.errors import TrainingFailed
from service.scoring.series import Series
from tests.trainer.small import WINDOWED, series, tiny
from trainer.config import Model, preset
from trainer.configs_window import WINDOW_CONFIGS, WindowConfig
from trainer.fit import Fitted, fit
from trainer.graphs import state_shapes, step_graph, window_graph, window_outputs
from trainer.lessons import lesson_of
from trainer.measures.ranking import average_precision
from trainer.models.dagmm import Dagmm
from trainer.models.window_lesson import WindowLesson, WindowRows
from trainer.models.window_network import WindowNetwork
from trainer.models.window_table import NETWORKS, window_network

SKIPPING = [
    m for m in WINDOWED if WINDOW_CONFIGS[m].model_fields["is_linear_skip"].annotation is bool
]
BROKEN = slice(200, 260)  # of the calibration rows: dimension 1 as it is at another time
# what each needs to see it
LEARNING: dict[Model, dict[str, object]] = {
    "dagmm": {
        "layers": (16, 8),
        "batch": 128,
        "epochs": 8,
        "epoch_steps": 50,
        "learning_rate": 1e-2,
    },
    "lstm_vae": {"hidden": 16, "epochs": 6, "epoch_steps": 50, "learning_rate": 1e-2},
    "mad_gan": {"hidden": 16, "epochs": 4, "epoch_steps": 100, "learning_rate": 1e-2},
    "mtad_gat": {"hidden": 16, "epochs": 4, "epoch_steps": 40, "learning_rate": 1e-2},
    "rvae": {
        "hidden": 16,
        "dense": 16,
        "epochs": 8,
        "epoch_steps": 50,
        "learning_rate": 1e-2,
        "kl_weight": 1e-4,
    },
    "usad": {"latent": 16, "epochs": 6, "epoch_steps": 100, "learning_rate": 1e-2},
    "vae_lstm": {
        "window_length": 32,
        "windows": 2,
        "hidden": 64,
        "lstm_hidden": 16,
        "epochs": 8,
        "epoch_steps": 50,
        "learning_rate": 1e-2,
    },
}


def network(model: Model, *, dimensions: int = 6, **changes: object) -> WindowNetwork:
    torch.manual_seed(0)
    config = tiny(model, **changes)
    assert isinstance(config, WindowConfig)
    return window_network(dimensions, config)


def windows(model: Model, count: int, *, dimensions: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, tiny(model).window_length, dimensions, generator=generator)


def few(dimensions: int) -> Series:
    """The first dimensions of the small series."""
    whole = series()
    named = whole.dimensions[:dimensions]
    return replace(whole, dimensions=named, values=whole.values[:, :dimensions])


def test_every_model_has_a_network_and_a_test_that_it_learns() -> None:
    assert set(NETWORKS) == set(WINDOW_CONFIGS.values())
    assert set(WINDOWED) == set(LEARNING) == set(WINDOW_CONFIGS)


@pytest.mark.parametrize("model", ["gru_vae", "lstm_vae", "mad_gan", "rvae", "vae_lstm"])
def test_window_graph_tells_the_latent_of_a_model_that_has_one(model: Model) -> None:
    fitted = fit([series()], tiny(model, epochs=0))
    names, entity = window_outputs(fitted), torch.ones(4, dtype=torch.int64)
    with torch.no_grad():
        windows = torch.randn(4, fitted.config.window_length, len(fitted.dimensions))
        said = window_graph(fitted)(windows, entity)
    assert names[3:] == ["latent"]
    assert said[3].shape[0] == 4
    assert float(said[3].std(dim=0).min()) > 0


@pytest.mark.parametrize("model", WINDOWED)
def test_every_parameter_receives_gradient(model: Model) -> None:
    learning, x = network(model).train(), windows(model, 64)
    for step in range(1, 9):  # all turns, where several losses take turns
        loss = learning.loss(x, step=step)
        loss.value.backward(inputs=list(loss.moved) or None)  # type: ignore[no-untyped-call]
    learned = [(name, p) for name, p in learning.named_parameters() if p.requires_grad]
    assert [name for name, p in learned if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("model", WINDOWED)
def test_validation_loss_has_no_chance(model: Model) -> None:
    lesson = lesson_of(fit([series()], tiny(model, epochs=0)))
    assert lesson is not None
    with torch.no_grad():
        first = lesson.validation_loss()
        assert lesson.validation_loss() == first


@pytest.mark.parametrize("model", WINDOWED)
def test_same_seed_gives_the_same_weights(model: Model) -> None:
    one, other = (fit([series()], tiny(model, epochs=1)).network for _ in range(2))
    assert one is not None
    assert other is not None
    again = other.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.state_dict().items())


@pytest.mark.parametrize("model", WINDOWED)
@pytest.mark.parametrize("dimensions", [1, 2])
def test_one_or_two_dimensions_are_enough(model: Model, dimensions: int) -> None:
    check_graphs(fit([few(dimensions)], tiny(model, epochs=1)))


@pytest.mark.parametrize("model", SKIPPING)
def test_network_may_model_what_a_pca_leaves_over(model: Model) -> None:
    fitted = fit([series()], tiny(model, epochs=1, is_linear_skip=True))
    rows = np.random.default_rng(0).uniform(size=(5, 6))
    np.testing.assert_allclose(fitted.skip(rows), fitted.linear.pca.reconstruct(rows))
    assert not np.allclose(fitted.residual_scale, 1)
    check_graphs(fitted)
    without = fit([series()], tiny(model, epochs=0))
    assert np.array_equal(without.residual_scale, np.ones(6))
    assert not without.skip(rows).any()


def check_graphs(fitted: Fitted) -> None:
    """Step graph and window graph say the same, and name what they say."""
    dimensions, length = len(fitted.dimensions), fitted.config.window_length
    window = torch.randn(4, length, dimensions)
    entity = torch.ones(4, dtype=torch.int64)
    with torch.no_grad():
        said = window_graph(fitted)(window, entity)
        lags = torch.zeros(4, *state_shapes(fitted)["lags"])
        graph, stepped = step_graph(fitted), []
        for row in window.unbind(1):
            *stepped, lags = graph(row, entity, lags)
    assert len(said) == len(window_outputs(fitted))
    assert said[0].shape == (4, len(fitted.config.members), dimensions)
    assert bool((said[0] >= 0).all())
    assert bool((said[2] > 0).all())
    for part, other in zip(said[:3], stepped, strict=True):
        torch.testing.assert_close(part, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", WINDOWED)
def test_error_grows_with_a_value_far_beyond_what_may_enter(model: Model) -> None:
    seeing, x = network(model).eval(), windows(model, 3)
    seeing.settle([windows(model, 64)])
    value = x[:, -1].clone()
    value[:, 2] = 1e6
    with torch.no_grad():
        calm, wild = seeing.judge(x, x[:, -1]), seeing.judge(x, value)
    assert bool((wild.error[:, 2] > 1e3 + calm.error[:, 2]).all())
    assert bool(wild.error.isfinite().all())


class Seen(NamedTuple):
    """How well the network's mean error finds the broken stretch."""

    precision: float
    share: float  # of broken points: what a random score finds


def seen(fitted: Fitted) -> Seen:
    rows = fitted.rows(1)[fitted.splits[0].calibration].copy()
    rows[BROKEN, 1] = np.roll(rows[:, 1], 14)[BROKEN]
    is_broken = np.zeros(len(rows), np.bool_)
    is_broken[BROKEN] = True
    centred = (rows - fitted.linear.scaling.center[1]).astype(np.float32)
    length, place = fitted.config.window_length, fitted.config.members.index("network")
    window = np.lib.stride_tricks.sliding_window_view(centred, length, axis=0)
    with torch.no_grad():
        x = torch.from_numpy(window.transpose(0, 2, 1).copy())
        error = window_graph(fitted)(x, torch.ones(len(x), dtype=torch.int64))[0][:, place]
    label = is_broken[length - 1 :]
    found = average_precision(label, error.mean(1).double().numpy())
    return Seen(found, float(label.mean()))


@pytest.mark.slow
@pytest.mark.parametrize("model", WINDOWED)
def test_trained_network_sees_a_broken_relation(model: Model) -> None:
    config = tiny(model, **LEARNING[model])
    trained = fit([series()], config)
    untrained = seen(fit([series()], config.model_copy(update={"epochs": 0})))
    first, last = trained.history[0], trained.history[trained.best_epoch - 1]
    assert trained.best_epoch > 0
    assert first.validation_loss is not None
    assert last.validation_loss is not None
    assert last.validation_loss <= first.validation_loss
    found = seen(trained)
    assert found.precision > 1.5 * untrained.precision
    assert found.precision > 2 * found.share


def test_untrained_mixture_is_that_of_the_rows_to_fit() -> None:
    fitted = fit([series()], tiny("dagmm", epochs=0, is_pointwise=False))
    network, lesson = fitted.network, lesson_of(fitted)
    assert isinstance(network, Dagmm)
    assert isinstance(lesson, WindowLesson)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = next(lesson.held_out.spread(500))
    with torch.no_grad():
        assert np.isfinite(lesson.validation_loss())  # settles it, too
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, before[name], msg=name)
        error = network.judge(x, x[:, -1]).error.sum(1)
    assert bool(error.isfinite().all())
    assert float(error.min()) < 0.1 * float(error.max())  # it tells points apart


def test_windows_stay_inside_their_pieces() -> None:
    numbers = [
        (start + np.arange(n)[:, None] / 100).astype(np.float32)
        for start, n in ((1, 20), (2, 8), (3, 5))
    ]
    found = WindowRows(numbers, length=8)
    assert len(found) == 13 + 1
    x = found.at(torch.arange(14))
    assert bool((x[:, 0].floor() == x[:, -1].floor()).all())
    torch.testing.assert_close(x[:, 1:] - x[:, :-1], torch.full((14, 7, 1), 0.01))
    assert [len(batch) for batch in found.spread(5)] == [5]
    assert float(next(found.spread(5))[-1, 0, 0]) == 2.0


def test_as_many_windows_are_held_out_as_rows_and_none_reaches_into_those_to_fit() -> None:
    fitted = fit([series()], tiny("lstm_vae", epochs=0))
    lesson, part = lesson_of(fitted), fitted.splits[0]
    assert isinstance(lesson, WindowLesson)
    (held_out,) = lesson.held_out.spread(1000)
    assert len(held_out) == part.validation.stop - part.validation.start
    scaled = fitted.linear.scaling.scale(fitted.rows(1), 1).astype(np.float32)
    first = part.validation.start - (fitted.config.window_length - 1)
    assert first >= part.fit.stop
    np.testing.assert_array_equal(held_out[0, 0], scaled[first])


def test_pieces_without_any_window_are_refused() -> None:
    with pytest.raises(TrainingFailed, match="expected 9 rows without a break"):
        WindowRows([np.zeros((8, 1), np.float32)], length=9)


@pytest.mark.parametrize("model", WINDOWED)
def test_presets_build_a_network(model: Model) -> None:
    for name in ("small", "base", "paper"):
        config = preset(name, model=model)
        assert isinstance(config, WindowConfig)
        assert sum(part.numel() for part in window_network(6, config).parameters()) > 0
