"""The answer every graph must give: NumPy float64 around the PyTorch network, step by step."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from service.scoring.series import FloatArray
from trainer.config import Member
from trainer.fitted import Fitted
from trainer.linear import LAGS, clip
from trainer.models.blind_spot import MAX_DIVISOR, BlindSpot
from trainer.models.gru_vae import GruVae

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
    mean, scale = _network(fitted, clipped)
    expected = skip + fitted.residual_scale * mean
    is_relative = isinstance(fitted.network, BlindSpot)
    divisor = np.minimum(scale, MAX_DIVISOR) if is_relative else 1.0

    alone = np.stack([linear.leave_one_out.predict(window)[-1] for window in clipped])
    errors: dict[Member, FloatArray] = {
        "raw": np.abs(rows[:, -1] / span),
        "pca": np.abs(last - linear.pca.reconstruct(clip(last))),
        "leave_one_out": np.abs(last - alone),
        "network": np.abs(last - expected) / divisor,
    }
    if nearest is not None:
        errors["nearest"] = nearest.error(_recent(clipped), last)
    error = np.stack([errors[member] for member in fitted.config.members], axis=1)
    return Reference(error, expected + offset / span, fitted.residual_scale * scale)


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


def _network(fitted: Fitted, clipped: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and scale (batch, dimension) in units of the residual scale; 0 and 1 without one."""
    network, last = fitted.network, clipped[:, -1]
    if network is None:
        return np.zeros_like(last), np.ones_like(last)
    with torch.no_grad():
        if isinstance(network, GruVae):
            x = np.stack([fitted.residual(window) for window in clipped])
            means, scales, _ = network.reconstruct(_float32(x), network.fresh(len(x)))
            mean, scale = means[:, -1], scales[:, -1]
        else:
            lags = fitted.linear.leave_one_out.standardise(_recent(clipped))
            mean, scale = network(_float32(lags))
    return mean.double().numpy(), scale.double().numpy()


def _float32(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
