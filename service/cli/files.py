"""Series from files, made to fit a bundle, and the progress of long work."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from service.errors import BadSeries
from service.scoring.bundle import Manifest
from service.scoring.series import Series, read_file, read_folder


class Part(Enum):
    """Part of an NPZ."""

    TRAIN = "train"
    TEST = "test"


@contextmanager
def progress_bar(*, is_shown: bool) -> Iterator[Progress]:
    """A bar on stderr, with the time left."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not is_shown) as progress:
        yield progress


def read_all(path: Path, *, part: Part, period_seconds: float) -> list[Series]:
    """The series of a file, or of every file of a folder."""
    read = read_folder if path.is_dir() else read_file
    return read(path, part=part.value, period_seconds=period_seconds)


def fitted_to(manifest: Manifest, series: Series) -> Series:
    """The series with its dimensions in the order of the bundle, chosen by name."""
    if series.dimensions == manifest.dimensions:
        return series
    if set(manifest.dimensions) <= set(series.dimensions):
        order = [series.dimensions.index(name) for name in manifest.dimensions]
        return replace(series, dimensions=manifest.dimensions, values=series.values[:, order])
    missing = sorted(set(manifest.dimensions) - set(series.dimensions))
    raise BadSeries(
        f"{series.entity}: bundle {manifest.name!r} expects {len(manifest.dimensions)} dimensions; "
        f"{len(missing)} of them are not among the {len(series.dimensions)} that came, "
        f"among them {', '.join(missing[:3])}"
    )
