"""What each network learns from the series it is fitted to, and what it is stopped by."""

from collections.abc import Callable

import numpy as np

from service.scoring.series import FloatArray
from trainer.config import BlindSpotConfig, GruVaeConfig
from trainer.fitted import Fitted
from trainer.linear import clip
from trainer.models.blind_spot import BlindSpot, BlindSpotLesson, Windows
from trainer.models.gru_vae import GruVae, GruVaeLesson
from trainer.training import Lesson
from trainer.windows import Lanes, Rows, in_batches, stretches

VALIDATION_STEPS = 500  # length of the runs, each from a fresh state, that the loss is taken over


def lesson_of(fitted: Fitted) -> Lesson | None:
    """The network with the rows it learns from and those that stop it."""
    match fitted.network, fitted.config:
        case BlindSpot() as blind_spot, BlindSpotConfig() as config:
            rows = _pieces(fitted, fitted.linear.leave_one_out.standardise)
            targets = _pieces(fitted, fitted.residual)
            seen, held_out = (Windows(*part) for part in zip(rows, targets, strict=True))
            return BlindSpotLesson(blind_spot, seen, held_out, config=config)
        case GruVae() as gru_vae, GruVaeConfig() as config:
            x, unseen = _pieces(fitted, fitted.residual)
            runs = in_batches(unseen, steps=VALIDATION_STEPS)
            return GruVaeLesson(gru_vae, Lanes(x, config), runs, config=config)
    return None


def _pieces(
    fitted: Fitted, view: Callable[[FloatArray], FloatArray]
) -> tuple[list[Rows], list[Rows]]:
    """Stretches of what `view` makes of clipped scaled rows: of the fit parts, of validation."""
    seen: list[Rows] = []
    held_out: list[Rows] = []
    for index, (one, parts) in enumerate(zip(fitted.series, fitted.splits, strict=True), start=1):
        scaled = fitted.linear.scaling.scale(fitted.rows(index), index)
        rows = view(clip(scaled)).astype(np.float32)  # (time, dimension)
        seen += [rows[piece] for piece in stretches(one, parts.fit)]
        held_out += [rows[piece] for piece in stretches(one, parts.validation)]
    return seen, held_out
