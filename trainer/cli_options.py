"""Options that several commands of the trainer have, and what they say of the data given."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from service.scoring.bundle import Bundle
from service.scoring.series import Part
from trainer.census import census
from trainer.console import note
from trainer.datasets import Halves, Reader
from trainer.layouts.recognise import Layout, recognise
from trainer.ranges import Range, Ranges, parse_range

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


def ranges_of(
    train_rows: str | None, train_times: str | None, test_rows: str | None, test_times: str | None
) -> Ranges:
    """Of each half that is not used as a whole, what is; raises SettingInvalid."""
    train, test = parse_range(train_rows, train_times), parse_range(test_rows, test_times)
    found: dict[Part, Range | None] = {"train": train, "test": test}
    return {part: own for part, own in found.items() if own is not None}


def reader_for(
    bundle: Bundle, timestamp_column: str | None, layout: Layout | None, ranges: Ranges
) -> Reader:
    """Reads what the bundle can score: its dimensions, at its period."""
    columns, period_seconds = bundle.manifest.dimensions, bundle.manifest.period_seconds
    return Reader(period_seconds, columns, timestamp_column, layout, note, ranges)


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
