"""`gaugewatch-trainer tune`: series in, better knobs for `fit --config` out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from service.errors import SettingInvalid
from trainer.cli_options import (
    Columns,
    Data,
    Json,
    Reading,
    names_of,
    reader_of,
)
from trainer.config import Config, Model, Preset
from trainer.console import ignore, note, print_json, show_table, warn
from trainer.datasets import Halves
from trainer.fit_options import ConfigFile, Knobs, configuration
from trainer.objectives import Objective, exam_of, expect_loss
from trainer.option_groups import grouped
from trainer.recipe import of_pairs, together
from trainer.run import trainable
from trainer.search_space import (
    Space,
    incomparable,
    space_of_file,
    space_of_pairs,
    usual_space,
)

Ranges = Annotated[
    list[str] | None,
    typer.Option("--search", help="A knob to search: hidden=16..128:log, cell=gru,lstm; repeat."),
]
SpaceFile = Annotated[Path | None, typer.Option("--space", help="TOML file of knobs to search.")]


@dataclass(frozen=True)
class Wanted:
    """What is searched, how long, and by what it is judged."""

    output: Annotated[Path, typer.Option(help="Folder of the search; the same goes on with it.")]
    searched: Ranges = None
    space_file: SpaceFile = None
    objective: Annotated[Objective, typer.Option(help="What is made better.")] = "injected"
    trials: Annotated[int, typer.Option(min=1, help="With those of earlier runs.")] = 30
    workers: Annotated[int | None, typer.Option(min=1, help="At once; else as many as fit.")] = None
    prune: Annotated[
        bool, typer.Option(help="Stop trials whose loss is behind, where losses compare.")
    ] = True
    seed: Annotated[int, typer.Option(min=0, help="Of the search, breaks and weights.")] = 0


@grouped
def tune_command(
    data: Data,
    reading: Reading,
    wanted: Wanted,
    period_seconds: Annotated[float, typer.Option(min=1e-3, help="Time between two points.")],
    model: Annotated[Model | None, typer.Option(help="Kind of model.")] = None,
    preset_name: Annotated[Preset | None, typer.Option("--preset")] = None,
    config_file: ConfigFile = None,
    knobs: Knobs = None,
    columns: Columns = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")] = False,
    is_json: Json = False,
) -> None:
    """Search for better knobs, without labels; writes best.toml for `fit --config`."""
    named: dict[str, object] = {"model": model, "preset": preset_name, "seed": wanted.seed}
    base = configuration(together(named, of_pairs(knobs or [])), config_file, None)
    space = _space(base, wanted.searched or [], wanted.space_file)
    objective, seed = wanted.objective, wanted.seed
    if objective == "loss":
        expect_loss(base)
    tell, names = ignore if quiet else note, names_of(columns)
    reader = reader_of(reading, period_seconds=period_seconds, columns=names, tell=tell)
    halves = trainable(Halves(reader.read(data, "train"), []), base, warn=warn)
    exam = exam_of(halves.train, objective, seed=seed, period_seconds=period_seconds)
    _expect_optuna()
    from trainer import trials as found, tuning  # an extra

    is_pruning = wanted.prune and _has_one_loss(space, base, objective, tell=tell)
    search = tuning.Search(wanted.output, base, space, objective, exam, seed, is_pruning)
    tuning.run(search, wanted.trials, workers=wanted.workers, is_quiet=quiet)
    best, head, lines = found.written(search)
    if is_json:
        told = [dict(zip(head, one, strict=True)) for one in lines]
        print_json({"best": str(best), "trials": told})
    elif not quiet:
        show_table(f"{objective}, the best trials", head, lines)
        tell(f"gaugewatch-trainer fit --config {best}")


def _expect_optuna() -> None:
    """Raise SettingInvalid where the extra is missing; any other failing import is a mistake."""
    if find_spec("optuna") is None:
        raise SettingInvalid("tune needs the extra: pip install 'gaugewatch[tune]'")


def _has_one_loss(
    space: Space, base: Config, objective: Objective, *, tell: Callable[[str], None]
) -> bool:
    """Whether trials may be pruned by their held-out losses."""
    if objective == "loss" or not (apart := incomparable(space, base.model)):
        return True
    tell(f"no trial is pruned: losses of another {', '.join(apart)} cannot be compared")
    return False


def _space(base: Config, pairs: Sequence[str], file: Path | None) -> Space:
    """The ranges that are given, or those around the configuration."""
    given = {} if file is None else space_of_file(file, base.model)
    flags = space_of_pairs(pairs, base.model)
    if twice := sorted(given.keys() & flags.keys()):
        raise SettingInvalid(f"{twice[0]} was given twice")
    return {**given, **flags} or usual_space(base)
