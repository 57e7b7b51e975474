"""What SLMR learns: to foretell the next point, and to fill in what is hidden of a window."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from service.errors import TrainingFailed
from trainer.config import SlmrConfig
from trainer.linear import INPUT_LIMIT, LAGS
from trainer.models.slmr import Head, Slmr
from trainer.training import Loss
from trainer.windows import Rows

HELD_OUT_BATCH = 512  # windows
SMALLEST = 1e-12  # a root has no slope at 0
HELD_OUT_WINDOWS = 1024  # at most, evenly spread: an epoch must not be mostly validation


def shown(rows: Tensor, config: SlmrConfig) -> Tensor:
    """1 where a value of `rows (B, W, D)` stays visible while learning, else 0; broadcasts.

    `spatial` hides dimensions all along; the others hide runs of `mask_length` points on average,
    by a two-state Markov chain: of all dimensions together (`temporal`), or of each (`separate`).
    `bernoulli` hides every value by itself.
    """
    batch, steps, dimensions = rows.shape
    ratio = config.mask_ratio
    if config.mask_mode == "spatial":
        return (torch.rand(batch, 1, dimensions) >= ratio).float()
    if config.mask_mode == "bernoulli":
        return (torch.rand(batch, steps, dimensions) >= ratio).float()
    chains = torch.rand(steps, batch, 1 if config.mask_mode == "temporal" else dimensions)
    leaving = 1 / config.mask_length
    entering = leaving * ratio / (1 - ratio)
    is_shown = [chains[0] >= ratio]
    for chance in chains[1:]:
        is_shown.append(torch.where(is_shown[-1], chance >= entering, chance < leaving))
    return torch.stack(is_shown, dim=1).float()


class SlmrWindows:
    """Windows of pieces (time, dimension) with what is asked of the network at each row."""

    def __init__(self, rows: Sequence[Rows], targets: Sequence[Rows], *, length: int) -> None:
        self._rows = torch.from_numpy(np.concatenate(rows))
        self._targets = torch.from_numpy(np.concatenate(targets))
        stops = np.cumsum([len(piece) for piece in rows])
        # the first target of a window, too, must have all its lags in the piece
        ends = [
            np.arange(stop - len(piece) + LAGS + length - 2, stop)
            for piece, stop in zip(rows, stops, strict=True)
        ]
        self._ends = torch.from_numpy(np.concatenate(ends))
        self._places = torch.arange(length) - (length - 1)
        if not len(self._ends):
            longest = max(len(piece) for piece in rows)
            raise TrainingFailed(
                f"expected {LAGS + length - 1} rows without a break to fit and to validate, "
                f"got at most {longest} in a row; give more rows or a smaller window_length"
            )

    def __len__(self) -> int:
        return len(self._ends)

    def at(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Windows (B, T, D), oldest row first, and targets (B, T, D)."""
        index = self._ends[places][:, None] + self._places
        return self._rows[index].clamp(-INPUT_LIMIT, INPUT_LIMIT), self._targets[index]

    def is_moving(self) -> Tensor:
        """Dimensions (D,) that are not constant; all of them where none moves."""
        is_moving = self._rows.amax(0) > self._rows.amin(0)
        return is_moving | ~is_moving.any()


class SlmrLesson:
    """Random windows of the fit parts; the loss is the Laplace likelihood of both heads."""

    def __init__(
        self, network: Slmr, seen: SlmrWindows, held_out: SlmrWindows, *, config: SlmrConfig
    ) -> None:
        self.network, self.config = network, config
        self._seen, self._held_out = seen, held_out
        self._moving = seen.is_moving().float()  # (D,)

    def next_loss(self, step: int) -> Loss:  # noqa: ARG002  no loss of ours changes with time
        """Of random windows, one group hidden in each, and more by the mode of masking."""
        rows, targets = self._seen.at(torch.randint(len(self._seen), (self.config.batch,)))
        group = torch.randint(len(self.network.groups), (len(rows),))
        visible = shown(rows[:, 1:], self.config)
        return self.loss_on(rows, targets, group=group, visible=visible)

    def validation_loss(self) -> float:
        """Mean over held-out windows, the groups hidden in turn, and nothing else."""
        count = min(len(self._held_out), HELD_OUT_WINDOWS)
        chosen = torch.linspace(0, len(self._held_out) - 1, count).long()
        groups, total = len(self.network.groups), 0.0
        for places in torch.split(chosen, HELD_OUT_BATCH):
            rows, targets = self._held_out.at(places)
            visible = torch.ones_like(rows[:, 1:])
            loss = self.loss_on(rows, targets, group=places % groups, visible=visible)
            total += float(loss.value) * len(places)
        return total / count

    def loss_on(self, rows: Tensor, targets: Tensor, *, group: Tensor, visible: Tensor) -> Loss:
        """Of the forecast, and of what is filled in: what is hidden, or all where nothing is."""
        network, gamma = self.network, self.config.reconstruction_weight
        hidden = network.groups[group]  # (B, D)
        is_seen = visible * (1 - hidden)[:, None]
        passes = network.chosen((rows[:, :-1] * visible)[None], (rows[:, 1:] * is_seen)[None])
        flags = network.chosen(torch.zeros_like(hidden)[None], hidden[None])
        h, _ = network.represent(passes, flags)
        measured = misfit if network.has_scale else distance
        outputs = [network.forecast(h[0])[:, None]] if network.is_forecast else []  # (B, 1, 2 D)
        if network.is_filled:
            outputs.append(network.fill(network.decode(h[-1:])[0]))  # (B, W, 2 D)
        heads, terms = network.heads(*outputs), dict[str, Tensor]()
        if network.is_forecast:
            terms["forecast"] = measured(targets[:, -1:], heads[0], asked=self._moving)
        if network.is_filled:
            is_hidden = hidden if self.config.spatial_groups else 1 - hidden
            asked = (is_hidden * self._moving)[:, None]  # (B, 1, D)
            terms["reconstruction"] = measured(targets[:, 1:], heads[-1], asked=asked)
        if len(terms) == 1:
            return Loss(next(iter(terms.values())), terms)
        return Loss(terms["forecast"] + gamma * terms["reconstruction"], terms)


def misfit(targets: Tensor, head: Head, *, asked: Tensor) -> Tensor:
    """Mean -log Laplace(target; mean, scale) without its constant where `asked` is 1, else 0."""
    return _mean((targets - head.mean).abs() / head.scale + head.scale.log(), asked)


def distance(targets: Tensor, head: Head, *, asked: Tensor) -> Tensor:
    """Root mean square of target - mean where `asked` is 1, as published."""
    return (_mean((targets - head.mean).square(), asked) + SMALLEST).sqrt()


def _mean(losses: Tensor, asked: Tensor) -> Tensor:
    """Over all that is asked; 0 where nothing is."""
    asked = asked.expand_as(losses)
    return (losses * asked).sum() / asked.sum().clamp_min(1)
