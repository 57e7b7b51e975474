import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from trainer.configs_window import DagmmConfig
from trainer.models.dagmm import (
    COVARIANCE_FLOOR,
    Dagmm,
    log_densities,
    log_sum_exp,
    mixture,
    moments,
)

CONFIG = DagmmConfig(layers=(6,), gaussians=3)
DIMENSIONS = 4


def network(**changes: object) -> Dagmm:
    torch.manual_seed(0)
    return Dagmm(DIMENSIONS, CONFIG.model_copy(update=changes)).eval()


def windows(count: int = 64, *, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 5, DIMENSIONS, generator=torch.Generator().manual_seed(seed))


def codes(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(count, 3), torch.softmax(torch.randn(count, 2), dim=1)


def test_moments_are_weighted_and_do_not_depend_on_the_batches() -> None:
    z, gamma = codes()
    found = moments([(z, gamma)])
    for k in range(2):
        weight = gamma[:, k].double().numpy()
        covariance = np.cov(z.numpy().T, aweights=weight, ddof=0) + COVARIANCE_FLOOR * np.eye(3)
        np.testing.assert_allclose(found.covariance[k], covariance, atol=1e-6)
        np.testing.assert_allclose(found.mean[k], np.average(z, axis=0, weights=weight), atol=1e-6)
        assert float(found.share[k]) == pytest.approx(weight.mean())
    apart = moments([(z[:50], gamma[:50]), (z[50:], gamma[50:])])
    for one, other in zip(found, apart, strict=True):
        torch.testing.assert_close(one, other)


def test_densities_are_those_of_scipy() -> None:
    z, gamma = codes()
    found = moments([(z, gamma)])
    logs = log_densities(z.double(), mixture(found))
    for k in range(2):
        normal = multivariate_normal(found.mean[k].numpy(), found.covariance[k].numpy())
        known = normal.logpdf(z.double().numpy()) + np.log(float(found.share[k]))
        np.testing.assert_allclose(logs[:, k], known, atol=1e-6)


@pytest.mark.parametrize("components", [1, 2, 4, 20])
def test_sum_of_densities_without_a_logarithm(components: int) -> None:
    torch.manual_seed(components)
    for spread in (0.0, 1.0, 1e3):
        logs = spread * torch.randn(50, components)
        known = torch.logsumexp(logs, dim=1, keepdim=True)
        torch.testing.assert_close(log_sum_exp(logs), known, rtol=1e-6, atol=1e-5)


@torch.no_grad()
def test_errors_sum_up_to_the_energy_above_the_least_that_was_seen() -> None:
    model, x = network(), windows()
    model.settle([x[:32], x[32:]])
    _, z = model(x[:, -1])
    densities = log_densities(z.double(), mixture(moments([(z, model._membership(z))])))
    energy = -torch.logsumexp(densities, dim=1)  # (B,)
    error = model.judge(x, x[:, -1]).error
    above = (energy - energy.min()).float()
    torch.testing.assert_close(error.sum(1), above, rtol=1e-3, atol=1e-3)
    worst = (x[:, -1] - model(x[:, -1])[0]).abs().argmax(1)
    is_told = above > 0.01
    assert torch.equal(error.argmax(1)[is_told], worst[is_told])


@torch.no_grad()
def test_what_serves_is_of_what_was_seen_not_of_the_batch() -> None:
    model = network()
    model.settle([windows()])
    one, other = windows(8, seed=3), windows(8, seed=4)
    together = model.judge(torch.cat([one, other]), torch.cat([one, other])[:, -1]).error
    torch.testing.assert_close(model.judge(one, one[:, -1]).error, together[:8])
    before = model.held_out_loss(one)
    model.settle([other])
    assert float(model.held_out_loss(one)) != float(before)


@torch.no_grad()
def test_windows_go_in_whole_where_points_alone_do_not() -> None:
    x = windows(4)
    earlier = x.clone()
    earlier[:, 0] += 1.0
    for is_pointwise in (True, False):
        model = network(is_pointwise=is_pointwise)
        same = torch.equal(model.judge(x, x[:, -1]).mean, model.judge(earlier, earlier[:, -1]).mean)
        assert same == is_pointwise
