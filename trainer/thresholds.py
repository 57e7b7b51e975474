"""Thresholds: the field's ways to choose one, side by side on the scores the service gives.

All but `best-f1` see calibration scores and, those that go with the stream, scores of the past.
`best-f1` sees the labels: it is an oracle, for evaluation alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

import numpy as np

from service.errors import SettingInvalid
from trainer.measures.events import BoolArray, FloatArray
from trainer.pareto import peaks_of
from trainer.spot import spot

Method = Literal["pot", "spot", "dspot", "quantile", "epsilon", "fixed", "best-f1"]
ORACLE: Final = "best-f1"
DEFAULTS: Final[Mapping[str, float]] = MappingProxyType(
    {"pot": 1e-3, "spot": 1e-3, "dspot": 1e-3, "quantile": 0.01, "fixed": 1.0}
)
Z_VALUES: Final = np.arange(2.5, 12.0, 0.5)  # deviations that epsilon tries
BUFFER: Final = 49  # points that epsilon adds on both sides of a flag


@dataclass(frozen=True)
class Choice:
    """A way to choose, and its number: a risk, a share of points, or the threshold itself."""

    method: Method
    number: float = 0.0

    def __str__(self) -> str:
        """As it is asked for."""
        return f"{self.method}:{self.number:g}" if self.method in DEFAULTS else self.method


@dataclass(frozen=True)
class Decided:
    """The threshold, the median of one that moves; and which points are beyond it."""

    threshold: float
    flags: BoolArray  # (time,)


def parse_choice(text: str) -> Choice:
    """`pot`, `quantile:0.01`, `fixed:1.5`, ...; raises SettingInvalid."""
    name, colon, number = text.partition(":")
    method = next((one for one in get_args(Method) if one == name), None)
    try:
        value = float(number) if colon else DEFAULTS.get(name, 0.0)
    except ValueError:
        method, value = None, 0.0
    is_share = method in DEFAULTS and method != "fixed"
    if method is None or (colon and method not in DEFAULTS) or (is_share and not 0 < value < 1):
        raise SettingInvalid(
            "expected a threshold of pot, spot or dspot (:risk, such as 0.001), quantile (:share "
            "of points expected to be anomalous), epsilon, fixed (:score) or best-f1, "
            f"came {text!r}"
        )
    return Choice(method, value)


def decide(
    choice: Choice, calibration: FloatArray, scores: FloatArray, *, label: BoolArray | None
) -> Decided | None:
    """Decide scores (time,) in their order; None where what the method needs is missing.

    `calibration` (n,) are scores of points taken as normal; only the oracle sees `label` (time,).
    """
    if choice.method == ORACLE:
        found = best_f1(label, scores) if label is not None and label.any() else None
        return None if found is None else Decided(found, scores >= found)
    if choice.method != "fixed" and not len(calibration):
        return None
    if choice.method in {"spot", "dspot"}:
        is_drifting = choice.method == "dspot"
        levels, flags = spot(calibration, scores, choice.number, is_drifting=is_drifting)
        return Decided(float(np.median(levels)), flags) if len(scores) else None
    found = level(choice, calibration)
    return Decided(found, scores > found)


def level(choice: Choice, calibration: FloatArray) -> float:
    """The threshold itself, of a choice that stays where it is; raises SettingInvalid of others."""
    expect_deployable(choice)
    if choice.method == "fixed":
        return choice.number
    return LEVELS[choice.method](calibration, choice.number)


def expect_deployable(choice: Choice) -> None:
    """Raise SettingInvalid where a threshold moves, or has looked at labels."""
    if choice.method != "fixed" and choice.method not in LEVELS:
        raise SettingInvalid(
            "expected a threshold that stays where it is and sees no label (pot, quantile, epsilon "
            f"or fixed), got {choice}"
        )


def pot(calibration: FloatArray, risk: float) -> float:
    """Peaks over threshold, once: what a share `risk` of points exceeds."""
    return peaks_of(calibration).level(risk)


def quantile(calibration: FloatArray, share: float) -> float:
    """What a `share` of the calibration scores exceeds."""
    return float(np.quantile(calibration, 1.0 - share))


def epsilon(calibration: FloatArray, _: float = 0.0) -> float:
    """Hundman et al., KDD 2018: the mean plus so many deviations that what stays calms down most.

    The drop of mean and deviation, over the number of points flagged with their buffer; the
    highest score where no number of deviations flags some points and less than half.
    """
    mean, deviation = calibration.mean(), calibration.std()
    best, found = -np.inf, float(calibration.max())
    for level in mean + Z_VALUES * deviation:
        flags = calibration >= level
        flagged = _with_buffer(flags).sum()
        if not flags.any() or 2 * flagged >= len(calibration):
            continue
        calm = calibration[~flags]
        drop = (mean - calm.mean()) / mean + (deviation - calm.std()) / deviation
        if drop / flagged > best:
            best, found = drop / flagged, float(level)
    return found


def _with_buffer(flags: BoolArray) -> BoolArray:
    widened = np.convolve(flags, np.ones(2 * BUFFER + 1))[BUFFER : BUFFER + len(flags)]
    return np.asarray(widened > 0.5)


def best_f1(label: BoolArray, scores: FloatArray) -> float:
    """The score at and above which flags have the best point-wise F1; an oracle."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of ties
    hits, flagged = np.cumsum(label[order]), np.arange(1, len(scores) + 1)
    f1 = np.where(last, 2.0 * hits / (flagged + label.sum()), 0.0)
    return float(scores[order][int(np.argmax(f1))])


LEVELS: Final[Mapping[str, Callable[[FloatArray, float], float]]] = MappingProxyType(
    {"pot": pot, "quantile": quantile, "epsilon": epsilon}
)
