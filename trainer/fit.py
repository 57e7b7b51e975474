"""Training: series in, a fitted network with its closed-form companions out."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from service.errors import TrainingFailed
from service.scoring.series import FloatArray, Series
from trainer.config import Config
from trainer.linear import Linear, clip, fit_linear, residual_scale
from trainer.models.gru_vae import GruVae
from trainer.training import Progress, Training, Watcher
from trainer.windows import Lanes, Rows, Split, impute, in_batches, medians, split, stretches

__all__ = ["Fitted", "Progress", "fit", "skip"]

VALIDATION_STEPS = 500  # length of the runs, each from a fresh state, that the loss is taken over
RESIDUAL_FLOOR = 0.01  # of a dimension's residual scale, in scaled units
INPUT_LIMIT = 10.0  # of what enters the network, in residual scales


@dataclass(frozen=True)
class Fitted:
    """All that export, calibration and report need."""

    config: Config
    dimensions: tuple[str, ...]
    entities: tuple[str, ...]  # entity i has index i + 1 in the graphs, 0 is the pooled one
    linear: Linear
    residual_scale: FloatArray  # (dimension,) scaled units per unit of the network's input
    network: GruVae
    series: tuple[Series, ...]  # what it was fitted to, per entity
    splits: tuple[Split, ...]  # per entity
    history: tuple[Progress, ...]  # one per epoch
    best_epoch: int  # 0: the initial weights
    training_sha256: str

    def rows(self, index: int) -> FloatArray:
        """Raw rows (time, dimension) of entity `index` >= 1, every missing value imputed."""
        return impute(self.series[index - 1].values, self.linear.scaling.center[index])

    def network_input(self, clipped: FloatArray) -> Rows:
        """What the network sees of clipped scaled rows: the residual of its linear skip."""
        residual = clipped - skip(self.linear, clipped, self.config)
        scaled = residual / self.residual_scale
        return np.clip(scaled, -INPUT_LIMIT, INPUT_LIMIT).astype(np.float32)


def skip(linear: Linear, clipped: FloatArray, config: Config) -> FloatArray:
    """What is known before the network: the PCA reconstruction, or only the mean."""
    if config.is_linear_skip:
        return linear.pca.reconstruct(clipped)
    return np.broadcast_to(linear.pca.mean, clipped.shape)


def fit(
    series: Sequence[Series],
    config: Config,
    *,
    on_progress: Watcher | None = None,
) -> Fitted:
    """Fit one network to all entities; with `epochs` 0 it keeps its seeded initial weights."""
    _check(series)
    with _reproducible(config):
        fitted = _prepare(series, config)
        if config.epochs == 0:
            return fitted
        return _train(fitted, on_progress or _ignore)


@contextmanager
def _reproducible(config: Config) -> Iterator[None]:
    """Seed torch and fix its threads for one training, and leave both as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(min(config.threads, os.cpu_count() or 1))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            yield
    finally:
        torch.set_num_threads(threads)


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


def _prepare(series: Sequence[Series], config: Config) -> Fitted:
    """Split, fit the closed-form parts, and build the network with its initial weights."""
    splits = tuple(split(len(one.values), config) for one in series)
    raw = []
    for one, parts in zip(series, splits, strict=True):
        rows = impute(one.values, medians(one.values[parts.fit]))
        raw.append([rows[piece] for piece in stretches(one, parts.fit)])
    dimensions = series[0].dimensions
    linear = fit_linear(raw, components=config.components(len(dimensions)))
    scaling = linear.scaling
    clipped = np.vstack(
        [clip(scaling.scale(np.vstack(pieces), i)) for i, pieces in enumerate(raw, start=1)]
    )
    residual = clipped - skip(linear, clipped, config)
    return Fitted(
        config=config,
        dimensions=dimensions,
        entities=tuple(one.entity for one in series),
        linear=linear,
        residual_scale=residual_scale(residual, floor=RESIDUAL_FLOOR),
        network=GruVae(len(dimensions), config).eval(),
        series=tuple(series),
        splits=splits,
        history=(),
        best_epoch=0,
        training_sha256=_digest(series),
    )


def _train(fitted: Fitted, on_progress: Watcher) -> Fitted:
    """Move the weights of the fitted network, which it takes over."""
    seen, held_out = [], []
    for index, (one, parts) in enumerate(zip(fitted.series, fitted.splits, strict=True), start=1):
        scaled = fitted.linear.scaling.scale(fitted.rows(index), index)
        x = fitted.network_input(clip(scaled))  # (time, dimension)
        seen += [x[piece] for piece in stretches(one, parts.fit)]
        held_out += [x[piece] for piece in stretches(one, parts.validation)]
    training = Training(
        fitted.network,
        Lanes(seen, fitted.config),
        in_batches(held_out, steps=VALIDATION_STEPS),
        config=fitted.config,
    )
    training.run(on_progress)
    return replace(fitted, history=tuple(training.history), best_epoch=training.best_epoch)


def _digest(series: Sequence[Series]) -> str:
    sha = hashlib.sha256()
    for one in series:
        sha.update(repr((one.entity, one.dimensions, one.values.shape)).encode())
        sha.update(np.ascontiguousarray(one.timestamps_ms, dtype="<i8").tobytes())
        sha.update(np.ascontiguousarray(one.values, dtype="<f8").tobytes())
    return sha.hexdigest()
