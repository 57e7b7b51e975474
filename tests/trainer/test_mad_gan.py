import pytest
import torch
from torch import nn

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


def gradients(model: MadGan, part: nn.Module, *, step: int) -> torch.Tensor:
    """Of the loss by all weights of a part, in a turn."""
    torch.manual_seed(2)
    value = model.loss(windows(), step=step).value
    found = torch.autograd.grad(value, list(part.parameters()))
    return torch.cat([one.flatten() for one in found])


def test_encoder_learns_the_same_in_every_turn_whatever_the_generator_weighs() -> None:
    model = network(cycle_weight=100.0)
    critical, creative = (gradients(model, model.encoder, step=step) for step in (1, 2))
    torch.testing.assert_close(creative, critical)
    published = network(cycle_weight=0.0)
    torch.testing.assert_close(gradients(published, published.encoder, step=2), critical)


def test_weight_is_of_the_share_of_the_generator_in_inverting_it() -> None:
    by_weight = []
    for weight in (0.0, 50.0, 100.0):
        model = network(cycle_weight=weight)
        by_weight.append(gradients(model, model.generator, step=2))
    none, half, whole = by_weight
    torch.testing.assert_close(whole - none, 2 * (half - none), rtol=1e-3, atol=1e-5)
    assert float((half - none).abs().max()) > 1e-3
    alone = network(cycle_weight=0.0)
    torch.manual_seed(2)
    deception = alone.loss(windows(), step=2).terms["deception"]
    wanted = torch.autograd.grad(deception, list(alone.generator.parameters()))
    alone_wanted = torch.cat([one.flatten() for one in wanted])
    torch.testing.assert_close(none, alone_wanted, rtol=1e-3, atol=1e-5)


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
