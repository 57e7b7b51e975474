"""The buffer width W that TSB-AD gives each file for VUS-PR, so that its table can be compared.

Liu & Paparrizos, "The Elephant in the Room", NeurIPS 2024 (TSB-AD): W is the period of the first
dimension, found by autocorrelation over the first 20,000 points of the file. Its SMD files are
test halves, three of them without their first rows; that cut is applied here and nowhere else.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from service.scoring.series import FloatArray, Series

POINTS = 20_000
LAGS = 400
BASE = 3  # lags before it are not looked at; the bounds below count from it
SHORTEST, LONGEST = 3, 300
DEFAULT = 125

# the shared SMD machines of TSB-AD's list, and the rows its files lack at the start
ROWS_CUT: Mapping[str, int] = MappingProxyType(
    {
        "machine-1-2": 0,
        "machine-1-3": 2500,
        "machine-1-5": 0,
        "machine-1-7": 0,
        "machine-2-1": 0,
        "machine-2-7": 0,
        "machine-3-2": 1000,
        "machine-3-4": 0,
        "machine-3-10": 0,
    }
)


def width_of(test: Series) -> int | None:
    """W of an SMD machine's test half; None if it is not in TSB-AD's list."""
    cut = ROWS_CUT.get(test.entity)
    return None if cut is None else width(test.values[cut:, 0])


def width(values: FloatArray) -> int:
    """Lag of the highest local maximum of the autocorrelation, or the default."""
    correlation = autocorrelation(values[:POINTS], lags=LAGS)[BASE:]
    inner = correlation[1:-1]
    is_peak = (inner > correlation[:-2]) & (inner > correlation[2:])
    peaks = np.flatnonzero(is_peak) + 1
    if not len(peaks):
        return DEFAULT
    highest = int(peaks[np.argmax(correlation[peaks])])
    return highest + BASE if SHORTEST <= highest <= LONGEST else DEFAULT


def autocorrelation(values: FloatArray, *, lags: int) -> FloatArray:
    """Biased autocorrelation at lags 0..`lags`, by Fourier; all zero where nothing moves."""
    deviation = values - values.mean()
    size = 1 << (2 * len(values) - 1).bit_length()
    power = np.abs(np.fft.rfft(deviation, size)) ** 2
    covariance: FloatArray = np.fft.irfft(power, size)[: min(lags + 1, len(values))]
    return covariance / covariance[0] if np.ptp(values) > 0 else np.zeros_like(covariance)
