"""What `docs/recipes.md` shows of the runs of the papers' recipes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import msgspec

from benchmarks.machine import Machine
from benchmarks.recipe_runs import Run
from trainer.tables import markdown

PAGE = Path("docs/recipes.md")
RESULTS = Path("benchmarks/results/recipes.json")
HEAD = (
    "recipe",
    "published PA F1",
    "random, published",
    "entities",
    "PA F1",
    "PA F1, random",
    "AP",
    "AP, random",
    "AP, PCA",
    "VUS-PR",
    "VUS-PR, random",
    "VUS-PR, PCA",
    "composite F1",
    "updates",
)


class Results(msgspec.Struct, frozen=True):
    """Everything that is kept."""

    machine: Machine
    minutes: float  # of each training, at most
    runs: list[Run]


class Published(NamedTuple):
    """Point-adjusted F1 as others tell it, on all entities of the set; "": not found."""

    recipe: str
    own: str
    random: str


# own: Garg et al., TNNLS 2021, table S5; random: Kim et al., AAAI 2022, table 2
PUBLISHED = (
    Published("omnianomaly-smd", "0.962", "0.804"),
    Published("omnianomaly-smap", "0.854", "0.961"),
    Published("omnianomaly-msl", "0.901", "0.931"),
    Published("slmr-swat", "", "0.969"),
    Published("slmr-msl", "", "0.931"),
    Published("slmr-smap", "", "0.961"),
    Published("vae-lstm-nab", "", ""),
)
COLUMNS = (
    ("bundle", "point_adjusted_f1"),
    ("random", "point_adjusted_f1"),
    ("bundle", "average_precision"),
    ("random", "average_precision"),
    ("pca", "average_precision"),
    ("bundle", "vus_pr"),
    ("random", "vus_pr"),
    ("pca", "vus_pr"),
    ("bundle", "composite_f1"),
)


def lines(name: str) -> Iterator[str]:
    """Of one table of the page."""
    found = msgspec.json.decode(RESULTS.read_bytes(), type=Results)
    if name == "recipes":
        yield markdown(HEAD, [_line(one, found.runs) for one in PUBLISHED])
    else:
        yield markdown(
            ("recipe", "entity", *HEAD[4:], "seconds"), [_own(run) for run in found.runs]
        )


def _line(published: Published, runs: Sequence[Run]) -> list[str]:
    own = [run for run in runs if run.recipe == published.recipe]
    first = [f"`{published.recipe}`", published.own, published.random]
    if not own:
        return [*first, "none", *[""] * len(COLUMNS), "0"]
    return [*first, str(len(own)), *(_mean(own, *column) for column in COLUMNS), _updates(own)]


def _own(run: Run) -> list[str]:
    values = (_mean([run], *column) for column in COLUMNS)
    return [f"`{run.recipe}`", run.entity, *values, _updates([run]), f"{run.seconds:.0f}"]


def _mean(runs: Sequence[Run], row: str, measure: str) -> str:
    """Over entities; empty where it is not defined."""
    values = [run.measures[row][measure] for run in runs if measure in run.measures.get(row, {})]
    return f"{mean(values):.3f}" if values else ""


def _updates(runs: Sequence[Run]) -> str:
    made, asked = sum(run.updates for run in runs), sum(run.updates_asked for run in runs)
    return f"{made:,} of {asked:,}"
