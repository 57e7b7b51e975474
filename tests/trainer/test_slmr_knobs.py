"""Every switch of SLMR: it learns, it exports, and nothing in it is dead."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from service.scoring.series import FloatArray
from tests.trainer.small import series, tiny
from trainer.config import SlmrConfig, preset
from trainer.export import export
from trainer.fit import Fitted, fit
from trainer.graphs import window_graph
from trainer.models.slmr import Head, Slmr
from trainer.models.slmr_baked import BakedSlmr
from trainer.models.slmr_lesson import SlmrLesson, SlmrWindows, distance, shown
from trainer.views import default_views

DIMENSIONS = 7
SMALL: dict[str, object] = {"hidden": 6, "batch": 64, "spatial_groups": 3, "dilations": (1, 2)}
PUBLISHED: dict[str, object] = {
    "spatial_groups": 0,
    "likelihood": "rmse",
    "is_linear_skip": False,
    "aggregation": "mean",
    "learning_gamma": 1.0,
    "mask_mode": "separate",
}
OTHERWISE: dict[str, dict[str, object]] = {
    "forecast": {"heads": "forecast"},
    "reconstruction": {"heads": "reconstruction"},
    "all_seen": {"spatial_groups": 0},
    "rmse": {"likelihood": "rmse"},
    "deep": {"memory_layers": 2, "forecast_layers": 3, "decoder_layers": 2},
    "sizes": {"forecast_hidden": 5, "decoder_hidden": 9, "squeeze": 2},
    "published": PUBLISHED,
    "published_forecast": {**PUBLISHED, "heads": "forecast"},
    "published_reconstruction": {**PUBLISHED, "heads": "reconstruction", "decoder_layers": 2},
}


def configured(**knobs: object) -> SlmrConfig:
    return SlmrConfig.model_validate({**SMALL, **knobs})


def network(config: SlmrConfig) -> Slmr:
    torch.manual_seed(0)
    return Slmr(DIMENSIONS, config)


def windows(count: int, *, seed: int = 0) -> Tensor:
    return torch.randn(count, 11, DIMENSIONS, generator=torch.Generator().manual_seed(seed))


def lesson(config: SlmrConfig) -> SlmrLesson:
    random = np.random.default_rng(0)
    rows, targets = (random.normal(size=(80, DIMENSIONS)).astype(np.float32) for _ in range(2))
    seen = SlmrWindows([rows], [targets], length=11)
    return SlmrLesson(network(config).train(), seen, seen, config=config)


@pytest.mark.parametrize("name", OTHERWISE)
def test_gradient_reaches_every_parameter(name: str) -> None:
    taught = lesson(configured(**OTHERWISE[name]))
    taught.next_loss(1).value.backward()  # type: ignore[no-untyped-call]
    named = taught.network.named_parameters()
    assert [n for n, p in named if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", OTHERWISE)
def test_baked_network_says_the_same(name: str) -> None:
    model = network(configured(**OTHERWISE[name])).train()
    with torch.no_grad():
        model.represent(windows(50)[None, :, 1:], torch.zeros(1, 1, DIMENSIONS))  # moves the norms
        model.eval()
        said, baked = model(windows(4, seed=1)), BakedSlmr(model)(windows(4, seed=1).flip(1))
    for part in ("mean", "scale"):
        known = torch.stack([getattr(head, part) for head in said.heads], dim=1)
        torch.testing.assert_close(getattr(baked, part), known, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(baked.attention, said.attention, rtol=1e-4, atol=1e-5)


def test_a_head_that_is_not_asked_for_leaves_no_weights_behind() -> None:
    names = {
        heads: {
            name.split(".")[0] for name, _ in network(configured(heads=heads)).named_parameters()
        }
        for heads in ("both", "forecast", "reconstruction")
    }
    assert names["both"] - names["forecast"] == {"decoder", "fill"}
    assert names["both"] - names["reconstruction"] == {"forecast"}


def test_the_share_of_the_only_head_is_all() -> None:
    for heads in ("forecast", "reconstruction"):
        said = network(configured(heads=heads)).eval()(windows(2))
        assert [head.share for head in said.heads] == [1.0]


def test_without_groups_a_value_may_be_rebuilt_from_itself() -> None:
    rows = windows(8).requires_grad_()
    mean = network(configured(spatial_groups=0)).eval()(rows).heads[1].mean[:, 0].sum()
    (gradient,) = torch.autograd.grad(mean, rows)
    assert bool(gradient[:, -1, 0].any())


def test_bernoulli_hides_every_value_by_itself() -> None:
    torch.manual_seed(0)
    config = configured(mask_mode="bernoulli", mask_ratio=0.2)
    hidden = 1 - shown(torch.ones(2000, 10, DIMENSIONS), config)
    assert float(hidden.mean()) == pytest.approx(0.2, abs=0.01)
    together = float((hidden[:, 1:] * hidden[:, :-1]).mean())
    assert together == pytest.approx(0.2**2, abs=0.005)


def test_distance_is_the_root_mean_square_of_what_is_asked() -> None:
    head = Head(1.0, torch.zeros(2, 3, 2), torch.ones(2, 3, 2))
    targets = torch.stack([torch.full((2, 3), 3.0), torch.full((2, 3), 100.0)], dim=2)
    assert float(distance(targets, head, asked=torch.tensor([1.0, 0.0]))) == pytest.approx(3.0)
    assert float(distance(targets, head, asked=torch.zeros(2))) == pytest.approx(0.0, abs=1e-5)


def test_learning_may_weigh_the_reconstruction_otherwise_than_scoring() -> None:
    losses = []
    for weight in (None, 2.0):
        torch.manual_seed(1)
        taught = lesson(configured(learning_gamma=weight, gamma=0.5, mask_ratio=0.0, dropout=0.0))
        torch.manual_seed(2)
        with torch.no_grad():
            loss = taught.next_loss(1)
        losses.append(float(loss.value) - float(loss.terms["forecast"]))
        assert taught.network.shares == pytest.approx((1 / 1.5, 0.5 / 1.5))
    assert losses[1] == pytest.approx(4 * losses[0], rel=1e-4)


@pytest.mark.parametrize(
    ("aggregation", "form"),
    [("top", ("top_mean", 5)), ("max", ("top_mean", 1)), ("mean", ("sum", 5))],
)
def test_dimensions_are_joined_as_asked(aggregation: str, form: tuple[str, int]) -> None:
    config = preset("small", model="slmr", aggregation=aggregation, members="network")
    (view,) = default_views(config, dimensions=40, train_points=20_000)
    assert (view.aggregation, view.top) == form


def test_knobs_that_were_not_touched_are_not_told() -> None:
    told = preset("small", model="slmr").model_dump()
    assert not {"heads", "likelihood", "memory_layers", "aggregation", "squeeze"} & told.keys()


def test_an_epoch_may_have_as_many_updates_as_windows_ask_for() -> None:
    fitted = fit([series()], tiny("slmr", epochs=0, epoch_steps=0, batch=32))
    rows = fitted.splits[0].fit.stop - fitted.splits[0].fit.start
    steps = fitted.config.epoch_steps
    assert (steps - 1) * 32 < rows - (4 + 11 - 2) <= steps * 32


def test_the_sizes_of_the_paper_are_those_of_the_public_code() -> None:
    config = preset("paper", model="slmr")
    assert isinstance(config, SlmrConfig)
    assert config.conv_groups * config.group_channels == 180
    assert (len(config.dilations), config.hidden, config.dropout) == (4, 150, 0.3)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["forecast", "deep", "published", "published_reconstruction"])
def test_it_exports_whatever_is_switched(name: str, tmp_path: Path) -> None:
    exported = export(fit([series()], tiny("slmr", **OTHERWISE[name])), tmp_path)
    assert max(exported.parity.values()) < 1e-4
    assert exported.parity["batch"] == 0.0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_sizes_of_the_paper_can_be_exported(tmp_path: Path) -> None:
    exported = export(fit([series()], preset("paper", model="slmr", epochs=0)), tmp_path)
    assert exported.parity["batch"] == 0.0
    assert (tmp_path / "step.onnx").stat().st_size < 32 * 2**20


def errors(fitted: Fitted, rows: FloatArray) -> float:
    """Mean error of the network over all windows of centred rows."""
    stacked = np.lib.stride_tricks.sliding_window_view(rows, 11, axis=0)[20:]  # (B, D, T)
    window = torch.from_numpy(stacked.transpose(0, 2, 1).astype(np.float32))
    with torch.no_grad():
        error = window_graph(fitted)(window, torch.ones(len(window), dtype=torch.int64))[0]
    return float(error.mean())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_published_way_learns_what_its_untrained_self_does_not_know() -> None:
    alone = dict.fromkeys(("members", "deciding", "ranking"), ("network",))
    knobs = {**PUBLISHED, **alone, "hidden": 16, "epoch_steps": 40, "batch": 64}
    ratios = []
    for epochs in (6, 0):
        fitted = fit([series()], tiny("slmr", **{**knobs, "epochs": epochs}))
        rows = series(count=400).values - fitted.linear.scaling.center[1]
        broken = rows.copy()
        broken[:, 1] = np.roll(rows[:, 1], 14)  # the square of a wave, at another time
        ratios.append(errors(fitted, broken) / errors(fitted, rows))
    assert ratios[0] > 1.1 * ratios[1]
