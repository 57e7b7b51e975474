"""The memory horizon: how many points a recurrent state that started from zero needs.

Measured on calibration rows with the step graph itself. Lanes start from zero at many places; after
k points the error of what they expect is compared with that of the state carried all along. The
horizon is the first k from which on the two agree: 99 % of the differences within .05 interquartile
ranges, and no more than 1 in 1,000 flags of the 99 % quantile flipped. It sets how long an entity
warms up. Where nothing but the lags is carried it is their number and one, without measuring.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.scoring.series import FloatArray
from trainer.fitted import Fitted
from trainer.graphs import state_shapes
from trainer.linear import LAGS
from trainer.parity import PAD, Array, Graphs, IndexArray

CAP = 512  # points; no longer horizon is looked for
LANES = 1024  # started from zero
ENTITIES = 16  # at most, evenly spread
CARRIED_ROWS = 4096  # of each
AGREED_IQR, AGREED_FLIPS, FLAG_QUANTILE = 0.05, 0.001, 0.99


@dataclass(frozen=True)
class Horizon:
    """Points until a fresh state agrees; `is_reached` is False where it may be longer."""

    points: int
    is_reached: bool


def measure_horizon(fitted: Fitted, folder: Path, *, step: str = "step.onnx") -> Horizon:
    """Replay calibration rows from zero and from a carried state through the step graph."""
    shapes = state_shapes(fitted)
    if list(shapes) == ["lags"]:
        return Horizon(shapes["lags"][0] + 1, is_reached=True)
    replay = _replay(fitted, Graphs(folder, shapes, step=step))
    entities, cap, shortest = len(replay.rows), replay.cap, replay.rows.shape[1]
    carried = replay.carried()
    lanes = _lanes(entities=entities, first=cap, last=shortest - cap)
    fresh = replay.errors(lanes, steps=cap)  # (lane, cap)
    places = lanes[1][:, None] + np.arange(cap)
    return _horizon(fresh, carried[lanes[0][:, None], places], usual=carried[:, cap:])


def calibration_errors(fitted: Fitted, graphs: Graphs) -> FloatArray:
    """Mean scaled |value - expected| (entity, time) of a state carried over calibration rows."""
    replay = _replay(fitted, graphs)
    return replay.carried()[:, replay.cap :]


def _replay(fitted: Fitted, graphs: Graphs) -> "_Replay":
    spread = np.linspace(1, len(fitted.entities), min(len(fitted.entities), ENTITIES))
    chosen = spread.round().astype(np.int64)
    series = [_calibration_rows(fitted, int(index)) for index in chosen]
    shortest = min(len(rows) for rows in series)
    rows = np.stack([one[-shortest:] for one in series])  # (entity, time, dimension)
    return _Replay(graphs, rows, chosen, fitted.linear.scaling.span[chosen])


def _calibration_rows(fitted: Fitted, index: int) -> Array:
    rows = fitted.rows(index)[fitted.splits[index - 1].calibration][-CARRIED_ROWS:]
    return np.asarray(rows - fitted.linear.scaling.center[index], dtype=np.float32)


def _lanes(*, entities: int, first: int, last: int) -> tuple[IndexArray, IndexArray]:
    """Entity and starting row of every lane, evenly spread over rows first..last."""
    each = min(LANES // entities, last - first + 1)
    starts = np.linspace(first, last, each).astype(np.int64)
    return np.repeat(np.arange(entities), each), np.tile(starts, entities)


@dataclass(frozen=True)
class _Replay:
    """Rows of several entities, to be sent through the step graph from anywhere."""

    graphs: Graphs
    rows: Array  # (entity, time, dimension)
    entity_index: IndexArray  # (entity,)
    span: FloatArray  # (entity, dimension)

    @property
    def cap(self) -> int:
        """Points that a state may take to forget where it began."""
        return min(CAP, int(self.rows.shape[1]) // 3)

    def carried(self) -> FloatArray:
        """Errors (entity, time) of every entity from its first row on."""
        everyone = np.arange(len(self.rows))
        return self.errors((everyone, 0 * everyone), steps=self.rows.shape[1])

    def errors(self, lanes: tuple[IndexArray, IndexArray], *, steps: int) -> FloatArray:
        """Mean scaled |value - expected| (lane, step) of lanes that start from zero."""
        entity, start = (np.pad(part, (0, -len(part) % PAD), mode="edge") for part in lanes)
        state, span = self.graphs.fresh(len(entity)), self.span[entity]
        errors = np.empty((len(entity), steps))
        for step in range(steps):
            values = self.rows[entity, start + step]
            answer, state = self.graphs.step(values, self.entity_index[entity], state)
            errors[:, step] = (np.abs(values - answer[1]) / span).mean(axis=1)
        return errors[: len(lanes[0])]


def _horizon(fresh: FloatArray, carried: FloatArray, *, usual: FloatArray) -> Horizon:
    """The first point from which on `fresh` agrees with `carried`, both (lane, step)."""
    low, high, flag = np.quantile(usual, [0.25, 0.75, FLAG_QUANTILE])
    difference = np.quantile(np.abs(fresh - carried), 0.99, axis=0)  # (step,)
    flips = ((fresh > flag) != (carried > flag)).mean(axis=0)  # (step,)
    is_apart = (difference > AGREED_IQR * (high - low)) | (flips > AGREED_FLIPS)
    if is_apart[-1]:
        return Horizon(len(is_apart), is_reached=False)
    agreed = int(np.flatnonzero(is_apart)[-1]) + 2 if is_apart.any() else 1
    return Horizon(max(agreed, LAGS + 1), is_reached=True)
