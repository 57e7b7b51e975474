"""Whether two wrote the same verdicts, and how far apart they are where they did not."""

import numpy as np
import numpy.typing as npt

from service.scoring.fold import TOP_CAUSES, shares_of, top_causes
from service.stream.digits import rounded
from service.stream.messages import Row

NUMBERS = ("score", "severity", "p_value")

Arrays = dict[str, npt.NDArray[np.generic]]


def expect_same_kinds(offline: Arrays, online: Arrays) -> None:
    """The same status, the same flag, and a number where the other has one, at every point."""
    pairs = [(offline[name], online[name]) for name in ("status", "is_anomaly")]
    pairs += [(np.isnan(offline[name]), np.isnan(online[name])) for name in NUMBERS]
    for name, (one, other) in zip(("status", "is_anomaly", *NUMBERS), pairs, strict=True):
        if not np.array_equal(one, other):
            row = int(np.argmax(one != other))
            raise RuntimeError(f"{name} of point {row}: {one[row]} by score, {other[row]} online")


def difference(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> float:
    """The greatest; 0 is equal bit for bit."""
    if one.tobytes() == other.tobytes():
        return 0.0
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return max(float(np.nanmax(apart)), float(np.finfo(np.float64).tiny))


def of_causes(
    offline: Arrays, kept: list[tuple[int, Row]], dimensions: tuple[str, ...]
) -> tuple[float, int]:
    """The greatest difference of what dimensions contributed to kept points, and how many."""
    worst, count = 0.0, 0
    shares = shares_of(offline["contribution"].astype(np.float32))
    kept_shares = shares.astype(np.float32).astype(np.float64)  # rows hold float32
    shown = rounded(kept_shares, like=kept_shares)
    for row, told in kept:
        top = [d for d in top_causes(shares[[row]], TOP_CAUSES)[0] if shares[row, d] > 0]
        if [dimensions[d] for d in top] != [cause.dimension for cause in told.causes]:
            raise RuntimeError(f"the causes of point {row} are others online")
        found = np.array([cause.share for cause in told.causes])
        worst = max(worst, difference(shown[row, top], found))
        count += len(top)
    return worst, count
