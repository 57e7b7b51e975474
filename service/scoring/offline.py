"""Whole series through the fold, point after point: what the service would have answered."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.scoring.fold import Fold, Points, States, Status, Verdicts
from service.scoring.incident import Transition
from service.scoring.series import Series
from service.scoring.tail import p_value

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """A transition of an incident, and the incident after it."""

    row: int
    transition: Transition
    incident: np.void


@dataclass(frozen=True)
class Scored:
    """A series with its verdicts; NaN where a point was not scored."""

    score: FloatArray  # (time,)
    severity: FloatArray
    p_value: FloatArray
    is_anomaly: npt.NDArray[np.bool_]
    status: npt.NDArray[np.str_]
    contribution: npt.NDArray[np.float32]  # (time, dimension)
    expected: npt.NDArray[np.float32]  # (time, dimension)
    told: list[Told]


def score_series(
    fold: Fold,
    series: Sequence[Series],
    *,
    states: States | None = None,
    on_point: Callable[[int], None] | None = None,
) -> list[Scored]:
    """Score all series side by side, each from a fresh state.

    Or from its own of `states` (series,), which are advanced in place. `on_point` hears how many
    points were scored since it was last called.
    """
    scored = [_unscored(len(one.values), fold.dimensions) for one in series]
    for rows, members, verdicts in _verdicts(fold, series, states):
        for position, member in enumerate(members):
            _fill(scored[member], rows, verdicts, position)
        if on_point is not None:
            on_point(len(members))
    return scored


def lockstep(lengths: Sequence[int]) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Each time step with the series that still have a point there, longest first."""
    order = np.argsort([-length for length in lengths], kind="stable")
    descending = np.array([lengths[member] for member in order])
    for time in range(max(lengths, default=0)):
        yield time, order[: int((descending > time).sum())]


def _verdicts(
    fold: Fold, series: Sequence[Series], states: States | None
) -> Iterator[tuple[int, npt.NDArray[np.int64], Verdicts]]:
    known = fold.bundle.entity_indices
    index = np.array([known.get(one.entity, 0) for one in series], np.int64)
    values = [
        fold.centre(one.values, np.full(len(one.values), i, np.int64))
        for one, i in zip(series, index, strict=True)
    ]
    states = fold.fresh(index) if states is None else states
    for time, members in lockstep([len(one.values) for one in series]):
        if len(series) == 1:  # nothing is gathered, and the state advances where it is
            now = slice(time, time + 1)
            points = Points(index, series[0].timestamps_ms[now], values[0][now])
            yield time, members, fold.advance(states, points)
            continue
        points = Points(
            entity_index=index[members],
            timestamps_ms=np.array([series[m].timestamps_ms[time] for m in members], np.int64),
            values=np.stack([values[m][time] for m in members]),
        )
        states[members], verdicts = fold.step(states[members], points)
        yield time, members, verdicts


def _unscored(length: int, dimensions: int) -> Scored:
    return Scored(
        score=np.full(length, np.nan),
        severity=np.full(length, np.nan),
        p_value=np.full(length, np.nan),
        is_anomaly=np.zeros(length, bool),
        status=np.full(length, "", dtype="<U11"),
        contribution=np.full((length, dimensions), np.nan, np.float32),
        expected=np.full((length, dimensions), np.nan, np.float32),
        told=[],
    )


def _fill(scored: Scored, row: int, verdicts: Verdicts, position: int) -> None:
    status = Status(verdicts.status[position])
    scored.status[row] = status.name.lower()
    if transition := verdicts.transition[position]:
        told = Told(row, Transition(transition), verdicts.incident[position].copy())
        scored.told.append(told)
    if status == Status.WARMING:
        return
    scored.score[row] = verdicts.score[position]
    scored.severity[row] = verdicts.severity[position]
    scored.p_value[row] = p_value(verdicts.surprisal[position])
    scored.is_anomaly[row] = verdicts.is_anomaly[position]
    scored.contribution[row] = verdicts.contributions[position]
    scored.expected[row] = verdicts.expected[position]
