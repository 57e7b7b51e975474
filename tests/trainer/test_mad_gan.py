import pytest
import torch

from service.errors import SettingInvalid
from trainer.config import preset
from trainer.configs_window import MadGanConfig
from trainer.models.mad_gan import MadGan
from trainer.training import Loss

CONFIG = MadGanConfig(window_length=6, hidden=5, latent=2, generator_rounds=2)


def network(**changes: object) -> MadGan:
    torch.manual_seed(0)
    return MadGan(3, CONFIG.model_copy(update=changes)).eval()


def windows() -> torch.Tensor:
    return torch.rand(4, 6, 3, generator=torch.Generator().manual_seed(1))


def moved(model: MadGan, loss: Loss) -> set[str]:
    known = {id(part) for part in loss.moved}
    return {name.split(".")[0] for name, part in model.named_parameters() if id(part) in known}


def test_generator_learns_more_often_than_the_discriminator_and_the_encoder_always() -> None:
    model = network()
    turns = [moved(model, model.loss(windows(), step=step)) for step in range(1, 7)]
    critical, creative = {"encoder", "discriminator"}, {"encoder", "generator"}
    assert turns == [critical, creative, creative] * 2


def test_encoder_does_not_bend_the_generator_towards_its_own_codes() -> None:
    model = network(cycle_weight=0.0)
    loss = model.loss(windows(), step=2)
    loss.terms["inversion"].backward(retain_graph=True)  # type: ignore[no-untyped-call]
    reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert reached == {"encoder"}
    torch.testing.assert_close(loss.value, loss.terms["deception"] + loss.terms["inversion"])


@torch.no_grad()
def test_error_is_what_is_not_generated_and_what_looks_made_up() -> None:
    model, x = network(discrimination_weight=0.3), windows()
    made = model.generate(model.encoder(x))
    real = torch.sigmoid(model.discriminator(x))[:, -1]
    said = model.judge(x, x[:, -1])
    known = 0.7 * (x[:, -1] - made[:, -1]).abs() + 0.3 * (1 - real)
    torch.testing.assert_close(said.error, known)
    assert 0 < float(said.mean.min()) <= float(said.mean.max()) < 1
    torch.testing.assert_close(model.held_out_loss(x), (x - made).square().mean())


def test_values_are_between_zero_and_one() -> None:
    with pytest.raises(SettingInvalid, match="mad_gan cannot have is_linear_skip"):
        preset("small", model="mad_gan", is_linear_skip=True)
