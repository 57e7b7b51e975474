"""Every switch of the GRU-VAE: it learns, it exports, and nothing in it is dead."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn

from tests.trainer.small import series, tiny
from trainer.config import Config, GruVaeConfig, preset
from trainer.export import export
from trainer.fit import fit
from trainer.fitted import Fitted
from trainer.graphs import window_graph
from trainer.graphs.operators import cell_of, softplus
from trainer.lessons import lesson_of
from trainer.measures.ranking import average_precision
from trainer.models.gru_vae import GruVae
from trainer.models.gru_vae_lesson import kl_weight
from trainer.models.latents import StandardNormalPrior
from trainer.views import default_views

DIMENSIONS = 5
OTHERWISE: dict[str, dict[str, object]] = {
    "lstm": {"cell": "lstm"},
    "no_flow": {"flow_type": "none"},
    "free_q": {"is_connected_q": False},
    "free_p": {"is_connected_p": False},
    "softplus": {"scale_form": "softplus"},
    "all": {
        "cell": "lstm",
        "flow_type": "none",
        "is_connected_q": False,
        "is_connected_p": False,
        "scale_form": "softplus",
        "is_linear_skip": False,
        "is_standardised": False,
        "error": "deviance",
        "lesson": "windows",
    },
}


def network(**knobs: object) -> GruVae:
    torch.manual_seed(0)
    known = {"hidden": 6, "dense": 7, "latent": 3, "flows": 3, **knobs}
    return GruVae(DIMENSIONS, GruVaeConfig.model_validate(known))


def small_omnianomaly(**changes: object) -> Config:
    """The paper's recipe around a small network."""
    small = {"hidden": 16, "dense": 16, "latent": 2, "flows": 2, "window_length": 20}
    known = {**small, "epochs": 6, "epoch_steps": 40, "learning_rate": 1e-2, "threads": 1}
    return preset("omnianomaly", model="gru_vae", **{**known, **changes})


@pytest.mark.parametrize("name", OTHERWISE)
def test_gradient_reaches_every_parameter(name: str) -> None:
    model = network(**OTHERWISE[name])
    evidence, _ = model(torch.randn(8, 20, DIMENSIONS), model.fresh(8))
    evidence.loss().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert without == []


@pytest.mark.parametrize("name", OTHERWISE)
def test_reconstruction_in_two_chunks_equals_the_whole(name: str) -> None:
    model, x = network(**OTHERWISE[name]), torch.randn(4, 30, DIMENSIONS)
    with torch.no_grad():
        whole, _, last = model.reconstruct(x, model.fresh(4))
        first, _, between = model.reconstruct(x[:, :11], model.fresh(4))
        second, _, end = model.reconstruct(x[:, 11:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end.decoder, last.decoder)


def test_a_switch_off_leaves_no_weights_behind() -> None:
    names = {name.split(".")[0] for name, _ in network(**OTHERWISE["all"]).named_parameters()}
    assert not names & {"flows", "from_latent"}


def test_an_unconnected_posterior_forgets_what_was_drawn_before() -> None:
    model = network(is_connected_q=False, flow_type="none")
    x, state = torch.randn(1, 1, DIMENSIONS), model.fresh(1)
    other = state._replace(latent=state.latent + 5.0)
    with torch.no_grad():
        assert bool((model.reconstruct(x, state)[0] == model.reconstruct(x, other)[0]).all())
        connected = network()
        assert not bool(
            (connected.reconstruct(x, state)[0] == connected.reconstruct(x, other)[0]).all()
        )


def test_an_unconnected_prior_is_the_standard_normal_of_every_step() -> None:
    z = torch.randn(2, 4, 3)
    density, _ = StandardNormalPrior()(z, torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    torch.testing.assert_close(density, expected)


def test_a_softplus_scale_stays_between_its_epsilon_and_ten() -> None:
    model = network(scale_form="softplus", std_epsilon=1e-3)
    scale = model.scale_of(torch.tensor([-100.0, 0.0, 9.0, 100.0]))
    torch.testing.assert_close(scale, torch.tensor([1e-3, math.log(2) + 1e-3, 9.0011234, 10.0]))


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20))
@settings(max_examples=100)
def test_softplus_without_log_is_the_softplus(raw: list[float]) -> None:
    a = torch.tensor(raw)
    expected = nn.functional.softplus(a.double())
    torch.testing.assert_close(softplus(a).double(), expected, rtol=3e-7, atol=1e-30)


