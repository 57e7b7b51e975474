"""The answer every graph must give: NumPy float64 around the PyTorch network, step by step."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from service.scoring.series import FloatArray
from trainer.config import GruVaeConfig, Member
from trainer.fitted import Fitted
from trainer.linear import LAGS, clip
from trainer.models.blind_spot import MAX_DIVISOR, BlindSpot
from trainer.models.gru_vae import GruVae
from trainer.models.window_network import WindowNetwork

CLEARLY = 1e-4  # by which one centroid must be nearer than any other, of their squared distances


@dataclass(frozen=True)
class Reference:
    """The answer in scaled units."""

    error: FloatArray  # (batch, member, dimension)
    expected: FloatArray  # (batch, dimension)
    scale: FloatArray  # (batch, dimension)


def reference(fitted: Fitted, rows: FloatArray, entity: npt.NDArray[np.int64]) -> Reference:
    """The answer to the last row of centred windows (batch, time, dimension)."""
    scaling, linear, nearest = fitted.linear.scaling, fitted.linear, fitted.nearest
    offset, span = scaling.offset[entity], scaling.span[entity]  # (batch, dimension)
    scaled = (rows - offset[:, None]) / span[:, None]
    clipped, last = clip(scaled), scaled[:, -1]
    skip = np.stack([fitted.skip(window)[-1] for window in clipped])
    mean, spread, misfit = _said(fitted, clipped, (last - skip) / fitted.residual_scale)
    own = fitted.residual_scale * misfit
    if isinstance(fitted.config, GruVaeConfig) and fitted.config.error == "deviance":
        own = 0.5 * np.square(misfit / spread)

    alone = np.stack([linear.leave_one_out.predict(window)[-1] for window in clipped])
    errors: dict[Member, FloatArray] = {
        "raw": np.abs(rows[:, -1] / span),
        "pca": np.abs(last - linear.pca.reconstruct(clip(last))),
        "leave_one_out": np.abs(last - alone),
        fitted.config.own: own,  # in place of the one above, if there is one
    }
    if nearest is not None:
        errors["nearest"] = nearest.error(_recent(clipped), last)
    error = np.stack([errors[member] for member in fitted.config.members], axis=1)
    expected = skip + fitted.residual_scale * mean + offset / span
    return Reference(error, expected, fitted.residual_scale * spread)


def is_clear(
    fitted: Fitted, rows: FloatArray, entity: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Windows (batch,) whose nearest centroid is the same in float32 as in float64."""
    if fitted.nearest is None or len(fitted.nearest.centroids) == 1:
        return np.ones(len(rows), np.bool_)
    scaling = fitted.linear.scaling
    scaled = (rows - scaling.offset[entity][:, None]) / scaling.span[entity][:, None]
    distances = np.sort(fitted.nearest.squared_distances(_recent(clip(scaled))), axis=1)
    return np.asarray(distances[:, 1] - distances[:, 0] > CLEARLY * distances[:, -1])


def _recent(clipped: FloatArray) -> FloatArray:
    return clipped[:, : -2 - LAGS : -1]  # (batch, 1 + LAGS, dimension), newest first


class _Head(NamedTuple):
    """What a network says, (batch, dimension) in residual scales."""

    mean: FloatArray
    scale: FloatArray
    divisor: FloatArray  # of its error
    share: float = 1.0  # of all heads


def _said(fitted: Fitted, clipped: FloatArray, value: FloatArray) -> tuple[FloatArray, ...]:
    """Mean, scale and error (batch, dimension) of the network, all in residual scales."""
    if isinstance(fitted.network, WindowNetwork):
        x = np.stack([fitted.residual(window) for window in clipped])
        with torch.no_grad():
            said = fitted.network.judge(_float32(x), _float32(value))
        return _float64(said.mean), _float64(said.scale), _float64(said.error)
    heads = _heads(fitted, clipped)
    return (
        np.sum([one.share * one.mean for one in heads], axis=0),
        np.sum([one.share * one.scale for one in heads], axis=0),
        np.sum([one.share * np.abs(value - one.mean) / one.divisor for one in heads], axis=0),
    )


def _heads(fitted: Fitted, clipped: FloatArray) -> list[_Head]:
    """One head, up to two of an SLMR; mean 0 and scale 1 without a network."""
    network, ones = fitted.network, np.ones_like(clipped[:, -1])
    if network is None:
        return [_Head(0 * ones, ones, ones)]
    standardise = fitted.linear.leave_one_out.standardise
    with torch.no_grad():
        if isinstance(network, GruVae):
            x = np.stack([fitted.residual(window) for window in clipped])
            means, scales, _ = network.reconstruct(_float32(x), network.fresh(len(x)))
            return [_Head(_float64(means[:, -1]), _float64(scales[:, -1]), ones)]
        if isinstance(network, BlindSpot):
            mean, scale = map(_float64, network(_float32(standardise(_recent(clipped)))))
            return [_Head(mean, scale, np.minimum(scale, MAX_DIVISOR))]
        said = network(_float32(standardise(clipped)))
    return [
        _Head(_float64(one.mean), scale := _float64(one.scale), np.minimum(scale, 1.0), one.share)
        for one in said.heads
    ]


def _float32(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _float64(tensor: torch.Tensor) -> FloatArray:
    return np.asarray(tensor.double().numpy())
