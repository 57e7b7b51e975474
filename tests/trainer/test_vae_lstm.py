import math

import pytest
import torch

from service.errors import SettingInvalid
from tests.trainer.small import series, tiny
from trainer.config import preset
from trainer.configs_window import VaeLstmConfig
from trainer.fit import fit
from trainer.models.gaussian import Gaussian
from trainer.models.vae_lstm import VaeLstm

CONFIG = VaeLstmConfig(window_length=48, windows=3, hidden=32, lstm_hidden=8)
DIMENSIONS = 3


def network(**changes: object) -> VaeLstm:
    torch.manual_seed(0)
    return VaeLstm(DIMENSIONS, CONFIG.model_copy(update=changes)).eval()


def windows(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 48, DIMENSIONS, generator=torch.Generator().manual_seed(1))


def test_the_newest_window_is_foretold_not_seen() -> None:
    model, x = network(), windows()
    other = x.clone()
    other[:, -16:] += 1.0
    with torch.no_grad():
        assert torch.equal(model.judge(x, x[:, -1]).mean, model.judge(other, x[:, -1]).mean)


def test_error_of_the_last_step_is_its_distance() -> None:
    x = windows()
    with torch.no_grad():
        said = network().judge(x, x[:, -1])
    assert torch.equal(said.error, (x[:, -1] - said.mean).abs())


def test_sum_is_over_all_windows_that_are_foretold() -> None:
    model, x = network(score="sum"), windows()
    with torch.no_grad():
        codes = torch.stack(
            [model.encode(local).mean for local in torch.split(x, 16, dim=1)], dim=1
        )
        expected = [model.decode(code) for code in model.foretell(codes[:, :-1]).unbind(1)]
        squares = (x[:, 16:] - torch.cat(expected, dim=1)).square().sum(1)
        torch.testing.assert_close(model.judge(x, x[:, -1]).error, squares.sqrt())
        window = network(score="last_window").judge(x, x[:, -1]).error
    squares = (x[:, 32:] - expected[-1]).square().sum(1)
    torch.testing.assert_close(window, squares.sqrt())


def test_codes_stand_still_at_the_end() -> None:
    model = network(epochs=10, epoch_steps=10, frozen_share=0.3).train()
    both, alone = (model.loss(windows(), step=step) for step in (70, 71))
    assert set(both.terms) == {"reconstruction", "KL", "prediction"}
    assert both.moved == ()
    assert set(alone.terms) == {"prediction"}
    moved = {id(part) for part in alone.moved}
    names = {name.split(".")[0] for name, part in model.named_parameters() if id(part) in moved}
    assert names == {"lstm", "to_code"}


def test_weights_that_a_loss_does_not_name_stay_as_they_are() -> None:
    config = tiny("vae_lstm", epochs=1, frozen_share=0.9)
    before, after = (
        fit([series()], config.model_copy(update={"epochs": epochs})).network for epochs in (0, 1)
    )
    assert before is not None
    assert after is not None
    known = before.state_dict()
    moved = {n.split(".")[0] for n, p in after.state_dict().items() if not p.equal(known[n])}
    assert moved == {"lstm", "to_code"}


def test_no_gradient_of_the_lstm_goes_into_the_codes() -> None:
    model = network().train()
    model.loss(windows(), step=1).terms["prediction"].backward()  # type: ignore[no-untyped-call]
    assert model.to_mean.weight.grad is None


def test_sigma_learns_where_it_may() -> None:
    model = network(is_sigma_learned=True).train()
    model.loss(windows(), step=1).value.backward()  # type: ignore[no-untyped-call]
    assert model.sigma.grad is not None
    assert model.sigma.grad.abs() > 0


def test_the_scale_told_is_that_of_the_loss() -> None:
    x = windows()
    fixed, learned = (
        network(is_sigma_learned=is_learned, sigma=0.3).judge(x, x[:, -1]).scale[0, :1]
        for is_learned in (False, True)
    )
    torch.testing.assert_close(fixed, torch.tensor([0.3]))
    torch.testing.assert_close(learned, torch.tensor([math.hypot(0.3, 0.1)]))


def test_divergence_equals_that_of_pytorch() -> None:
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    known = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(Gaussian(mean, log_variance).divergence(), known.sum(1))


def test_windows_that_cannot_be_halved_three_times_are_refused() -> None:
    with pytest.raises(SettingInvalid, match="4 times 8, 16, 24"):
        preset("small", model="vae_lstm", window_length=60)


def test_the_codes_are_learned_where_an_epoch_is_as_long_as_the_rows_ask() -> None:
    config = tiny("vae_lstm", epochs=1, epoch_steps=0)
    start, end = (
        fit([series()], config.model_copy(update={"epochs": epochs})) for epochs in (0, 1)
    )
    assert isinstance(end.network, VaeLstm)
    assert end.network.frozen_from == pytest.approx(0.7 * end.config.epoch_steps)
    assert isinstance(start.network, VaeLstm)
    assert not torch.equal(start.network.to_mean.weight, end.network.to_mean.weight)
