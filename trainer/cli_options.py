"""Options that several commands of the trainer have, and what they say of the data given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from service.scoring.bundle import Bundle
from service.scoring.series import Part
from trainer.census import census
from trainer.console import note
from trainer.datasets import Halves, Reader
from trainer.layouts.recognise import Layout, recognise
from trainer.ranges import Range, parse_range

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Data = Annotated[Path, typer.Option(help="A file or folder of series, or a published data set.")]
LayoutName = Annotated[
    Layout | None, typer.Option("--layout", help="How --data is arranged; else recognised.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(help="Dimensions to use, cpu,disk or 1-3 or cpu..disk; repeat, or use commas."),
]
TrainRows = Annotated[str | None, typer.Option(help="Rows to train on: 0:20000, :9000, 9000:.")]
TrainTimes = Annotated[str | None, typer.Option(help="Times to train on: 2020-01-01..2020-02-01.")]
TestRows = Annotated[str | None, typer.Option(help="Rows to test on, as --train-rows.")]
TestTimes = Annotated[str | None, typer.Option(help="Times to test on, as --train-times.")]
TimestampColumn = Annotated[str | None, typer.Option(help="Timestamp column of CSV, Parquet.")]
BundleFolder = Annotated[Path, typer.Argument(help="Folder of a bundle, or of its versions.")]
Train = Annotated[
    Path | None, typer.Option(help="Training half, where --data does not hold it (CSV).")
]
Untrained = Annotated[bool, typer.Option(help="Also measure the network with initial weights.")]


@dataclass(frozen=True)
class Reading:
    """How series are read, and which part of them is trained on."""

    timestamp_column: TimestampColumn = None
    layout: LayoutName = None
    train_rows: TrainRows = None
    train_times: TrainTimes = None


@dataclass(frozen=True)
class TestPart:
    """Which part of the series is tested on."""

    test_rows: TestRows = None
    test_times: TestTimes = None


WHOLE = TestPart()


def reader_of(
    reading: Reading,
    part: TestPart = WHOLE,
    *,
    period_seconds: float,
    columns: Sequence[str] | None,
    tell: Callable[[str], None] = note,
) -> Reader:
    """Reads what the options say; raises SettingInvalid."""
    ranges: dict[Part, Range | None] = {
        "train": parse_range(reading.train_rows, reading.train_times),
        "test": parse_range(part.test_rows, part.test_times),
    }
    given = {half: own for half, own in ranges.items() if own is not None}
    column, layout = reading.timestamp_column, reading.layout
    return Reader(period_seconds, columns, column, layout, tell, given)


def reader_for(bundle: Bundle, reading: Reading, part: TestPart = WHOLE) -> Reader:
    """Reads what the bundle can score: its dimensions, at its period."""
    known = bundle.manifest
    return reader_of(reading, part, period_seconds=known.period_seconds, columns=known.dimensions)


def names_of(columns: list[str] | None) -> list[str] | None:
    """Of dimensions, as they were repeated or separated by commas."""
    if not columns:
        return None
    return [name.strip() for given in columns for name in given.split(",") if name.strip()]


def tell_of(
    data: Path, reader: Reader, halves: Halves, *, tell: Callable[[str], None] = note
) -> None:
    """What a person should know of the data before hours are spent on them."""
    if (layout := reader.layout_of(data)) != "plain":
        why = "as told" if reader.layout else recognise(data).why
        tell(f"{data}: layout {layout} ({why})")
    if halves.train:
        tell(f"to train on: {census(halves.train)}")
    if halves.test:
        tell(f"to test on: {census(halves.test)}")