@pytest.mark.parametrize("layer", [nn.GRU(3, 4, batch_first=True), nn.LSTM(3, 4, batch_first=True)])
def test_a_cell_is_one_step_of_its_layer(layer: nn.GRU | nn.LSTM) -> None:
    x, carried = torch.randn(5, 7, 3), torch.zeros(5, 4 if isinstance(layer, nn.GRU) else 8)
    with torch.no_grad():
        expected, _ = layer(x)
        for x_t, hidden in zip(x.unbind(1), expected.unbind(1), strict=True):
            carried = cell_of(layer)(x_t, carried)
            torch.testing.assert_close(carried[:, :4], hidden)


@pytest.mark.parametrize(
    ("knobs", "weights"),
    [
        ({"beta_epochs": 4}, [0.025, 0.5, 1.0, 1.0]),
        ({"beta_epochs": 4, "kl_weight": 0.2}, [0.005, 0.1, 0.2, 0.2]),
        ({"beta_epochs": 0, "kl_weight": 3.0}, [3.0, 3.0, 3.0, 3.0]),
    ],
)
def test_the_kl_weight_grows_to_what_was_asked_for(
    knobs: dict[str, object], weights: list[float]
) -> None:
    config = GruVaeConfig.model_validate({"epoch_steps": 10, **knobs})
    assert [kl_weight(config, step) for step in (1, 20, 40, 90)] == pytest.approx(weights)


def test_the_paper_recipe_decides_by_its_own_deviance_alone() -> None:
    config = preset("omnianomaly", model="gru_vae")
    (view,) = default_views(config, dimensions=38, train_points=20_000)
    assert (view.member, view.role, view.power, view.aggregation) == (
        "network",
        "both",
        "abs",
        "sum",
    )


def test_the_paper_recipe_sees_scaled_values_from_the_zero_state() -> None:
    fitted = fit([series()], small_omnianomaly(epochs=0))
    clipped = fitted.linear.scaling.scale(fitted.rows(1), 1)[fitted.splits[0].fit]
    np.testing.assert_array_equal(fitted.residual(clipped), clipped)
    lesson = lesson_of(fitted)
    assert lesson is not None
    assert lesson.next_loss(1).value.isfinite()


def broken(fitted: Fitted) -> tuple[torch.Tensor, np.ndarray]:
    """Errors (time,) of a series whose first dimension stands still for a while, and where."""
    values, label = series(count=700).values.copy(), np.zeros(700, np.bool_)
    label[400:430] = True
    values[label, 0] = values[:, 0].max() + 0.4
    length = fitted.config.window_length
    centred = (values - fitted.linear.scaling.center[1]).astype(np.float32)
    windows = np.stack([centred[end - length : end] for end in range(length, 701)])
    with torch.no_grad():
        error, *_ = window_graph(fitted).eval()(
            torch.from_numpy(windows), torch.ones(len(windows), dtype=torch.int64)
        )
    member = fitted.config.members.index("network")
    return error[:, member].sum(1), label[length - 1 :]


@pytest.mark.slow
def test_the_paper_recipe_learns_what_its_untrained_self_does_not_know() -> None:
    config = small_omnianomaly()
    trained = fit([series()], config)
    untrained = fit([series()], config.model_copy(update={"epochs": 0}))
    (first, label), (last, _) = broken(untrained), broken(trained)
    before, after = (
        average_precision(label, error.numpy().astype(np.float64)) for error in (first, last)
    )
    assert after > max(before, 5 * label.mean())
    losses = [p.validation_loss for p in trained.history if p.validation_loss is not None]
    assert min(losses) < losses[0] - 0.5


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["lstm", "all"])
def test_it_exports_whatever_is_switched(name: str, tmp_path: Path) -> None:
    exported = export(fit([series()], tiny("gru_vae", **OTHERWISE[name])), tmp_path)
    assert max(exported.parity.values()) < 1e-4
    assert exported.parity["batch"] == 0.0
    carried = {one.name: one.shape for one in exported.state}
    assert carried["encoder"] == carried["decoder"] == (16,)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_two_runs_of_the_paper_recipe_give_the_same_graphs(tmp_path: Path) -> None:
    config = small_omnianomaly(epochs=1, epoch_steps=5)
    one, same = (export(fit([series()], config), tmp_path / name) for name in ("one", "same"))
    assert (one.step, one.window) == (same.step, same.window)
    assert one.parity["batch"] == 0.0


def test_a_constant_dimension_does_not_break_the_deviance() -> None:
    values = series().values.copy()
    values[:, 3] = 7.0
    fitted = fit([replace(series(), values=values)], small_omnianomaly(epochs=1, epoch_steps=5))
    error, _ = broken(fitted)
    assert bool(error.isfinite().all())
