"""Training: series in, a fitted network with its closed-form companions out."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, count as count_from

import numpy as np
import torch

from service.errors import TrainingFailed
from service.scoring.series import FloatArray, Series
from trainer.calibrate import MIN_POINTS
from trainer.checkpoint import Keeper
from trainer.chunks import chunks
from trainer.config import BlindSpotConfig, Config, GruVaeConfig, PcaConfig, SlmrConfig
from trainer.configs_window import WindowConfig
from trainer.epochs import counted
from trainer.fitted import Fitted, Network
from trainer.lessons import lesson_of, settle
from trainer.linear import LAGS, fit_linear, residual_scale, window_ends
from trainer.models.blind_spot import BlindSpot
from trainer.models.gru_vae import GruVae
from trainer.models.pca import fit_window_pca
from trainer.models.slmr import Slmr
from trainer.models.window_network import WindowNetwork
from trainer.models.window_table import window_network
from trainer.nearest import fit_nearest
from trainer.training import Progress, Training, Watcher
from trainer.trim import trim
from trainer.windows import MIN_ROWS, Split, impute, medians, split, stretches

__all__ = ["Fitted", "Progress", "fit", "points_needed"]

RESIDUAL_FLOOR = 0.01  # of a dimension's residual scale, in scaled units


def fit(
    series: Sequence[Series],
    config: Config,
    *,
    on_progress: Watcher | None = None,
    keeper: Keeper | None = None,
    on_epoch: Callable[[Fitted], None] | None = None,
) -> Fitted:
    """Fit one model to all entities; with `epochs` 0 a network keeps its seeded initial weights.

    A keeper gives the checkpoint to go on from, and keeps one; `on_epoch` sees how far it is.
    """
    _check(series)
    with _reproducible(config):
        fitted = _fitted_to_trimmed(series, config) if config.trim else _prepare(series, config)
        lesson = lesson_of(fitted) if config.epochs else None
        if lesson is None:
            settle(fitted)
            return fitted
        training = Training(lesson)  # moves the weights of the fitted network

        def now() -> Fitted:
            history = tuple(training.history)
            return replace(fitted, history=history, best_epoch=training.best_epoch)

        if keeper is not None:
            keeper = keeper.of(fitted.config.model_dump(mode="json"), fitted.training_sha256)
        training.run(
            on_progress or _ignore,
            keeper=keeper,
            on_epoch=None if on_epoch is None else lambda: on_epoch(now()),
        )
        return now()


def points_needed(config: Config) -> int:
    """So many points of an entity are enough to train on; so are more."""
    return next(count for count in count_from(MIN_ROWS) if _is_enough(count, config))


def _is_enough(count: int, config: Config) -> bool:
    try:
        part = split(count, config).calibration
    except TrainingFailed:
        return False
    return bool(part.stop - part.start >= MIN_POINTS)


@contextmanager
def _reproducible(config: Config) -> Iterator[None]:
    """Seed torch, fix its threads and algorithms for one training; leave all as they were."""
    threads = torch.get_num_threads()
    is_strict = torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(min(config.threads, os.cpu_count() or 1))
    torch.use_deterministic_algorithms(mode=True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=is_strict)


def _ignore(progress: Progress) -> None:
    """Nobody watches."""


def _check(series: Sequence[Series]) -> None:
    if not series:
        raise TrainingFailed("expected at least one series to train on, got none")
    names = [one.entity for one in series]
    if len(set(names)) < len(names):
        raise TrainingFailed(f"expected every entity once, got {sorted(names)}")
    for one in series:
        if np.isinf(one.values).any():
            row, dimension = (int(at) for at in np.argwhere(np.isinf(one.values))[0])
            raise TrainingFailed(
                f"expected finite values, got {one.values[row, dimension]} in row {row} of "
                f"{one.entity}, dimension {one.dimensions[dimension]}"
            )
        if one.dimensions != series[0].dimensions:
            raise TrainingFailed(
                f"one network needs the same dimensions everywhere: {series[0].entity} has "
                f"{list(series[0].dimensions)}, {one.entity} has {list(one.dimensions)}"
            )


def _fitted_to_trimmed(series: Sequence[Series], config: Config) -> Fitted:
    trimmed = [trim(one, config) for one in series]
    fitted = _prepare([one.series for one in trimmed], config)
    return replace(fitted, trimmed=tuple(one.ranges for one in trimmed))


def _prepare(series: Sequence[Series], config: Config) -> Fitted:
    """Split, fit the closed-form parts, and build the network with its initial weights."""
    splits = tuple(_split(one, config) for one in series)
    raw = []
    for one, parts in zip(series, splits, strict=True):
        rows = impute(one.values, medians(one.values[parts.fit]))
        raw.append([rows[piece] for piece in stretches(one, parts.fit)])
    chosen = config
    config = counted(config, [len(piece) for own in raw for piece in own])  # networks count on it
    dimensions = series[0].dimensions
    linear = fit_linear(raw, components=config.components(len(dimensions)))
    clipped = [
        linear.scaling.clipped(piece, i) for i, own in enumerate(raw, start=1) for piece in own
    ]
    nearest = None
    if "nearest" in config.members:
        nearest = fit_nearest(clipped, clusters=config.clusters, seed=config.seed)
    fitted = Fitted(
        config=config,
        chosen=chosen,
        dimensions=dimensions,
        entities=tuple(one.entity for one in series),
        linear=linear,
        nearest=nearest,
        window_pca=fit_window_pca(clipped, config) if isinstance(config, PcaConfig) else None,
        residual_scale=np.ones(len(dimensions)),
        network=_network(len(dimensions), config),
        series=tuple(series),
        splits=splits,
        history=(),
        best_epoch=0,
        training_sha256=digest_of(series),
    )
    return replace(fitted, residual_scale=_residual_scale(fitted, clipped))


def _split(series: Series, config: Config) -> Split:
    try:
        return split(len(series.values), config)
    except TrainingFailed as error:
        raise TrainingFailed(f"{series.entity}: {error.detail}") from None


def _network(dimensions: int, config: Config) -> Network:
    """With its seeded initial weights."""
    match config:
        case BlindSpotConfig():
            return BlindSpot(dimensions, config).eval()
        case GruVaeConfig():
            return GruVae(dimensions, config).eval()
        case SlmrConfig():
            return Slmr(dimensions, config).eval()
        case WindowConfig():
            return window_network(dimensions, config).eval()
    return None


def _is_as_scaled(fitted: Fitted) -> bool:
    """Whether the network is asked of scaled rows as they are."""
    if isinstance(fitted.network, WindowNetwork):
        return not fitted.network.is_linear_skip
    return isinstance(fitted.config, GruVaeConfig) and not fitted.config.is_standardised


def _residual_scale(fitted: Fitted, clipped: Sequence[FloatArray]) -> FloatArray:
    """Root mean square of what the skip leaves over of the fit parts; 1 where it is not wanted."""
    if _is_as_scaled(fitted):
        return np.ones(len(fitted.dimensions))
    lags = 0
    if not isinstance(fitted.network, GruVae | WindowNetwork):  # a skip knows no row without lags
        lags = LAGS if fitted.window_pca is None else fitted.window_pca.steps - 1
        window_ends([len(piece) for piece in clipped], lags=lags)  # there are some with lags
    residuals = (_residuals(fitted, piece, lags) for piece in clipped if len(piece) > lags)
    return residual_scale(chain.from_iterable(residuals), floor=RESIDUAL_FLOOR)


def _residuals(fitted: Fitted, piece: FloatArray, lags: int) -> Iterator[FloatArray]:
    """What the skip leaves over of a piece from its row `lags` on, in chunks."""
    for part in chunks(len(piece), first=lags):
        rows = piece[part.start - lags : part.stop]
        yield (rows - fitted.skip(rows))[lags:]


def digest_of(series: Sequence[Series]) -> str:
    """SHA-256 of entities, dimensions, times and values."""
    sha = hashlib.sha256()
    for one in series:
        sha.update(repr((one.entity, one.dimensions, one.values.shape)).encode())
        sha.update(np.ascontiguousarray(one.timestamps_ms, dtype="<i8").data)
        for part in chunks(len(one.values)):
            sha.update(np.ascontiguousarray(one.values[part], dtype="<f8").data)
    return sha.hexdigest()
