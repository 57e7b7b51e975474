"""Sub-ranges of the data: from which row of a half on, and how many rows at most."""

from collections.abc import Mapping
from dataclasses import replace

from service.errors import BadSeries
from service.scoring.series import Series
from trainer.config import Config
from trainer.datasets import Halves


def ranged(halves: Halves, config: Config) -> Halves:
    """The rows of both halves that the configuration asks for; raises BadSeries if there are none.

    They are counted in each series from its first row, before anything else is left out.
    """
    train = [_rows(one, config.train_start, config.max_train_size) for one in halves.train]
    test = [_rows(one, config.test_start, config.max_test_size) for one in halves.test]
    return Halves(train, test)


def trained_on(halves: Halves, training: Mapping[str, object]) -> Halves:
    """The training half as a manifest tells of it: calibration rows are at the end of the range."""
    start, size = (int(str(training.get(name, 0))) for name in ("train_start", "max_train_size"))
    return Halves([_rows(one, start, size or None) for one in halves.train], halves.test)


def _rows(series: Series, start: int, size: int | None) -> Series:
    count = len(series.values)
    stop = count if size is None else min(start + size, count)
    if not start and stop == count:
        return series
    if start >= stop:
        raise BadSeries(f"{series.entity}: expected rows from {start} on, came {count} rows")
    inside = [one for one in series.segments if one.start < stop and one.end >= start]
    segments = [
        replace(one, start=max(one.start, start) - start, end=min(one.end, stop - 1) - start)
        for one in inside
    ]
    return replace(
        series,
        timestamps_ms=series.timestamps_ms[start:stop],
        values=series.values[start:stop],
        label=None if series.label is None else series.label[start:stop],
        segments=tuple(segments),
    )
