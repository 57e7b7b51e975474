"""The short-window member: how far the last rows are from the nearest one of typical windows.

Schmidl, Wenig, Papenbrock: Anomaly detection in time series, VLDB 2022 ("KMeansAD"); the windows
are 1 + LAGS clipped scaled rows of all dimensions together.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from service.scoring.series import FloatArray
from trainer.chunks import stacked
from trainer.linear import LAGS, recent, window_ends

MAX_WINDOWS = 20_000  # that KMeans sees


@dataclass(frozen=True)
class Nearest:
    """Centroids of the windows seen in training."""

    centroids: FloatArray  # (cluster, 1 + LAGS, dimension) clipped scaled units, newest first

    def squared_distances(self, windows: FloatArray) -> FloatArray:
        """Clipped windows (n, 1 + LAGS, dimension), newest first -> (n, cluster)."""
        return np.stack(
            [np.square(windows - centroid).sum(axis=(1, 2)) for centroid in self.centroids], axis=1
        )

    def error(self, windows: FloatArray, newest: FloatArray) -> FloatArray:
        """Root mean square over the rows of what separates each dimension from its centroid.

        `newest (n, dimension)` is the first row of each window, not clipped.
        """
        nearest = self.centroids[self.squared_distances(windows).argmin(axis=1)]
        whole = np.concatenate([newest[:, None], windows[:, 1:]], axis=1)
        return np.asarray(np.sqrt(np.square(whole - nearest).mean(axis=1)))


def fit_nearest(stretches: Sequence[FloatArray], *, clusters: int, seed: int) -> Nearest:
    """KMeans over the windows of clipped scaled rows (time, dimension)."""
    random = np.random.default_rng(seed)
    ends = window_ends([len(stretch) for stretch in stretches])
    if len(ends) > MAX_WINDOWS:
        ends = np.sort(random.choice(ends, MAX_WINDOWS, replace=False))
    windows = recent(stacked(stretches), ends)  # (n, 1 + LAGS, dimension)
    kmeans = KMeans(min(clusters, len(windows)), n_init=1, random_state=seed)
    # one thread: sums must not depend on which one ends first
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct windows than clusters
        kmeans.fit(windows.reshape(len(windows), -1))
    return Nearest(kmeans.cluster_centers_.reshape(-1, LAGS + 1, windows.shape[2]))
