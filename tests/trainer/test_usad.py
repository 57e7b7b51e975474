import pytest
import torch
from torch import nn

from service.errors import SettingInvalid
from trainer.config import preset
from trainer.configs_window import UsadConfig
from trainer.models.usad import Usad

CONFIG = UsadConfig(window_length=6, latent=4, epochs=10, epoch_steps=10, last_e=3.0)


def network(**changes: object) -> Usad:
    torch.manual_seed(0)
    return Usad(3, CONFIG.model_copy(update=changes)).eval()


def windows() -> torch.Tensor:
    return torch.rand(4, 6, 3, generator=torch.Generator().manual_seed(1))


def names(model: Usad, moved: tuple[nn.Parameter, ...]) -> set[str]:
    known = {id(part) for part in moved}
    return {name.split(".")[0] for name, part in model.named_parameters() if id(part) in known}


def test_autoencoders_learn_in_turns() -> None:
    model = network()
    first, second = (model.loss(windows(), step=step) for step in (1, 2))
    assert names(model, tuple(first.moved)) == {"encoder", "first"}
    assert names(model, tuple(second.moved)) == {"encoder", "second"}


@torch.no_grad()
def test_reconstruction_has_less_and_less_weight() -> None:
    model, x = network(), windows()
    for step, e in ((25, 1.5), (99, 2.98), (50, 2.0), (100, 3.0)):
        loss = model.loss(x, step=step)
        if step % 2:
            known = loss.terms["reconstruction"] / e + (1 - 1 / e) * loss.terms["deception"]
        else:
            known = loss.terms["reconstruction"] / e - (1 - 1 / e) * loss.terms["discrimination"]
        torch.testing.assert_close(loss.value, known)


@torch.no_grad()
def test_error_is_the_root_of_the_score() -> None:
    x = windows()
    first, _, third = (w.reshape(x.shape) for w in network()(x.flatten(1)))
    squares = 0.1 * (x - first).square() + 0.9 * (x - third).square()
    last = network(alpha=0.1).judge(x, x[:, -1])
    torch.testing.assert_close(last.error, squares[:, -1].sqrt())
    torch.testing.assert_close(last.mean, first[:, -1])
    whole = network(alpha=0.1, score="sum").judge(x, x[:, -1])
    torch.testing.assert_close(whole.error, squares.sum(1).sqrt())


def test_no_layer_is_wider_than_wanted() -> None:
    layers = [layer for layer in network(hidden=5).encoder if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in layers] == [5, 4, 4]


def test_values_are_between_zero_and_one() -> None:
    with pytest.raises(SettingInvalid, match="usad cannot have is_linear_skip"):
        preset("small", model="usad", is_linear_skip=True)
