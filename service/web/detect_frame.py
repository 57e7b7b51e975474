"""What a series has to fit: the dimensions of its bundle, the limit, and the pieces before it."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import UNSET, UnsetType

from service.errors import BadBody, BadSeries, BodyTooLarge
from service.scoring.manifest import Manifest
from service.scoring.timestamps import by_period
from service.web.faults import MAX_TIMESTAMP_MS


class Frame(NamedTuple):
    """What a series has to fit."""

    manifest: Manifest
    max_points: int
    points_before: int = 0  # of the pieces before
    newest_ms: int | None = None  # of those

    @property
    def width(self) -> int:
        """Dimensions of a point."""
        return len(self.manifest.dimensions)


def timestamps(stamps: list[int] | UnsetType, count: int, frame: Frame) -> npt.NDArray[np.int64]:
    if stamps is UNSET:
        rows = np.arange(frame.points_before, frame.points_before + count)
        return by_period(rows, frame.manifest.period_seconds)
    check_length("timestamp_ms", len(stamps), count)
    before = -1
    for index, stamp in enumerate(stamps):
        if not before < stamp < MAX_TIMESTAMP_MS:
            expected = "expected milliseconds since 1970, before the year 2200, each time more"
            raise bad(f"$.timestamp_ms[{index}]", expected)
        before = stamp
    return np.array(stamps, np.int64)


def check_length(name: str, came: int, count: int) -> None:
    """Refuse columns of two lengths. Raises BadBody."""
    if came != count:
        raise BadBody(f"expected as many of `{name}` as rows of `values`, came {came} and {count}")


def check_names(names: Collection[str], manifest: Manifest) -> None:
    missing = [name for name in manifest.dimensions if name not in names]
    if missing:
        raise BadSeries(
            f"bundle {manifest.name!r} expects {len(manifest.dimensions)} dimensions; "
            f"{len(missing)} of them did not come, among them {', '.join(missing[:3])}"
        )


def bad(path: str, detail: str) -> BadSeries:
    return BadSeries(f"{path}: {detail}", errors=[{"path": path, "detail": detail}])


def too_many(max_points: int) -> BodyTooLarge:
    return BodyTooLarge(f"expected a series of at most {max_points} points")
