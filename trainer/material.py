"""The material of a report: what was found of a bundle, on which data, and its training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict, cast

from service.scoring.bundle import Bundle
from service.scoring.offline import Scored
from service.scoring.series import Series
from trainer.budget import incidents_per_day
from trainer.datasets import Halves
from trainer.evaluate import Evaluation, Measures
from trainer.measures.events import FloatArray
from trainer.threshold_rows import SHOWN, calm_scores, threshold_rows
from trainer.training import Progress

HISTORY = "history.json"


class History(TypedDict):
    """`history.json`."""

    best_epoch: int
    epochs: list[dict[str, float]]


@dataclass(frozen=True)
class Material:
    """Everything a report is made of; what takes long is found once."""

    bundle: Bundle
    halves: Halves
    evaluation: Evaluation  # on the test half; on no series where there is none
    held_out: Sequence[Series]  # the calibration stretches
    held_out_scored: Sequence[Scored]

    @property
    def shown(self) -> tuple[Sequence[Series], Sequence[Scored], str]:
        """What timeline and incident are taken from: the test half if there is one."""
        if self.evaluation.series:
            return self.evaluation.series, self.evaluation.scored, "test half"
        return self.held_out, self.held_out_scored, "held-out end of the training half"

    @cached_property
    def thresholds(self) -> dict[str, Measures]:
        """Threshold -> its measures."""
        calm = calm_scores(self.held_out, self.held_out_scored)
        return threshold_rows(self.bundle, self.evaluation, calibration=calm, choices=SHOWN)

    @cached_property
    def incidents(self) -> dict[str, FloatArray]:
        """Where -> incidents per entity-day at each of `BUDGETS`."""
        observed = {}
        if self.held_out:
            observed["calibration stretch (in sample)"] = incidents_per_day(
                self.bundle, self.held_out, self.held_out_scored
            )
        if self.evaluation.rows:
            observed["test half, outside labelled events"] = incidents_per_day(
                self.bundle, self.evaluation.series, self.evaluation.scored
            )
        return observed

    @property
    def parts(self) -> dict[str, Sequence[Series]]:
        """The data it was made of, by what they were for."""
        return {
            "training half": self.halves.train,
            "held-out end of it, for calibration (and warm-up)": self.held_out,
            "test half": self.halves.test,
        }


def read_history(folder: Path) -> History | None:
    """What was kept of the training; None where nothing was."""
    path = folder / HISTORY
    return cast(History, json.loads(path.read_text())) if path.is_file() else None


def write_history(folder: Path, history: Sequence[Progress], *, best_epoch: int) -> None:
    """Keep what every validation of a training found beside its bundle."""
    epochs = [
        {
            "epoch": p.epoch,
            "step": p.step,
            "loss": p.loss,
            "validation_loss": p.validation_loss,
            "learning_rate": p.learning_rate,
        }
        for p in history
    ]
    text = json.dumps({"best_epoch": best_epoch, "epochs": epochs}, indent=1)
    (folder / HISTORY).write_text(text + "\n")
