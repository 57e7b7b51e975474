"""What a search makes better without a label: how breaks that were made rank, or held-out loss.

`injected`: the end of every training series is kept away from the fit, breaks are put into it, and
the severity is to rank them (average precision; higher is better). All models and knobs can be
compared. `loss`: the held-out loss of the training (lower is better); faster, and comparable only
between knobs that leave the loss itself as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np

from service.errors import SettingInvalid
from service.scoring.series import FloatArray, Series
from trainer.attended import Tell
from trainer.benchmark.faults import FAULTS, look_at
from trainer.benchmark.injection import Layout, clean_points, inject
from trainer.build import build_bundle
from trainer.config import Config, NetworkConfig
from trainer.fit import fit
from trainer.measures.ranking import average_precision
from trainer.run import score
from trainer.training import Watcher
from trainer.windows import impute, medians

Objective = Literal["injected", "loss"]
HELD_OUT_SHARE, MOST_HELD_OUT = 0.25, 10_000  # of the rows of every series, its end
STRUCK_SHARE = 0.16  # of the points behind the clean part
USUAL_POINTS = 60  # of a break


@dataclass(frozen=True)
class Exam:
    """Series to fit, and those in which breaks are to be found."""

    fit: tuple[Series, ...]
    broken: tuple[Series, ...]  # labelled by what was injected
    period_seconds: float

    def injected(self, config: Config, watch: Watcher) -> float:
        """Mean over entities of the average precision of the severity."""
        fitted = fit(self.fit, config, on_progress=watch)
        with TemporaryDirectory(prefix="gaugewatch-tune-") as folder:
            bundle = build_bundle(
                fitted, Path(folder), name="trial", period_seconds=self.period_seconds
            )
            scored = score(bundle, self.broken, _unheard)
        both = zip(self.broken, scored, strict=True)
        return fmean(_precision(one, own.severity) for one, own in both)

    def loss(self, config: Config, watch: Watcher) -> float:
        """Of the weights that are kept."""
        history = fit(self.fit, config, on_progress=watch).history
        return min(one.validation_loss for one in history if one.validation_loss is not None)


def exam_of(
    series: Sequence[Series], objective: Objective, *, seed: int, period_seconds: float
) -> Exam:
    """The same for every trial; raises BadSeries where a series is too short to be broken."""
    if objective == "loss":
        return Exam(tuple(series), (), period_seconds)
    heads = [_part(one, slice(0, _held_out(one))) for one in series]
    ends = [_part(one, slice(_held_out(one), None)) for one in series]
    broken = [_broken(end, head, seed=seed) for head, end in zip(heads, ends, strict=True)]
    return Exam(tuple(heads), tuple(broken), period_seconds)


def expect_loss(config: Config) -> None:
    """Raise SettingInvalid where a model is not trained and has no loss."""
    if not (isinstance(config, NetworkConfig) and config.epochs):
        raise SettingInvalid(f"{config.model} without a training has no loss: choose injected")


def _held_out(series: Series) -> int:
    """The first row that is kept away from the fit."""
    count = len(series.values)
    return count - min(round(HELD_OUT_SHARE * count), MOST_HELD_OUT)


def _part(series: Series, rows: slice) -> Series:
    return replace(
        series,
        timestamps_ms=series.timestamps_ms[rows],
        values=series.values[rows],
        label=None,
        segments=(),
    )


def _broken(end: Series, head: Series, *, seed: int) -> Series:
    usual = medians(head.values)
    seen = look_at(impute(head.values, usual))
    faults = [fault for fault in FAULTS if fault != "pair" or seen.pairs]
    behind = len(end.values) - clean_points(len(end.values), Layout())
    layout = Layout(segments=max(1, round(STRUCK_SHARE * behind / USUAL_POINTS)))
    return inject(
        replace(end, values=impute(end.values, usual)),
        seen,
        faults=faults,
        draw=0,
        seed=seed,
        layout=layout,
    )


def _precision(series: Series, severity: FloatArray) -> float:
    label = np.zeros(len(severity), np.bool_) if series.label is None else series.label
    is_scored = np.isfinite(severity)
    return average_precision(label[is_scored], severity[is_scored])


def _unheard(title: str, *, total: float | None) -> Tell:  # noqa: ARG001
    def tell(completed: float, detail: str = "") -> None:
        """Nobody listens."""

    return tell
