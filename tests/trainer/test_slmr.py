from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from service.errors import SettingInvalid, TrainingFailed
from service.scoring.detector import single_threaded
from service.scoring.series import Series
from tests.trainer.small import series, tiny
from trainer.config import CONFIGS, MaskMode, SlmrConfig, preset
from trainer.export import export
from trainer.fit import Fitted, fit
from trainer.graphs import step_graph, window_graph
from trainer.models.slmr import Slmr, TimeConvolution, pool
from trainer.models.slmr_baked import BakedSlmr, FirstState
from trainer.models.slmr_lesson import SlmrLesson, SlmrWindows, shown
from trainer.windows import Rows

DIMENSIONS = 7
CONFIG = SlmrConfig(hidden=6, batch=8, spatial_groups=3, dilations=(1, 1, 2), dropout=0.0)
MODES: list[MaskMode] = ["temporal", "spatial", "separate", "bernoulli"]


def network(seed: int = 0, config: SlmrConfig = CONFIG, *, dimensions: int = DIMENSIONS) -> Slmr:
    torch.manual_seed(seed)
    return Slmr(dimensions, config).eval()


def windows(count: int, *, seed: int = 0, dimensions: int = DIMENSIONS) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, CONFIG.window_length, dimensions, generator=generator)


def data(*lengths: int, seed: int = 0) -> SlmrWindows:
    random = np.random.default_rng(seed)
    rows, targets = (
        [random.normal(size=(n, DIMENSIONS)).astype(np.float32) for n in lengths] for _ in range(2)
    )
    return SlmrWindows(rows, targets, length=CONFIG.window_length)


@pytest.mark.parametrize("dimensions", [1, 2, 4, 40])
def test_every_number_of_dimensions_has_a_mean_a_scale_and_attention(dimensions: int) -> None:
    with torch.no_grad():
        said = network(dimensions=dimensions)(windows(3, dimensions=dimensions))
    forecast, reconstruction = said.heads
    for part in (forecast.mean, reconstruction.mean, said.attention):
        assert part.shape == (3, dimensions)
    for head in said.heads:
        assert CONFIG.scale_low <= float(head.scale.min())
        assert float(head.scale.max()) <= CONFIG.scale_high
    assert 0 < float(said.attention.min()) <= float(said.attention.max()) < 1
    assert forecast.share + reconstruction.share == pytest.approx(1)


def test_groups_are_complementary_and_about_equal() -> None:
    groups = network().groups  # (K, D)
    assert groups.sum(0).tolist() == [1.0] * DIMENSIONS
    assert sorted(groups.sum(1).tolist()) == [2.0, 2.0, 3.0]
    assert network(dimensions=2).groups.shape == (2, 2)  # never an empty one


@given(st.integers(0, 100), st.integers(0, DIMENSIONS - 1), st.floats(-1e3, 1e3))
@settings(max_examples=15, deadline=None)
def test_no_dimension_sees_its_own_present_and_none_is_filled_in_from_itself(
    seed: int, dimension: int, value: float
) -> None:
    model, rows = network(seed).double(), windows(2, seed=seed).double()
    now, ever = rows.clone(), rows.clone()
    now[:, -1, dimension] = value
    ever[:, 1:, dimension] = value
    with torch.no_grad():
        before, moved, rewritten = model(rows), model(now), model(ever)
    for name in ("mean", "scale"):
        known = getattr(before.heads[0], name)[:, dimension]
        assert torch.equal(known, getattr(moved.heads[0], name)[:, dimension])
        known = getattr(before.heads[1], name)[:, dimension]
        assert torch.equal(known, getattr(rewritten.heads[1], name)[:, dimension])


def test_every_dimension_is_filled_in_from_those_outside_its_group() -> None:
    model, rows = network(), windows(64).requires_grad_()
    group = model.groups.argmax(0)  # (D,)
    for dimension in range(DIMENSIONS):
        mean = model(rows).heads[1].mean[:, dimension].sum()
        (gradient,) = torch.autograd.grad(mean, rows)
        is_seen = gradient.abs().amax((0, 1)) > 0  # (D,)
        assert torch.equal(is_seen, group != group[dimension])


def test_pass_for_all_groups_equals_one_pass_for_each() -> None:
    model, rows = network().double(), windows(5).double()
    with torch.no_grad():
        said = model(rows)
        for number, hidden in enumerate(model.groups):
            flags = hidden.expand(1, 5, DIMENSIONS)
            h, _ = model.represent((rows[:, 1:] * (1 - hidden))[None], flags)
            mean = model.fill(model.decode(h)[0, :, -1])[:, :DIMENSIONS]
            own = model.groups[number] > 0
            torch.testing.assert_close(said.heads[1].mean[:, own], mean[:, own])


