"""The papers' own recipes, each run once on the data that are there, for `docs/recipes.md`.

    python -m benchmarks.recipes --data ../shared/data --output build/recipes

Runs that have an answer below `--output` are not run again. A training is cut to `--minutes`: the
table tells how many of its updates were made.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from benchmarks import figures
from benchmarks.machine import machine
from benchmarks.recipe_runs import Limits, Recipe, Run, run
from benchmarks.recipe_table import PAGE, RESULTS, Results, lines
from benchmarks.sheet import keep

SMAP, MSL = ("A-1", "A-2", "A-4"), ("C-1", "C-2", "F-5")
NAB = ("ambient_temp", "cpu_utilization", "ec2_request", "machine_temp", "nyc_taxi")
# of series too short for windows of 576: local windows of 24 points, which the public code has too
SHORT: dict[str, object] = {"window_length": 288}
RECIPES = (
    Recipe("slmr-msl", "MSL", MSL),
    Recipe("slmr-smap", "SMAP", SMAP),
    Recipe(
        "vae-lstm-nab", "NAB_VAELSTM", NAB, 300.0, {"ambient_temp": SHORT, "ec2_request": SHORT}
    ),
    Recipe("omnianomaly-msl", "MSL", MSL),
    Recipe("omnianomaly-smap", "SMAP", SMAP),
    Recipe("omnianomaly-smd", "SMD", ("machine-1-6",)),
)


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    output: Annotated[Path, typer.Option(help="Where bundles and single answers go.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="Of each training, at most.")] = 0.6,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of a recipe's own.")] = None,
    only: Annotated[str | None, typer.Option(help="One recipe by name.")] = None,
) -> None:
    """Run what has no answer yet; then write the results and fill the page."""
    limits = Limits(minutes, epochs)
    for recipe in RECIPES:
        for entity in recipe.entities:
            if only is None or recipe.name == only:
                _answered(recipe, entity, data=data, output=output, limits=limits)
    found = [
        msgspec.json.decode(path.read_bytes(), type=Run)
        for recipe in RECIPES
        for entity in recipe.entities
        if (path := _place(output, recipe, entity)).is_file()
    ]
    keep(RESULTS, Results(machine(), minutes, found))
    PAGE.write_text(figures.filled(PAGE.read_text("utf-8"), lines), "utf-8")


def _answered(recipe: Recipe, entity: str, *, data: Path, output: Path, limits: Limits) -> None:
    place = _place(output, recipe, entity)
    if place.is_file():
        return
    found = run(recipe, entity, data=data, output=output / "bundles", limits=limits)
    keep(place, found)
    print(
        f"{recipe.name} {entity}: {found.updates} of {found.updates_asked} updates, "
        f"{found.seconds:.0f} s, {found.measures['bundle']}",
        flush=True,
    )


def _place(output: Path, recipe: Recipe, entity: str) -> Path:
    return output / f"{recipe.name}-{entity}.json"


if __name__ == "__main__":
    typer.run(main)
