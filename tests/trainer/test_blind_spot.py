import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import laplace
from torch import Tensor

from trainer.config import BlindSpotConfig
from trainer.linear import LAGS
from trainer.models.blind_spot import BlindSpot, BlindSpotLesson, Windows
from trainer.windows import Rows

DIMENSIONS = 4
CONFIG = BlindSpotConfig(hidden=6, batch=8)


def network(seed: int = 0, config: BlindSpotConfig = CONFIG, *, spread: float = 0.5) -> BlindSpot:
    """With a readout far from its timid initial values."""
    torch.manual_seed(seed)
    model = BlindSpot(DIMENSIONS, config)
    with torch.no_grad():
        model.readout.copy_(spread * torch.randn(model.readout.shape))
    return model


def windows(count: int, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1 + LAGS, DIMENSIONS, generator=generator)


def pieces(*lengths: int, seed: int = 0) -> list[Rows]:
    random = np.random.default_rng(seed)
    return [random.normal(size=(n, DIMENSIONS)).astype(np.float32) for n in lengths]


@given(
    st.integers(0, 1000), st.integers(0, DIMENSIONS - 1), st.floats(-1e6, 1e6), st.integers(1, 3)
)
@settings(max_examples=50, deadline=None)
def test_no_dimension_sees_itself_now_or_earlier(
    seed: int, dimension: int, value: float, depth: int
) -> None:
    model = network(seed, BlindSpotConfig(hidden=6, depth=depth)).double()
    rows = windows(3, seed=seed).double()
    changed = rows.clone()
    changed[:, :, dimension] = value
    with torch.no_grad():
        before, after = model(rows), model(changed)
    for part, other in zip(before, after, strict=True):
        torch.testing.assert_close(part[:, dimension], other[:, dimension], rtol=0, atol=1e-12)


def test_every_dimension_sees_all_others_now_and_earlier() -> None:
    model, rows = network(), windows(64).requires_grad_()
    for dimension in range(DIMENSIONS):
        (gradient,) = torch.autograd.grad(model(rows)[0][:, dimension].sum(), rows)
        is_seen = gradient.abs().amax(0) > 1e-6  # (1 + LAGS, D)
        assert bool(is_seen[:, [d for d in range(DIMENSIONS) if d != dimension]].all())
        assert not bool(is_seen[:, dimension].any())


def naive(model: BlindSpot, window: Tensor, dimension: int) -> tuple[float, float]:
    """One dimension of one window, its own values never touched."""
    pre = model.identity[dimension, 0].clone()
    for lag in range(1 + LAGS):
        for other in range(DIMENSIONS):
            if other != dimension:
                pre += window[lag, other] * model.first[lag, other]
    h = torch.relu(pre)
    for layer in model.shared:
        h = torch.relu(layer(h))
    mean, raw = h @ model.readout[dimension] + model.readout_bias[dimension, 0]
    spread = model.scale_high - model.scale_low
    return float(mean), float(model.scale_low + spread * torch.sigmoid(raw))


def test_pass_for_all_dimensions_equals_one_pass_for_each() -> None:
    model, rows = network(config=BlindSpotConfig(hidden=6, depth=2)).double(), windows(5).double()
    with torch.no_grad():
        mean, scale = model(rows)
        for number, window in enumerate(rows):
            for dimension in range(DIMENSIONS):
                found = (float(mean[number, dimension]), float(scale[number, dimension]))
                assert found == pytest.approx(naive(model, window, dimension), abs=1e-12)


@given(st.floats(-1e9, 1e9), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_scale_stays_inside_its_bounds_whatever_comes(value: float, seed: int) -> None:
    model = network(seed, BlindSpotConfig(hidden=6, scale_low=0.5, scale_high=1.5), spread=100.0)
    rows = windows(4, seed=seed)
    rows[:, :, 1] = value
    with torch.no_grad():
        _, scale = model(rows)
    assert 0.5 <= float(scale.min()) <= float(scale.max()) <= 1.5


def test_untrained_network_says_almost_what_the_linear_one_says() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        mean, scale = BlindSpot(DIMENSIONS, CONFIG)(windows(200))
    assert 0 < float(mean.abs().mean()) < 0.2
    assert float(scale.mean()) == pytest.approx(1.0, abs=0.1)


def test_every_parameter_receives_gradient() -> None:
    model = network(config=BlindSpotConfig(hidden=6, depth=2))
    data = Windows(pieces(60), pieces(60, seed=1))
    BlindSpotLesson(model, data, data, config=CONFIG).next_loss(1).value.backward()  # type: ignore[no-untyped-call]
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_validation_loss_is_the_laplace_likelihood_of_all_held_out_windows() -> None:
    model, rows, targets = network(), pieces(30, 9), pieces(30, 9, seed=1)
    data = Windows(rows, targets)
    total, count = 0.0, 0
    with torch.no_grad():
        lesson = BlindSpotLesson(model, data, data, config=CONFIG)
        for piece, wanted in zip(rows, targets, strict=True):
            for end in range(LAGS, len(piece)):
                window = torch.from_numpy(piece[end - LAGS : end + 1][::-1].copy())
                mean, scale = (part[0] for part in model(window[None]))
                apart = np.abs(wanted[end] - mean.numpy())
                total += -float(laplace.logpdf(apart, scale=scale.numpy()).mean()) - np.log(2)
                count += 1
        assert len(data) == count == 31
        assert lesson.validation_loss() == pytest.approx(total / count, rel=1e-5)
        assert lesson.validation_loss() == lesson.validation_loss()


def test_constant_dimension_teaches_nothing() -> None:
    rows, targets = pieces(40), pieces(40, seed=1)
    rows[0][:, 2] = 0.25
    model = network()
    losses = []
    for value in (0.0, 9.0):
        targets[0][:, 2] = value
        data = Windows(rows, targets)
        with torch.no_grad():
            losses.append(BlindSpotLesson(model, data, data, config=CONFIG).validation_loss())
    assert losses[0] == losses[1]


def test_nothing_that_moves_is_no_reason_to_fail() -> None:
    still = [np.zeros((20, DIMENSIONS), np.float32)]
    data = Windows(still, still)
    with torch.no_grad():
        lesson = BlindSpotLesson(network(), data, data, config=CONFIG)
        assert np.isfinite(lesson.validation_loss())


def test_dimensions_are_hidden_only_while_learning() -> None:
    config = BlindSpotConfig(hidden=6, batch=64, input_dropout=1 - 1e-9)
    model, targets = network(config=config), pieces(40, seed=1)
    losses, held_out = [], []
    for seed in (2, 3):
        data = Windows(pieces(40, seed=seed), targets)
        lesson = BlindSpotLesson(model, data, data, config=config)
        torch.manual_seed(0)
        with torch.no_grad():
            losses.append(float(lesson.next_loss(1).value))
            held_out.append(lesson.validation_loss())
    assert losses[0] == losses[1]
    assert held_out[0] != held_out[1]
