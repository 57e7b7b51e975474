"""The loop alone, with a lesson whose validation losses are made up."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from trainer.config import BlindSpotConfig, NetworkConfig
from trainer.schedule import optimiser_of, rate_of
from trainer.training import Loss, Progress, Training


class Scripted:
    """One weight that every update moves, and the validation losses that are to be told."""

    def __init__(self, losses: list[float], config: NetworkConfig) -> None:
        self.network: nn.Module = nn.Linear(1, 1, bias=False)
        self.config = config
        self._losses: Iterator[float] = iter(losses)
        self.weights: list[float] = []  # at every validation

    def next_loss(self, step: int) -> Loss:
        value: Tensor = self.network(torch.full((1, 1), float(step))).sum()
        return Loss(value, {"value": value})

    def validation_loss(self) -> float:
        self.weights.append(next(iter(self.network.parameters())).item())
        return next(self._losses)


def ran(losses: list[float], **knobs: object) -> tuple[Training, Scripted, list[Progress]]:
    known = {"epochs": len(losses) - 1, "epoch_steps": 2, "patience": 2, **knobs}
    lesson = Scripted(losses, BlindSpotConfig.model_validate(known))
    training, seen = Training(lesson), list[Progress]()
    training.run(seen.append)
    return training, lesson, seen


def test_the_best_weights_are_kept_and_the_training_ends_after_patience() -> None:
    training, lesson, _ = ran([9.0, 5.0, 6.0, 7.0, 1.0])
    assert [progress.validation_loss for progress in training.history] == [5.0, 6.0, 7.0]
    assert training.best_epoch == 1
    assert next(iter(lesson.network.parameters())).item() == lesson.weights[1]


def test_without_patience_no_training_ends_early() -> None:
    training, _, _ = ran([9.0, 5.0, 6.0, 7.0, 8.0, 4.0], patience=0)
    assert [progress.epoch for progress in training.history] == [1, 2, 3, 4, 5]
    assert training.best_epoch == 5


def test_a_change_that_is_too_small_is_kept_but_does_not_prolong_the_training() -> None:
    losses = [9.0, 5.0, 4.9, 4.8, 4.7, 4.6]
    training, lesson, _ = ran(losses, min_change=0.5)
    assert [progress.validation_loss for progress in training.history] == [5.0, 4.9, 4.8]
    assert training.best_epoch == 3
    assert next(iter(lesson.network.parameters())).item() == lesson.weights[3]
    assert len(ran(losses)[0].history) == 5


def test_small_changes_add_up_to_one_that_is_large_enough() -> None:
    training, _, _ = ran([9.0, 8.6, 8.2, 7.8, 7.8, 7.8, 7.8], min_change=0.7)
    assert [p.validation_loss for p in training.history] == [8.6, 8.2, 7.8, 7.8]


def test_validation_between_the_epochs_may_find_the_best_weights() -> None:
    knobs = {"epochs": 2, "epoch_steps": 4, "validate_steps": 3}
    training, lesson, _ = ran([9.0, 1.0, 5.0, 6.0, 7.0], **knobs)
    assert [(p.epoch, p.step) for p in training.history] == [(1, 3), (1, 4), (2, 6), (2, 8)]
    assert training.best_epoch == 1
    assert next(iter(lesson.network.parameters())).item() == lesson.weights[1]


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_gradients_are_clipped_only_if_a_limit_is_set(limit: float) -> None:
    _, lesson, _ = ran([9.0, 5.0], epoch_steps=3, gradient_norm=limit, l2=0.0)
    gradient = next(iter(lesson.network.parameters())).grad
    assert gradient is not None
    assert gradient.norm().item() == pytest.approx(limit or 3.0, rel=1e-4)


def test_the_learning_rate_falls_in_steps_or_along_a_cosine() -> None:
    config = BlindSpotConfig(learning_rate=0.8, epochs=10, epoch_steps=1)
    assert rate_of(config, epoch=5, step=5) == pytest.approx(0.8 * (0.02 + 0.98 / 2))
    assert rate_of(config, epoch=10, step=10) == pytest.approx(0.8 * 0.02)
    steps = config.model_copy(update={"anneal_factor": 0.5, "anneal_epochs": 4})
    rates = [rate_of(steps, epoch=epoch, step=epoch) for epoch in range(1, 11)]
    assert rates == pytest.approx([0.8] * 4 + [0.4] * 4 + [0.2] * 2)
    always = steps.model_copy(update={"anneal_factor": 1.0})
    assert rate_of(always, epoch=9, step=9) == 0.8


@pytest.mark.parametrize(("optimiser", "moved"), [("adamw", torch.optim.AdamW), ("adam", None)])
def test_the_optimiser_is_the_one_asked_for(
    optimiser: str, moved: type[torch.optim.Optimizer] | None
) -> None:
    """With l2 = 1 and no gradient, AdamW shrinks the weight and Adam takes a whole step."""
    weight = nn.Parameter(torch.tensor([2.0]))
    config = BlindSpotConfig.model_validate({"optimiser": optimiser, "l2": 1.0})
    chosen = optimiser_of([weight], config)
    weight.grad = torch.zeros(1)
    chosen.step()
    shrunk = 2.0 * (1 - config.learning_rate) if moved else 2.0 - config.learning_rate
    assert weight.item() == pytest.approx(shrunk, rel=1e-6)
