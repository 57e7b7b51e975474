"""What a search leaves behind: the best knobs as a file for `fit --config`, a table, a plot."""

import csv
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from service.errors import TrainingFailed
from trainer.canvas import ALARM, MODEL, figure_of, save
from trainer.config import Config, preset
from trainer.recipe import Source, configured
from trainer.tuning import Search

BEST, TABLE, PLOT = "best.toml", "trials.csv", "trials.png"
SHOWN = 10  # lines of the table on a terminal
HEAD = ("trial", "state", "value", "epochs", "seconds")


def best_of(search: Search, study: Study) -> tuple[FrozenTrial, Config]:
    """The best trial and its configuration; raises TrainingFailed where none was completed."""
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        errors = [trial.user_attrs.get("error", "it was stopped") for trial in study.trials]
        raise TrainingFailed(f"no trial was completed; the last one: {errors[-1]}")
    found = study.best_trial
    base = Source(search.base.model_dump(), "the configuration")
    return found, configured(Source(found.params), like=base)


def written(search: Search) -> tuple[Path, list[str], list[list[str]]]:
    """Write all three; the file of the best knobs, and head and lines of the best trials."""
    study = search.study()
    found, config = best_of(search, study)
    told = f"# trial {found.number} of {len(study.trials)}: {search.objective} {found.value:.6g}"
    best = search.folder / BEST
    best.write_text("\n".join([f"{told}, seed {search.seed}", *_toml(config)]) + "\n")
    head = [*HEAD, *search.space]
    with (search.folder / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([head, *_lines(study.trials, list(search.space))])
    _plot(study.trials, search)
    return best, head, _lines(_ranked(search, study), list(search.space))


def _ranked(search: Search, study: Study) -> list[FrozenTrial]:
    """The best trials, the best first."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    is_highest = search.direction == "maximize"
    return sorted(complete, key=lambda trial: trial.value or 0.0, reverse=is_highest)[:SHOWN]


def _lines(trials: Sequence[FrozenTrial], knobs: Sequence[str]) -> list[list[str]]:
    return [
        [
            str(trial.number),
            trial.user_attrs.get("error", trial.state.name.lower()),
            f"{trial.value:.5g}" if trial.state == TrialState.COMPLETE else "",
            str(max(trial.intermediate_values, default=0)),
            "" if trial.duration is None else f"{trial.duration.total_seconds():.1f}",
            *(_short(trial.params.get(knob, "")) for knob in knobs),
        ]
        for trial in trials
    ]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _toml(config: Config) -> list[str]:
    """Model, preset, and the knobs that differ from it."""
    usual = preset(config.preset, model=config.model).model_dump()
    own = {key: one for key, one in config.model_dump().items() if usual.get(key) != one}
    told = {"model": config.model, "preset": config.preset, **own}
    return [f"{key} = {_value(value)}" for key, value in told.items()]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return f'"{"none" if value is None else value}"'


def _plot(trials: Sequence[FrozenTrial], search: Search) -> None:
    """Values of the completed trials, and the best so far."""
    figure, axes = figure_of(6.0, 2.6)
    complete = [one for one in trials if one.state == TrialState.COMPLETE]
    numbers, values = [one.number for one in complete], [one.value or 0.0 for one in complete]
    best = accumulate(values, max if search.direction == "maximize" else min)
    axes.plot(numbers, values, "o", ms=4, color=MODEL)
    axes.step(numbers, list(best), where="post", color=ALARM, lw=1)
    axes.set(xlabel="trial", ylabel=search.objective)
    save(figure, search.folder / PLOT)
