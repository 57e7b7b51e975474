import pytest
import torch

from service.errors import SettingInvalid
from trainer.config import preset
from trainer.configs_window import RvaeConfig
from trainer.models.rvae import Rvae

CONFIG = RvaeConfig(window_length=6, hidden=5, dense=4, latent=2, epoch_steps=10, beta_epochs=2)


def network(**changes: object) -> Rvae:
    torch.manual_seed(0)
    return Rvae(3, CONFIG.model_copy(update=changes)).eval()


def windows() -> torch.Tensor:
    return torch.rand(4, 6, 3, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_factor_grows_while_it_warms_up() -> None:
    model = network(kl_weight=0.5)

    def weight(step: int) -> float:
        loss = model.loss(windows(), step=step)
        return float((loss.value - loss.terms["reconstruction"]) / loss.terms["KL"])

    assert weight(5) == pytest.approx(0.125, rel=1e-3)
    assert weight(20) == weight(90) == pytest.approx(0.5, rel=1e-3)
    cold = network(beta_epochs=0, kl_weight=0.5).loss(windows(), step=1)
    assert float(cold.value) == pytest.approx(
        float(cold.terms["reconstruction"] + 0.5 * cold.terms["KL"])
    )


def test_binary_cross_entropy_expects_probabilities() -> None:
    model, x = network(reconstruction="bce"), 3 * windows() - 1
    with torch.no_grad():
        mean = model.judge(x, x[:, -1]).mean
        out = model.out(model.decode(model.encode(x).mean, steps=6))
        known = torch.nn.functional.binary_cross_entropy(torch.sigmoid(out), x.clamp(0, 1))
        code = model.encode(x)
        loss = model.held_out_loss(x)
    assert 0 < float(mean.min()) <= float(mean.max()) < 1
    torch.testing.assert_close(mean, torch.sigmoid(out)[:, -1])
    divergence = code.divergence().mean() / 2
    torch.testing.assert_close(loss, known + CONFIG.kl_weight * divergence)


def test_what_a_pca_leaves_over_is_no_probability() -> None:
    with pytest.raises(SettingInvalid, match="expected mse with is_linear_skip"):
        preset("small", model="rvae", is_linear_skip=True, reconstruction="bce")
