"""SPOT and DSPOT: a threshold that goes with the stream (Siffer et al., KDD 2017).

As published, alarms teach nothing, so the tail is cut short and alarms become two to four times too
many. Here the first point of an alarm enters, as high as the threshold is.
"""

from collections import deque
from typing import Final

import numpy as np

from trainer.measures.events import BoolArray, FloatArray
from trainer.pareto import Peaks, peaks_of

MAX_PEAKS, REFIT_PEAKS = 2_000, 25  # kept of a stream; new ones before the next fit
DEPTH: Final = 100  # normal scores that the moving average of DSPOT is over


def spot(
    calibration: FloatArray, scores: FloatArray, risk: float, *, is_drifting: bool = False
) -> tuple[FloatArray, BoolArray]:
    """The threshold before each score (time,), and whether the score is beyond it.

    It begins with what `calibration` (n,) leads to; DSPOT (`is_drifting`) does the same to what
    the mean of the last normal scores leaves over.
    """
    drift = _Drift(DEPTH if is_drifting else 0)
    stream = _Stream(peaks_of(np.array([drift.left(score) for score in calibration])), risk)
    levels, flags = np.empty(len(scores)), np.zeros(len(scores), np.bool_)
    for row, score in enumerate(scores.tolist()):
        levels[row] = stream.level + drift.mean
        flags[row] = stream.is_beyond(score - drift.mean)
        if not flags[row]:
            drift.left(score)
    return levels, flags


class _Drift:
    """The mean of the last normal scores; 0 of none."""

    def __init__(self, depth: int) -> None:
        self._scores: deque[float] = deque(maxlen=depth)
        self.mean = 0.0

    def left(self, score: float) -> float:
        """What a score has beyond the mean before it, which it then enters."""
        left = score - self.mean
        self._scores.append(score)
        self.mean = sum(self._scores) / max(len(self._scores), 1)
        return left


class _Stream:
    """Peaks that grow point by point, and the threshold they lead to."""

    def __init__(self, peaks: Peaks, risk: float) -> None:
        self._initial, self._count, self._risk = peaks.initial, peaks.count, risk
        self._excesses = deque(peaks.excesses.tolist(), maxlen=MAX_PEAKS)
        self._seen = len(peaks.excesses)  # peaks, those no longer kept too
        self._new, self._was_beyond = 0, False
        self.level = peaks.level(risk)

    def is_beyond(self, score: float) -> bool:
        """Whether a score is beyond the threshold; then it is learned from."""
        is_beyond, was_beyond = score > self.level, self._was_beyond
        self._was_beyond = is_beyond
        if is_beyond and was_beyond:
            return True
        self._count += 1
        if score > self._initial:
            self._excesses.append(min(score, self.level) - self._initial)
            self._new, self._seen = self._new + 1, self._seen + 1
        if self._new >= REFIT_PEAKS:
            self.level, self._new = self._peaks().level(self._risk), 0
        return is_beyond

    def _peaks(self) -> Peaks:
        count = round(self._count * len(self._excesses) / self._seen)
        return Peaks(self._initial, np.array(self._excesses), count)
