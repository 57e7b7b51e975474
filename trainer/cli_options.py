"""Options that several commands of the trainer have, and what they say of the data given."""

from pathlib import Path
from typing import Annotated

import typer

from trainer.census import census
from trainer.console import note
from trainer.datasets import Halves, Reader
from trainer.layouts.recognise import Layout, recognise

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Data = Annotated[Path, typer.Option(help="A file or folder of series, or a published data set.")]
LayoutName = Annotated[
    Layout | None, typer.Option("--layout", help="How --data is arranged; else recognised.")
]
Columns = Annotated[
    list[str] | None, typer.Option(help="Dimensions to use; repeat, or separate by commas.")
]
TimestampColumn = Annotated[str | None, typer.Option(help="Timestamp column of CSV, Parquet.")]
BundleFolder = Annotated[Path, typer.Argument(help="Folder of a bundle, or of its versions.")]
Train = Annotated[
    Path | None, typer.Option(help="Training half, where --data does not hold it (CSV).")
]
Untrained = Annotated[bool, typer.Option(help="Also measure the network with initial weights.")]


def tell_of(data: Path, reader: Reader, halves: Halves) -> None:
    """What a person should know of the data before hours are spent on them."""
    if (layout := reader.layout_of(data)) != "plain":
        why = "as told" if reader.layout else recognise(data).why
        note(f"{data}: layout {layout} ({why})")
    note(f"to train on: {census(halves.train)}")
    if halves.test:
        note(f"to test on: {census(halves.test)}")
