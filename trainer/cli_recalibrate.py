"""`gaugewatch-trainer recalibrate`: a bundle's thresholds from newer points, without training."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.errors import SettingInvalid
from service.scoring.bundle import Bundle, load_bundle
from service.scoring.series import Series
from trainer.census import census
from trainer.cli_options import (
    BundleFolder,
    Data,
    Json,
    LayoutName,
    TimestampColumn,
    TrainRows,
    TrainTimes,
    ranges_of,
    reader_for,
)
from trainer.console import live, note, print_json
from trainer.datasets import expect_dimensions
from trainer.recalibrate import Wish, recalibrate, rows_of
from trainer.run import counted
from trainer.thresholds import expect_deployable, parse_choice


def recalibrate_command(
    bundle: BundleFolder,
    data: Data,
    output: Annotated[
        Path | None, typer.Option(help="Folder of bundles; default: where this one lies.")
    ] = None,
    budget: Annotated[
        float | None, typer.Option(min=1e-6, help="False incidents per entity-day, from now on.")
    ] = None,
    threshold: Annotated[
        str | None,
        typer.Option(help="The budget that deploys pot, quantile:0.01, epsilon or fixed:1."),
    ] = None,
    keep_center: Annotated[
        bool, typer.Option("--keep-center", help="Do not follow dimensions to a new level.")
    ] = False,
    timestamp_column: TimestampColumn = None,
    layout: LayoutName = None,
    train_rows: TrainRows = None,
    train_times: TrainTimes = None,
    is_json: Json = False,
) -> None:
    """Fit centres, normalisers and tails of a bundle to other normal points: a new version."""
    choice = None if threshold is None else parse_choice(threshold)
    if choice is not None:
        expect_deployable(choice)
        if budget is not None:
            raise SettingInvalid("expected --budget or --threshold, got both")
    old = load_bundle(bundle)
    ranges = ranges_of(train_rows, train_times, None, None)
    series = reader_for(old, timestamp_column, layout, ranges).read(data, "train")
    expect_dimensions(series, old.manifest.dimensions, of=old.title)
    note(f"to calibrate on: {census(series)}")
    with live("") as screen:
        new = recalibrate(
            old,
            series,
            output or old.folder.absolute().parent.parent,
            wish=Wish(budget, keep_center, choice),
            on_point=counted(screen.stage, "calibration"),
        )
    answer = _answer(old, new, series)
    if is_json:
        print_json(answer)
    else:
        Console().print("\n".join(f"{name}: {value}" for name, value in answer.items()))


def _answer(old: Bundle, new: Bundle, series: list[Series]) -> dict[str, object]:
    rows = rows_of(old, series)
    names = old.manifest.entities
    return {
        "bundle": new.title,
        "folder": str(new.folder),
        "recalibrated_from": old.manifest.version,
        "budget": new.manifest.default_budget,
        "entities": [names[index - 1] for index in sorted(rows) if index],
        "unchanged": [name for index, name in enumerate(names, start=1) if index not in rows],
        "is_pooled_row_fitted": 0 in rows,
    }
