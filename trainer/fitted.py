"""What a training leaves behind: everything that export, calibration and report need."""

from dataclasses import dataclass

import numpy as np

from service.scoring.series import FloatArray, Series
from trainer.config import Config
from trainer.linear import INPUT_LIMIT, Linear
from trainer.models.blind_spot import BlindSpot
from trainer.models.gru_vae import GruVae
from trainer.models.pca import WindowPca
from trainer.models.slmr import Slmr
from trainer.models.window_network import WindowNetwork
from trainer.nearest import Nearest
from trainer.training import Progress
from trainer.trim import Ranges
from trainer.windows import Split, impute

# None: the linear prediction is all there is
Network = BlindSpot | GruVae | Slmr | WindowNetwork | None


@dataclass(frozen=True)
class Fitted:
    """The closed-form parts, the network, and the series they were fitted to."""

    config: Config  # with an epoch that counts itself counted
    chosen: Config  # as it was asked for; this is what a manifest tells
    dimensions: tuple[str, ...]
    entities: tuple[str, ...]  # entity i has index i + 1 in the graphs, 0 is the pooled one
    linear: Linear
    nearest: Nearest | None  # None: not a member
    window_pca: WindowPca | None  # None: another model
    residual_scale: FloatArray  # (dimension,) scaled units, of what the linear skip leaves over
    network: Network
    series: tuple[Series, ...]  # what it was fitted to, per entity
    splits: tuple[Split, ...]  # per entity
    history: tuple[Progress, ...]  # one per validation
    best_epoch: int  # 0: the initial weights
    training_sha256: str
    trimmed: tuple[Ranges, ...] = ()  # per entity, rows that were left out; empty: none

    def rows(self, index: int) -> FloatArray:
        """Raw rows (time, dimension) of entity `index` >= 1, every missing value imputed."""
        return impute(self.series[index - 1].values, self.linear.scaling.center[index])

    def skip(self, clipped: FloatArray) -> FloatArray:
        """What is expected of clipped scaled rows (time, dimension) without the network."""
        network, pca = self.network, self.linear.pca
        if self.window_pca is not None:
            return self.window_pca.reconstruct(clipped)
        if isinstance(network, Slmr) and not network.is_linear_skip:
            return np.broadcast_to(self.linear.leave_one_out.mean, clipped.shape)
        if isinstance(network, WindowNetwork):
            is_pca, usual = network.is_linear_skip, np.zeros_like(pca.mean)
        elif isinstance(network, GruVae):
            is_pca = network.config.is_linear_skip
            usual = pca.mean if network.config.is_standardised else np.zeros_like(pca.mean)
        else:
            return self.linear.leave_one_out.predict(clipped)
        return pca.reconstruct(clipped) if is_pca else np.broadcast_to(usual, clipped.shape)

    def residual(self, clipped: FloatArray) -> FloatArray:
        """What the skip leaves over, in units of its root mean square; it is asked of a network."""
        scaled = (clipped - self.skip(clipped)) / self.residual_scale
        return np.clip(scaled, -INPUT_LIMIT, INPUT_LIMIT)