@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (3, 1), (3, 2), (7, 1), (5, 3)])
def test_convolution_as_a_matrix_equals_that_of_pytorch(taps: int, dilation: int) -> None:
    config, steps = SlmrConfig(conv_groups=2, group_channels=3), 5
    torch.manual_seed(taps)
    made = TimeConvolution(config, taps=taps, dilation=dilation, steps=steps)
    x = torch.randn(4, steps, 6)
    conv = nn.Conv1d(
        6, 6, taps, padding=dilation * (taps // 2), dilation=dilation, groups=2, bias=False
    )
    # taps, groups, in, out -> groups and out, in, taps
    weight = made.weight.detach().permute(1, 3, 2, 0).reshape(6, 3, taps)
    conv.load_state_dict({"weight": weight})
    with torch.no_grad():
        found = (x.flatten(1) @ made.matrix()).reshape(x.shape)
        torch.testing.assert_close(found, conv(x.transpose(1, 2)).transpose(1, 2))


def test_pool_equals_that_of_pytorch() -> None:
    x = torch.randn(3, 6, 4)
    known = nn.functional.max_pool1d(x.transpose(1, 2), 3, stride=1, padding=1).transpose(1, 2)
    assert torch.equal(pool(x), known)


@pytest.mark.parametrize("dimensions", [1, 2, DIMENSIONS])
def test_baked_network_says_the_same(dimensions: int) -> None:
    model = network(dimensions=dimensions).train()
    with torch.no_grad():
        for norm in (model.cross, model.branch.norm):
            norm.log_factor.normal_()
            norm.shift.normal_()
        model(5 * windows(50, dimensions=dimensions))  # moves the statistics of the norms
        model.eval()
        rows = windows(4, seed=1, dimensions=dimensions)
        said, baked = model(rows), BakedSlmr(model)(rows.flip(1))
    for name in ("mean", "scale"):
        known = torch.stack([getattr(head, name) for head in said.heads], dim=1)
        torch.testing.assert_close(getattr(baked, name), known, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(baked.attention, said.attention, rtol=1e-4, atol=1e-5)


def test_first_state_is_the_newest_of_all_that_are_decoded() -> None:
    model = network()
    h = torch.randn(2, 3, CONFIG.hidden)
    with torch.no_grad():
        newest = model.decode(h)[:, :, -1]
        torch.testing.assert_close(FirstState(model.decoder)(h.flatten(0, 1)), newest.flatten(0, 1))


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_pool_looks_along_the_axis_it_is_told(axis: int) -> None:
    x = torch.randn(3, 6, 4)
    known = pool(x.movedim(axis, -2)).movedim(-2, axis)
    assert torch.equal(pool(x, axis=axis), known)


def test_dilations_change_which_points_meet() -> None:
    one, other = (
        network(config=CONFIG.model_copy(update={"dilations": d})) for d in [(1, 1), (1, 2)]
    )
    other.load_state_dict(one.state_dict())
    assert not torch.equal(one(windows(4)).heads[0].mean, other(windows(4)).heads[0].mean)
    assert preset("small", model="slmr", dilations="1,2,4").model_dump()["dilations"] == "1,2,4"


@pytest.mark.parametrize("mode", MODES)
def test_masks_hide_the_wanted_share(mode: MaskMode) -> None:
    torch.manual_seed(0)
    config = CONFIG.model_copy(update={"mask_mode": mode, "mask_ratio": 0.2})
    rows = torch.ones(4000, 10, DIMENSIONS)
    visible = shown(rows, config).expand_as(rows)
    assert float(1 - visible.mean()) == pytest.approx(0.2, abs=0.02)
    is_constant_in_time = bool((visible == visible[:, :1]).all())
    is_of_all_together = bool((visible == visible[..., :1]).all())
    assert is_constant_in_time == (mode == "spatial")
    assert is_of_all_together == (mode == "temporal")


def test_hidden_runs_last_as_long_as_wanted() -> None:
    torch.manual_seed(0)
    config = CONFIG.model_copy(update={"mask_mode": "temporal", "mask_ratio": 0.1})
    hidden = 1 - shown(torch.ones(100, 2000, 1), config)[..., 0]  # (B, W)
    runs = (hidden.diff(dim=1) > 0).sum()
    assert float(hidden.sum() / runs) == pytest.approx(config.mask_length, rel=0.1)


@pytest.mark.parametrize("mode", MODES)
def test_every_parameter_receives_gradient(mode: MaskMode) -> None:
    config = CONFIG.model_copy(update={"mask_mode": mode, "mask_ratio": 0.2, "batch": 64})
    model, seen = network(config=config).train(), data(80)
    SlmrLesson(model, seen, seen, config=config).next_loss(1).value.backward()  # type: ignore[no-untyped-call]
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_validation_loss_has_no_chance() -> None:
    held_out = data(40, 30, seed=1)
    lesson = SlmrLesson(network(), data(80), held_out, config=CONFIG)
    with torch.no_grad():
        assert lesson.validation_loss() == lesson.validation_loss()


def test_windows_stay_inside_their_pieces_with_all_lags_of_all_rows() -> None:
    length, lags = CONFIG.window_length, 4
    numbers: list[Rows] = [
        (start + np.arange(n)[:, None] / 100).astype(np.float32)
        for start, n in ((1, 20), (2, length + lags), (3, 5))
    ]
    found, _ = (pieces := SlmrWindows(numbers, numbers, length=length)).at(
        torch.arange(len(pieces))
    )
    assert len(pieces) == 7 + 2  # of a window, only the first row needs no target
    assert bool((found[:, 0].floor() == found[:, -1].floor()).all())
    assert float(((found[:, 0] % 1) * 100).min()) == pytest.approx(lags - 1, abs=1e-3)


def test_pieces_without_any_window_are_refused() -> None:
    with pytest.raises(TrainingFailed, match="expected 14 rows without a break"):
        data(13)


def test_even_windows_and_missing_dilations_are_refused() -> None:
    with pytest.raises(SettingInvalid, match="odd number, got 10"):
        preset("small", model="slmr", window_length=10)
    with pytest.raises(SettingInvalid, match="dilations"):
        preset("small", model="slmr", dilations="")
    assert CONFIGS["slmr"] is SlmrConfig


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Path]:
    fitted = fit([series("alpha"), series("beta", level=1e9)], tiny("slmr"))
    folder = tmp_path_factory.mktemp("slmr")
    made = export(fitted, folder)
    assert max(made.parity.values()) < 1e-5
    assert made.parity["batch"] == 0.0
    assert (made.memory_horizon, made.is_horizon_reached) == (fitted.config.window_length, True)
    assert [one.shape for one in made.state] == [(fitted.config.window_length - 1, 6)]
    return fitted, folder


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_graph_tells_the_attention_and_a_row_is_itself_in_every_batch(
    exported: tuple[Fitted, Path],
) -> None:
    fitted, folder = exported
    session = ort.InferenceSession(folder / "window.onnx", single_threaded())
    assert [one.name for one in session.get_outputs()][3:] == ["attention"]
    random = np.random.default_rng(0)
    rows = random.normal(size=(32, fitted.config.window_length, 6)).astype(np.float32)
    entity = np.ones(32, np.int64)
    together = session.run(None, {"window": rows, "entity_index": entity})
    alone = session.run(None, {"window": rows[:16], "entity_index": entity[:16]})
    for part, other in zip(together, alone, strict=True):
        assert np.array_equal(part[:16], other)
    with torch.no_grad():
        known = window_graph(fitted)(torch.from_numpy(rows), torch.ones(32, dtype=torch.int64))
    np.testing.assert_allclose(together[3], known[3].numpy(), atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_one_or_two_dimensions_are_enough(dimensions: int) -> None:
    whole = series()
    few = Series(
        entity="few",
        dimensions=whole.dimensions[:dimensions],
        timestamps_ms=whole.timestamps_ms,
        values=whole.values[:, :dimensions],
        label=None,
        segments=(),
    )
    fitted = fit([few], tiny("slmr", epochs=1))
    length = fitted.config.window_length
    window = torch.randn(4, length, dimensions)
    entity = torch.ones(4, dtype=torch.int64)
    with torch.no_grad():
        error, expected, scale, _ = window_graph(fitted)(window, entity)
        lags = torch.zeros(4, length - 1, dimensions)
        graph, stepped = step_graph(fitted), []
        for row in window.unbind(1):
            *stepped, lags = graph(row, entity, lags)
    assert error.shape == (4, len(fitted.config.members), dimensions)
    for part, other in zip((error, expected, scale), stepped, strict=True):
        torch.testing.assert_close(part, other, rtol=1e-4, atol=1e-5)


def break_seen(fitted: Fitted) -> float:
    """Mean error of the network where a relation is broken over its error where it holds."""
    rows = fitted.rows(1)[fitted.splits[0].calibration]
    broken = rows.copy()
    broken[:, 1] = np.roll(rows[:, 1], 14)  # the square of a wave, at another time
    place, errors = fitted.config.members.index("network"), []
    for values in (rows, broken):
        centred = values - fitted.linear.scaling.center[1]
        length = fitted.config.window_length
        stacked = np.lib.stride_tricks.sliding_window_view(centred, length, axis=0)[20:]
        window = torch.from_numpy(stacked.transpose(0, 2, 1).astype(np.float32))
        entity = torch.ones(len(window), dtype=torch.int64)
        with torch.no_grad():
            error = window_graph(fitted)(window, entity)[0]
        errors.append(float(error[:, place, 1].mean()))
    return errors[1] / errors[0]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_trained_network_sees_a_broken_relation_better_than_its_untrained_self() -> None:
    config = tiny("slmr", hidden=16, batch=64, epochs=6, epoch_steps=25)
    trained = fit([series()], config)
    untrained = fit([series()], config.model_copy(update={"epochs": 0}))
    assert trained.best_epoch > 0
    first, last = trained.history[0], trained.history[trained.best_epoch - 1]
    assert first.validation_loss is not None
    assert last.validation_loss is not None
    assert last.validation_loss < first.validation_loss - 0.05
    assert break_seen(trained) > 1.3 * break_seen(untrained)
