import math

import pytest
import torch
from scipy.stats import norm

from trainer.configs_window import LstmVaeConfig
from trainer.models.lstm_vae import LstmVae

CONFIG = LstmVaeConfig(window_length=6, hidden=5, latent=2)


def network(**changes: object) -> LstmVae:
    torch.manual_seed(0)
    return LstmVae(3, CONFIG.model_copy(update=changes)).eval()


def windows() -> torch.Tensor:
    return torch.rand(4, 6, 3, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_loss_is_the_mean_square_and_the_divergence_per_value() -> None:
    model, x = network(kl_weight=0.5), windows()
    code = model.encode(x)
    mean, scale = model.read(model.decode(code.mean, steps=6))
    assert bool((scale == 1).all())
    known = (x - mean).square().mean() + 0.5 * code.divergence().mean() / 18
    torch.testing.assert_close(model.held_out_loss(x), known)


@torch.no_grad()
def test_learned_spread_is_that_of_a_normal_density_and_bounded() -> None:
    model, x = network(likelihood="gaussian", kl_weight=0.0), windows()
    mean, scale = model.read(model.decode(model.encode(x).mean, steps=6))
    assert CONFIG.scale_low < float(scale.min()) <= float(scale.max()) < 1
    density = norm.logpdf(x.numpy(), mean.numpy(), scale.numpy())
    known = -float(density.mean()) - 0.5 * math.log(2 * math.pi)
    assert float(model.held_out_loss(x)) == pytest.approx(known, rel=1e-4)
    said = model.judge(x, x[:, -1])
    torch.testing.assert_close(said.error, (x[:, -1] - mean[:, -1]).abs() / scale[:, -1])
    assert torch.equal(said.scale, scale[:, -1])
