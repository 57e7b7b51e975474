"""Which rows a model sees when: the split of a series, imputation, and lanes for training.

A series is split in time order, with nothing shuffled:

    fit | gap | validation | gap | calibration

Only `fit` moves weights, scaling and linear members; `validation` stops the training;
`calibration` is seen by none of them. The gaps are `window_length - 1` points, so that no window
that ends in one part reaches into another. Validation and calibration may start from a cold state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from service.errors import TrainingFailed
from service.scoring.series import FloatArray, Series
from trainer.config import Config, GruVaeConfig
from trainer.memory import Memory, random_state, set_random

BREAK_PERIODS = 10  # a silence longer than this many usual steps ends a stretch
MIN_ROWS = 16  # of every part, below which nothing can be said

Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Split:
    """The parts of one series as slices of its rows."""

    fit: slice
    validation: slice
    calibration: slice


def split(length: int, config: Config) -> Split:
    """Parts of a series of `length` rows; raises where one of them would be too short."""
    gap = config.window_length - 1
    calibration = length - round(length * config.calibration_share)
    before = calibration - gap
    validation = before - round(calibration * config.validation_share)
    fit = validation - gap
    if fit < MIN_ROWS or before - validation < MIN_ROWS or length - calibration < MIN_ROWS:
        raise TrainingFailed(
            f"a series of {length} rows is too short for windows of {config.window_length}: "
            f"it leaves {max(fit, 0)} rows to fit, {max(before - validation, 0)} to validate and "
            f"{length - calibration} to calibrate, and each part needs {MIN_ROWS}; "
            "give more rows or a smaller window_length"
        )
    return Split(slice(0, fit), slice(validation, before), slice(calibration, length))


def impute(values: FloatArray, fallback: FloatArray) -> FloatArray:
    """Missing values become the last one seen, before the first the dimension's `fallback`.

    Where none is missing the values themselves come back.
    """
    is_present = ~np.isnan(values)  # (time, dimension)
    if is_present.all():
        return values
    filled, order = values.copy(), np.arange(len(values))
    for dimension in np.flatnonzero(~is_present.all(axis=0)):
        seen = np.where(is_present[:, dimension], order, -1)
        last = np.maximum.accumulate(seen)  # -1: none so far
        own = values[np.maximum(last, 0), dimension]
        filled[:, dimension] = np.where(last >= 0, own, fallback[dimension])
    return filled


def medians(values: FloatArray) -> FloatArray:
    """Median of what is present in each dimension; 0 where nothing ever is."""
    result = np.zeros(values.shape[1])
    for dimension, column in enumerate(values.T):
        if not np.isnan(column).all():
            result[dimension] = np.nanmedian(column)
    return result


def stretches(series: Series, part: slice) -> list[slice]:
    """The unbroken pieces of `part`: cut where the timestamps jump."""
    times = series.timestamps_ms[part]
    steps = np.diff(times)
    if not len(steps):
        return [part]
    breaks = np.flatnonzero(steps > BREAK_PERIODS * np.median(steps)) + 1
    edges = [0, *breaks.tolist(), len(times)]
    return [slice(part.start + start, part.start + stop) for start, stop in pairwise(edges)]


class Lanes:
    """An endless supply of chunks (lane, step, dimension); each lane walks along one stretch.

    A lane that comes to the end of its stretch goes on near the beginning of the next one, so that
    all rows are seen equally often; by chance it jumps anywhere. Either way it says that its state
    is to start over.
    """

    def __init__(self, pieces: Sequence[Rows], config: GruVaeConfig) -> None:
        longest = max(len(piece) for piece in pieces)
        self._steps = min(config.tbptt_steps, longest)
        self._reset_probability = config.reset_probability
        self._random = np.random.default_rng(config.seed)
        usable = [piece for piece in pieces if len(piece) >= self._steps]
        self._rows = np.concatenate(usable)
        lengths = np.array([len(piece) for piece in usable])
        self._stops = np.cumsum(lengths)
        self._starts = self._stops - lengths
        # every row from which a whole chunk stays inside its stretch
        self._places = np.concatenate(
            [
                np.arange(start, stop - self._steps + 1)
                for start, stop in zip(self._starts, self._stops, strict=True)
            ]
        )
        self._at = self._random.choice(self._places, config.lanes)
        self._is_fresh = np.ones(config.lanes, dtype=np.bool_)

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next chunk (lane, step, dimension) and which lanes start over (lane,)."""
        index = self._at[:, None] + np.arange(self._steps)
        chunk, is_fresh = self._rows[index], self._is_fresh
        self._advance()
        return torch.from_numpy(chunk), torch.from_numpy(is_fresh)

    def memory(self) -> Memory:
        """Where every lane is, and where chance stands."""
        return {
            "at": self._at.copy(),
            "is_fresh": self._is_fresh.copy(),
            "random": random_state(self._random),
        }

    def recall(self, memory: Memory) -> None:
        """Go on from there."""
        self._at, self._is_fresh = memory["at"], memory["is_fresh"]
        set_random(self._random, memory["random"])

    def _advance(self) -> None:
        piece = np.searchsorted(self._stops, self._at, side="right")
        going_on = self._at + self._steps
        is_over = going_on + self._steps > self._stops[piece]
        by_chance = self._random.random(len(self._at)) < self._reset_probability
        anywhere = self._random.choice(self._places, len(self._at))
        following = (piece + 1) % len(self._stops)
        room = self._stops[following] - self._starts[following] - self._steps + 1
        beginning = self._starts[following] + self._random.integers(np.minimum(room, self._steps))
        self._at = np.where(by_chance, anywhere, np.where(is_over, beginning, going_on))
        self._is_fresh = is_over | by_chance


def in_batches(pieces: Sequence[Rows], *, steps: int) -> list[torch.Tensor]:
    """Every piece cut into runs of `steps` rows, runs of equal length stacked: (run, step, D)."""
    runs: dict[int, list[Rows]] = {}
    for piece in pieces:
        for start in range(0, len(piece), steps):
            run = piece[start : start + steps]
            runs.setdefault(len(run), []).append(run)
    return [torch.from_numpy(np.stack(group)) for _, group in sorted(runs.items())]
