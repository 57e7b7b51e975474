"""Digits: numbers as people should see them, without the noise of float32."""

from typing import Final

import numpy as np
import numpy.typing as npt

DIGITS: Final = 7  # that a float32 holds
LOWEST: Final = -46  # decimal exponent of the smallest float32
_POWERS: Final = np.array([float(f"1e{exponent}") for exponent in range(LOWEST, 40)])
_UP: Final = np.array([float(f"1e{max(DIGITS - 1 - e, 0)}") for e in range(LOWEST, 40)])
_DOWN: Final = np.array([float(f"1e{max(e - DIGITS + 1, 0)}") for e in range(LOWEST, 40)])
_WHOLE: Final = 2.0**53  # from here on there is nothing behind the point


def rounded(
    numbers: npt.NDArray[np.float64], *, like: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """As many decimals as a float32 of the size of `like` holds: 12.3 and not 12.300000191.

    Where `like` is 0 the number is exact. No logarithm: NumPy's differs between machines.
    """
    decade = np.searchsorted(_POWERS[1:], np.abs(like), side="right")
    up, down = _UP.take(decade), _DOWN.take(decade)
    with np.errstate(over="ignore"):
        scaled = numbers * up / down
    is_kept = (like == 0.0) | ~(np.abs(scaled) < _WHOLE)
    return np.where(is_kept, numbers, np.rint(np.where(is_kept, 0.0, scaled)) / up * down)
