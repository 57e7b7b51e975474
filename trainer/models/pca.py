"""Windowed PCA: the linear control, with nothing to train.

    window  w (T D,), the last T rows less the mean row, newest first, flattened
    basis   V (T D, k), leading eigenvectors of the windows' second moments
    newest  w V V_0^T, with V_0 (D, k) the part of V that the newest row enters

The number k is given, or the smallest that explains a share of the windows' variance. Every step of
a window has the same mean, that of all rows: a series is much longer than a window.

Jolliffe: Principal Component Analysis, 2nd edition, 2002, section 10.1 (residuals as a test).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from service.scoring.series import FloatArray
from trainer.chunks import chunks, stacked
from trainer.config import PcaConfig
from trainer.linear import window_ends


@dataclass(frozen=True)
class WindowPca:
    """Leading directions of windows of clipped scaled rows."""

    mean: FloatArray  # (dimension,)
    basis: FloatArray  # (time * dimension, component), orthonormal columns, newest row first
    steps: int  # rows of a window

    def reconstruct(self, clipped: FloatArray) -> FloatArray:
        """What the directions explain of each row (time, dimension) and its predecessors.

        Before the first row lie means; lag by lag, since all windows at once would fill the memory.
        """
        dimensions, explained = len(self.mean), np.empty_like(clipped)
        weights = self.basis @ self.basis[:dimensions].T  # (T D, D)
        for part in chunks(len(clipped)):
            before = min(part.start, self.steps - 1)
            centred = clipped[part.start - before : part.stop] - self.mean
            sums = np.zeros_like(centred)
            for lag, own in enumerate(weights.reshape(self.steps, dimensions, dimensions)):
                sums[lag:] += centred[: len(centred) - lag] @ own
            explained[part] = self.mean + sums[before:]
        return explained


def fit_window_pca(stretches: Sequence[FloatArray], config: PcaConfig) -> WindowPca:
    """Of clipped scaled stretches (time, dimension); raises TrainingFailed where all are short.

    Each basis vector's largest entry is made positive, so that its sign is not left to chance.
    """
    steps = config.window_length
    window_ends([len(stretch) for stretch in stretches], lags=steps - 1)  # there are windows
    mean = stacked(stretches).mean(axis=0)
    values, vectors = np.linalg.eigh(_moments(stretches, mean, steps))  # ascending
    count = _count(values[::-1], config)
    basis = vectors[:, ::-1][:, :count]
    largest = np.abs(basis).argmax(axis=0)
    return WindowPca(mean, basis * np.sign(basis[largest, np.arange(count)]), steps)


def _moments(stretches: Sequence[FloatArray], mean: FloatArray, steps: int) -> FloatArray:
    """Sums of products (T D, T D) of all windows, block by block: no window is ever copied."""
    dimensions = len(mean)
    total = np.zeros((steps, dimensions, steps, dimensions))
    for rows, last in _chunks(stretches, mean, steps):
        shifted = [rows[steps - 1 - lag :][:last] for lag in range(steps)]  # (window, dimension)
        for one in range(steps):
            for other in range(one, steps):
                block = shifted[one].T @ shifted[other]
                total[one, :, other] += block
                if other > one:
                    total[other, :, one] += block.T
    return total.reshape(steps * dimensions, steps * dimensions)


def _chunks(
    stretches: Sequence[FloatArray], mean: FloatArray, steps: int
) -> Iterator[tuple[FloatArray, int]]:
    """Centred rows with those that the first windows reach back to, and how many windows end."""
    for stretch in stretches:
        for part in chunks(len(stretch), first=steps - 1):
            yield stretch[part.start - steps + 1 : part.stop] - mean, part.stop - part.start


def _count(values: FloatArray, config: PcaConfig) -> int:
    """Components to keep, at least one; `values` are the eigenvalues, largest first."""
    if config.pca_components is not None:
        return min(config.pca_components, len(values))
    explained = np.cumsum(np.maximum(values, 0))
    enough = np.searchsorted(explained, config.variance * explained[-1])
    return min(int(enough) + 1, len(values))
