"""The memory horizon: how many points a recurrent state that started from zero needs.

Measured on calibration rows with the step graph itself. Lanes start from zero at many places; after
k points their network error is compared with the one of the state carried all along. The horizon
is the first k from which on the two agree: 99 % of the differences within .05 interquartile
ranges, and no more than 1 in 1,000 flags of the 99 % quantile flipped. It sets how long an entity
warms up.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.scoring.series import FloatArray
from trainer.fit import Fitted
from trainer.frame import MEMBERS
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


def measure_horizon(fitted: Fitted, folder: Path) -> Horizon:
    """Replay calibration rows from zero and from a carried state through the step graph."""
    graphs = Graphs(folder, state_shapes(fitted))
    spread = np.linspace(1, len(fitted.entities), min(len(fitted.entities), ENTITIES))
    chosen = spread.round().astype(np.int64)
    series = [_calibration_rows(fitted, int(index)) for index in chosen]
    shortest = min(len(rows) for rows in series)
    rows = np.stack([one[-shortest:] for one in series])  # (entity, time, dimension)
    cap = min(CAP, shortest // 3)
    everyone = np.arange(len(chosen))
    carried = _network_error(graphs, rows, chosen, lanes=(everyone, 0 * everyone), steps=shortest)
    lanes = _lanes(entities=len(chosen), first=cap, last=shortest - cap)
    fresh = _network_error(graphs, rows, chosen, lanes=lanes, steps=cap)  # (lane, cap)
    places = lanes[1][:, None] + np.arange(cap)
    return _horizon(fresh, carried[lanes[0][:, None], places], usual=carried[:, cap:])


def _calibration_rows(fitted: Fitted, index: int) -> Array:
    rows = fitted.rows(index)[fitted.splits[index - 1].calibration][-CARRIED_ROWS:]
    return np.asarray(rows - fitted.linear.scaling.center[index], dtype=np.float32)


def _lanes(*, entities: int, first: int, last: int) -> tuple[IndexArray, IndexArray]:
    """Entity and starting row of every lane, evenly spread over rows first..last."""
    each = min(LANES // entities, last - first + 1)
    starts = np.linspace(first, last, each).astype(np.int64)
    return np.repeat(np.arange(entities), each), np.tile(starts, entities)


def _network_error(
    graphs: Graphs,
    rows: Array,
    entity_index: IndexArray,
    *,
    lanes: tuple[IndexArray, IndexArray],
    steps: int,
) -> FloatArray:
    """Mean network error (lane, step) of lanes that start from zero at their rows."""
    entity, start = (np.pad(part, (0, -len(part) % PAD), mode="edge") for part in lanes)
    state, network = graphs.fresh(len(entity)), MEMBERS.index("network")
    errors = np.empty((len(entity), steps))
    for step in range(steps):
        answer, state = graphs.step(rows[entity, start + step], entity_index[entity], state)
        errors[:, step] = answer[0][:, network].mean(axis=1, dtype=np.float64)
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
