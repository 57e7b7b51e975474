"""What each network learns from the series it is fitted to, and what it is stopped by."""

from collections.abc import Callable, Iterator

import numpy as np

from service.scoring.series import FloatArray
from trainer.chunks import chunks
from trainer.config import BlindSpotConfig, GruVaeConfig, SlmrConfig
from trainer.configs_window import DagmmConfig, WindowConfig
from trainer.fitted import Fitted
from trainer.linear import LAGS
from trainer.models.blind_spot import BlindSpot, BlindSpotLesson, Windows
from trainer.models.dagmm import Dagmm
from trainer.models.gru_vae import GruVae
from trainer.models.gru_vae_lesson import GruVaeLesson, WindowsLesson
from trainer.models.slmr import Slmr
from trainer.models.slmr_lesson import SlmrLesson, SlmrWindows
from trainer.models.window_lesson import WindowLesson, WindowRows, settle_on
from trainer.models.window_network import WindowNetwork
from trainer.shuffled import Shuffled
from trainer.training import Lesson
from trainer.windows import Lanes, Rows, in_batches, stretches

VALIDATION_STEPS = 500  # length of the runs, each from a fresh state, that the loss is taken over


def lesson_of(fitted: Fitted) -> Lesson | None:
    """The network with the rows it learns from and those that stop it."""
    match fitted.network, fitted.config:
        case BlindSpot() as blind_spot, BlindSpotConfig() as config:
            seen, held_out = (Windows(*part) for part in _with_residuals(fitted))
            return BlindSpotLesson(blind_spot, seen, held_out, config=config)
        case GruVae() as gru_vae, GruVaeConfig() as config:
            return _of_gru_vae(fitted, gru_vae, config)
        case Slmr() as slmr, SlmrConfig(window_length=length) as config:
            fit, rest = (SlmrWindows(*part, length=length) for part in _with_residuals(fitted))
            return SlmrLesson(slmr, fit, rest, config=config)
        case WindowNetwork() as network, WindowConfig(window_length=length) as config:
            # windows that end in what is held out may begin in the gap before it
            parts = _pieces(fitted, fitted.residual, before=length - 1)
            first, second = (WindowRows(part, length=length) for part in parts)
            return WindowLesson(network, first, second, config=config)
    return None


def settle(fitted: Fitted) -> None:
    """What a network takes from the rows to fit without learning it, where nothing is learned."""
    match fitted.network, fitted.config:
        case Dagmm() as network, DagmmConfig(window_length=length):
            rows, _ = _pieces(fitted, fitted.residual)
            settle_on(network, WindowRows(rows, length=length))


def _of_gru_vae(fitted: Fitted, network: GruVae, config: GruVaeConfig) -> Lesson:
    x, unseen = _pieces(fitted, fitted.residual)
    if config.lesson == "lanes":
        runs = in_batches(unseen, steps=VALIDATION_STEPS)
        return GruVaeLesson(network, Lanes(x, config), runs, config=config)
    windows = Shuffled(
        x,
        length=config.window_length,
        stride=config.stride,
        batch=config.batch,
        seed=config.seed,
    )
    runs = in_batches(unseen, steps=config.window_length)
    return WindowsLesson(network, windows, runs, config=config)


def _with_residuals(fitted: Fitted) -> Iterator[tuple[list[Rows], list[Rows]]]:
    """Standardised rows and what the skip leaves over: of the fit parts, then of validation."""
    rows = _pieces(fitted, fitted.linear.leave_one_out.standardise)
    return zip(rows, _pieces(fitted, fitted.residual), strict=True)


def _pieces(
    fitted: Fitted, view: Callable[[FloatArray], FloatArray], *, before: int = 0
) -> tuple[list[Rows], list[Rows]]:
    """Stretches of what `view` makes of clipped scaled rows: of the fit parts, of validation.

    The latter begin `before` rows earlier.
    """
    seen: list[Rows] = []
    held_out: list[Rows] = []
    for index, (one, parts) in enumerate(zip(fitted.series, fitted.splits, strict=True), start=1):
        rows = _viewed(fitted, index, view)
        seen += [rows[piece] for piece in stretches(one, parts.fit)]
        unseen = slice(parts.validation.start - before, parts.validation.stop)
        held_out += [rows[piece] for piece in stretches(one, unseen)]
    return seen, held_out


def _viewed(fitted: Fitted, index: int, view: Callable[[FloatArray], FloatArray]) -> Rows:
    """All rows of an entity (time, dimension), in chunks that begin with the lags of a skip."""
    raw = fitted.rows(index)
    rows = np.empty(raw.shape, np.float32)
    for part in chunks(len(raw)):
        before = min(part.start, LAGS)
        clipped = fitted.linear.scaling.clipped(raw[part.start - before : part.stop], index)
        rows[part] = view(clipped)[before:]
    return rows
