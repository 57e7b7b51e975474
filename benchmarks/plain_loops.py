"""Training as it is usually written: a DataLoader over copies of all windows, shuffled.

The same networks, losses, optimisers and batches as ours; what differs is the loop and where the
windows come from.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.pupils import lesson_for, seen_rows
from service.scoring.series import FloatArray
from trainer.config import BlindSpotConfig, NetworkConfig, SlmrConfig
from trainer.fitted import Fitted
from trainer.lessons import lesson_of
from trainer.linear import INPUT_LIMIT, LAGS
from trainer.models.blind_spot import BlindSpot
from trainer.models.slmr import Slmr
from trainer.models.slmr_lesson import SlmrLesson, shown
from trainer.models.window_network import WindowNetwork
from trainer.schedule import optimiser_of
from trainer.training import Loss, Progress, Training

LossOf = Callable[[list[Tensor], int], Loss]  # of a batch, in a step


def ours_per_second(fitted: Fitted) -> float:
    """Updates per second of the trainer's own loop, with all that it checks and tells."""
    times: list[float] = []

    def watch(progress: Progress) -> None:
        if progress.validation_loss is None:
            times.append(time.process_time())

    Training(lesson_for(fitted)).run(watch)
    return (len(times) - 1) / (times[-1] - times[0])


def plain_per_second(fitted: Fitted, *, updates: int) -> float:
    """Updates per second of the usual loop, the making of the copies left out."""
    config, network = fitted.config, fitted.network
    if not (isinstance(config, NetworkConfig) and isinstance(network, nn.Module)):
        raise TypeError(f"expected a network, got {config.model}")
    dataset, loss_of = _usual(fitted)
    loader = DataLoader(dataset, batch_size=int(config.model_dump()["batch"]), shuffle=True)
    optimiser, times = optimiser_of(network.parameters(), config), list[float]()
    network.train()
    while len(times) <= updates:
        for parts in loader:
            loss = loss_of(parts, 1 + len(times))
            optimiser.zero_grad()
            loss.value.backward(inputs=list(loss.moved) or None)  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), config.gradient_norm or math.inf)
            optimiser.step()
            times.append(time.process_time())
            if len(times) > updates:
                break
    return updates / (times[-1] - times[0])


def _usual(fitted: Fitted) -> tuple[TensorDataset, LossOf]:
    clipped = seen_rows(fitted)
    match fitted.network, fitted.config:
        case BlindSpot() as blind_spot, BlindSpotConfig():
            rows = _windows(fitted.linear.leave_one_out.standardise(clipped), 1 + LAGS)
            targets = torch.from_numpy(fitted.residual(clipped)[LAGS:].astype(np.float32))
            return TensorDataset(rows.flip(1), targets), lambda parts, _: _laplace(
                blind_spot, *parts
            )
        case Slmr(), SlmrConfig():
            return _of_slmr(fitted, clipped)
        case WindowNetwork() as network, _:
            windows = _windows(fitted.residual(clipped), fitted.config.window_length)
            return TensorDataset(windows), lambda parts, step: network.loss(parts[0], step=step)
    raise TypeError(f"expected a model over windows, got {fitted.config.model}")


def _of_slmr(fitted: Fitted, clipped: FloatArray) -> tuple[TensorDataset, LossOf]:
    lesson, length = lesson_of(fitted), fitted.config.window_length
    if not isinstance(lesson, SlmrLesson):
        raise TypeError(f"expected SLMR, got {fitted.config.model}")
    rows = _windows(fitted.linear.leave_one_out.standardise(clipped), length)[LAGS:]
    targets = _windows(fitted.residual(clipped), length)[LAGS:]

    def loss_of(parts: list[Tensor], _step: int) -> Loss:
        group = torch.randint(len(lesson.network.groups), (len(parts[0]),))
        visible = shown(parts[0][:, 1:], lesson.config)
        return lesson.loss_on(parts[0], parts[1], group=group, visible=visible)

    return TensorDataset(rows.clamp(-INPUT_LIMIT, INPUT_LIMIT), targets), loss_of


def _windows(rows: FloatArray, length: int) -> Tensor:
    """Copies (window, time, dimension), oldest row first."""
    views = sliding_window_view(rows.astype(np.float32), length, axis=0)  # (window, D, time)
    return torch.from_numpy(np.ascontiguousarray(views.transpose(0, 2, 1)))


def _laplace(network: BlindSpot, rows: Tensor, targets: Tensor) -> Loss:
    mean, scale = network(rows)
    return Loss(((targets - mean).abs() / scale + scale.log()).mean(), {})
