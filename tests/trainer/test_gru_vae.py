import copy
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.stats import multivariate_normal
from torch import Tensor, nn

from trainer.config import GruVaeConfig
from trainer.models.gru_vae import (
    SCALE_HIGH,
    SCALE_LOW,
    SPECTRAL_LIMIT,
    GruVae,
    baked_recurrence,
    bounded_scale,
    folded,
)
from trainer.models.latents import (
    PlanarFlows,
    RandomWalkPrior,
    kalman_constants,
    normal_log_density,
)

DIMENSIONS = 5


def network(seed: int = 0, *, activation: Literal["none", "relu"] = "none") -> GruVae:
    torch.manual_seed(seed)
    config = GruVaeConfig(hidden=6, dense=7, latent=3, flows=3, dense_activation=activation)
    return GruVae(DIMENSIONS, config)


def rows(batch: int, steps: int, *, seed: int = 0) -> Tensor:
    return torch.randn(batch, steps, DIMENSIONS, generator=torch.Generator().manual_seed(seed))


def wild_flows(seed: int, *, latent: int = 3, flows: int = 4) -> PlanarFlows:
    """Flows in float64 whose weights are far from their timid initial values."""
    generator = torch.Generator().manual_seed(seed)
    module = PlanarFlows(latent, flows).double()
    for parameter in module.parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = 2.0 * drawn
    return module


def test_prior_equals_a_dense_normal_with_covariance_min_i_j_plus_identity() -> None:
    steps, latent = 5, 3
    z = torch.randn(2, steps, latent, dtype=torch.float64)
    log_density, _ = RandomWalkPrior()(
        z, torch.zeros(2, latent, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    )
    order = np.arange(1, steps + 1)
    covariance = np.minimum.outer(order, order) + np.eye(steps)
    dense = multivariate_normal(mean=np.zeros(steps), cov=covariance)
    for lane in range(2):
        expected = sum(dense.logpdf(z[lane, :, d].numpy()) for d in range(latent))
        assert log_density[lane].sum().item() == pytest.approx(expected, abs=1e-10)


def test_prior_over_two_chunks_equals_the_prior_over_the_whole() -> None:
    prior, z = RandomWalkPrior(), torch.randn(2, 40, 3, dtype=torch.float64)
    mean, age = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    whole, last = prior(z, mean, age)
    first, between = prior(z[:, :7], mean, age)
    second, end = prior(z[:, 7:], between, age + 7)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-12)


def test_kalman_constants_converge_to_the_golden_ratio() -> None:
    gains, variances = kalman_constants(32)
    assert gains[0] == 0.5
    assert variances[:3].tolist() == pytest.approx([2.0, 2.5, 2.6])
    assert float(gains[-1]) == pytest.approx((5**0.5 - 1) / 2, abs=1e-15)
    assert float(variances[-1]) == pytest.approx((5**0.5 + 3) / 2, abs=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_log_det_of_the_flows_equals_that_of_a_numerical_jacobian(seed: int) -> None:
    flows, step = wild_flows(seed), 1e-6
    z = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    columns = []
    for direction in torch.eye(3, dtype=torch.float64):
        ahead, _ = flows((z + step * direction)[None, None])
        behind, _ = flows((z - step * direction)[None, None])
        columns.append((ahead - behind)[0, 0] / (2 * step))
    _, log_det = flows(z[None, None])
    expected = torch.linalg.slogdet(torch.stack(columns, 1)).logabsdet
    assert log_det.item() == pytest.approx(expected.item(), abs=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_every_flow_is_invertible(seed: int) -> None:
    flows = wild_flows(seed)
    assert bool(((flows.w * flows.directions()).sum(1) > -1).all())


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_every_parameter_receives_gradient(activation: Literal["none", "relu"]) -> None:
    model = network(activation=activation)
    evidence, _ = model(rows(8, 20), model.fresh(8))
    evidence.loss().backward()
    without = [
        name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())
    ]
    assert without == []


def test_baked_recurrence_equals_the_loop() -> None:
    steps, latent = 100, 4
    weight = torch.randn(latent, latent, dtype=torch.float64)
    weight *= SPECTRAL_LIMIT / float(torch.linalg.matrix_norm(weight, 2))
    drive = torch.randn(steps, latent, dtype=torch.float64)
    z, loop = torch.zeros(latent, dtype=torch.float64), []
    for drive_t in drive:
        z = drive_t + weight @ z
        loop.append(z)
    baked = (baked_recurrence(weight, steps) @ drive.flatten()).reshape(steps, latent)
    torch.testing.assert_close(baked, torch.stack(loop), rtol=0, atol=1e-12)


def test_reconstruction_in_two_chunks_equals_the_whole() -> None:
    model, x = network(), rows(4, 30)
    with torch.no_grad():
        whole, _, last = model.reconstruct(x, model.fresh(4))
        first, _, between = model.reconstruct(x[:, :11], model.fresh(4))
        second, _, end = model.reconstruct(x[:, 11:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end.latent, last.latent)
    torch.testing.assert_close(end.decoder, last.decoder)


def test_loss_depends_on_the_state_and_a_fresh_lane_forgets_it() -> None:
    model, x = network(), rows(2, 10)
    _, state = model(x, model.fresh(2))
    restarted = state.detached(torch.tensor([True, False]))
    assert not bool(restarted.encoder[0].any())
    assert restarted.age.tolist() == [0, 10]
    assert bool((restarted.encoder[1] == state.encoder[1]).all())
    assert not restarted.encoder.requires_grad


def test_same_generator_gives_the_same_loss() -> None:
    model, x = network(), rows(2, 10)
    losses = [
        model(x, model.fresh(2), generator=torch.Generator().manual_seed(seed))[0].loss().item()
        for seed in (1, 1, 2)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_beta_weighs_only_the_divergence() -> None:
    model = network()
    evidence, _ = model(rows(2, 10), model.fresh(2))
    assert evidence.loss(0.0).item() == -evidence.reconstruction.item()
    divergence = evidence.posterior - evidence.prior
    torch.testing.assert_close(evidence.loss(0.5), evidence.loss(0.0) + 0.5 * divergence)


def test_contract_bounds_the_recurrence_and_leaves_a_contraction_alone() -> None:
    model = network()
    assert model.from_latent is not None
    with torch.no_grad():
        model.from_latent.weight.mul_(100)
    model.contract()
    norm = torch.linalg.matrix_norm(model.from_latent.weight[: model.latent], 2)
    assert norm.item() == pytest.approx(SPECTRAL_LIMIT, rel=1e-5)
    with torch.no_grad():
        model.from_latent.weight.mul_(0.5)
    before = copy.deepcopy(model.from_latent.weight)
    model.contract()
    assert bool((model.from_latent.weight == before).all())


def test_scale_stays_inside_its_bounds() -> None:
    scale = bounded_scale(torch.tensor([-1e9, 0.0, 1e9]))
    assert scale.tolist() == pytest.approx([SCALE_LOW, (SCALE_LOW + SCALE_HIGH) / 2, SCALE_HIGH])


def test_log_density_of_a_wild_value_is_finite() -> None:
    density = normal_log_density(torch.tensor(1e30), torch.tensor(0.0), torch.tensor(0.05))
    assert float(density) == -1e4


def test_folded_layers_equal_the_layers_in_a_row() -> None:
    layers = [nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 2)]
    x = torch.randn(7, 4)
    torch.testing.assert_close(folded(*layers)(x), nn.Sequential(*layers)(x), rtol=0, atol=1e-6)
