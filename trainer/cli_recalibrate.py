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
    Reading,
    reader_for,
)
from trainer.console import live, note, print_json
from trainer.datasets import expect_dimensions
from trainer.option_groups import grouped
from trainer.recalibrate import Wish, recalibrate, rows_of
from trainer.run import counted
from trainer.thresholds import expect_deployable, parse_choice


@grouped
def recalibrate_command(
    bundle: BundleFolder,
    data: Data,
    reading: Reading,
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
    is_json: Json = False,
) -> None:
    """Fit centres, normalisers and tails of a bundle to other normal points: a new version."""
    wish = _wish(budget, threshold, keeps_center=keep_center)
    old = load_bundle(bundle)
    series = reader_for(old, reading).read(data, "train")
    expect_dimensions(series, old.manifest.dimensions, of=old.title)
    note(f"to calibrate on: {census(series)}")
    with live("") as screen:
        new = recalibrate(
            old,
            series,
            output or old.folder.absolute().parent.parent,
            wish=wish,
            on_point=counted(screen.stage, "calibration"),
        )
    answer = _answer(old, new, series)
    if is_json:
        print_json(answer)
    else:
        Console().print("\n".join(f"{name}: {value}" for name, value in answer.items()))


def _wish(budget: float | None, threshold: str | None, *, keeps_center: bool) -> Wish:
    """Of the options; raises SettingInvalid."""
    if threshold is None:
        return Wish(budget, keeps_center)
    if budget is not None:
        raise SettingInvalid("expected --budget or --threshold, got both")
    choice = parse_choice(threshold)
    expect_deployable(choice)
    return Wish(None, keeps_center, choice)


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
