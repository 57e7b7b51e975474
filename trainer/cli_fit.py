"""`gaugewatch-trainer fit`: series in, a bundle out."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.errors import SettingInvalid, TrainingFailed
from service.scoring.bundle import load_bundle
from trainer.attended import Comforts
from trainer.cli_options import (
    Columns,
    Data,
    Json,
    LayoutName,
    TestRows,
    TestTimes,
    TimestampColumn,
    TrainRows,
    TrainTimes,
    Untrained,
    ranges_of,
    tell_of,
)
from trainer.config import Config, MaskMode, Model, Preset
from trainer.console import ignore, live, note, print_json, show, summary, warn
from trainer.datasets import Halves, Reader, to_train_on
from trainer.labels import read_faults, without_faults
from trainer.one_fit import OneFit
from trainer.per_entity import Made, fit_side_by_side
from trainer.recipe import Source, configured, of_bundle, of_file, of_pairs, together
from trainer.run import Order, check, trainable
from trainer.trim import sentence

Quantise = Annotated[bool | None, typer.Option("--quantise", help="gru_vae: serve in int8.")]
Like = Annotated[Path | None, typer.Option(help="Folder of a bundle whose configuration is taken.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file: knob = value, model and preset too.")
]
Knobs = Annotated[
    list[str] | None, typer.Option("--set", help="Any knob: key=value; repeat. See `options`.")
]


def fit_command(
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder that bundles are written into.")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")],
    period_seconds: Annotated[float, typer.Option(min=1e-3, help="Time between two points.")],
    model: Annotated[Model | None, typer.Option(help="Kind of model.")] = None,
    preset_name: Annotated[Preset | None, typer.Option("--preset")] = None,
    config_file: ConfigFile = None,
    like: Like = None,
    knobs: Knobs = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    epochs: Annotated[int | None, typer.Option(min=0, help="0: the untrained network.")] = None,
    per_entity: Annotated[bool, typer.Option(help="One bundle per entity, not one for all.")] = (
        False
    ),
    test_data: Annotated[
        Path | None, typer.Option(help="Test half, where --data does not hold it (CSV).")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Incidents; those labelled true are not learned from.")
    ] = None,
    columns: Columns = None,
    timestamp_column: TimestampColumn = None,
    layout: LayoutName = None,
    train_rows: TrainRows = None,
    train_times: TrainTimes = None,
    test_rows: TestRows = None,
    test_times: TestTimes = None,
    linear_skip: Annotated[bool | None, typer.Option(help="Model what a PCA leaves over.")] = None,
    quantise: Quantise = None,
    mask_mode: Annotated[MaskMode | None, typer.Option(help="slmr: what learning hides.")] = None,
    dilations: Annotated[str | None, typer.Option(help="slmr: one per scale, 1,1,2,2.")] = None,
    trim: Annotated[
        float | None, typer.Option(help="Share of the oddest windows not to train on: 0.01.")
    ] = None,
    untrained: Untrained = False,
    report: Annotated[bool, typer.Option(help="Write report.md, report.html, plots.")] = True,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Epochs between two checkpoints.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = (
        False
    ),
    visualise_every: Annotated[
        int | None, typer.Option(min=1, help="Epochs between two pictures of the training.")
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder of TensorBoard's files.")] = None,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="A line per epoch; twice: update.")
    ] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="--per-entity: fits at once; else as many as fit.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="--per-entity: address of a Ray cluster that fits, or auto.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")] = False,
    is_json: Json = False,
) -> None:
    """Fit a model, export, calibrate and measure it."""
    if not per_entity and (workers or ray):
        raise SettingInvalid("--workers and --ray need --per-entity")
    named: dict[str, object] = {"model": model, "preset": preset_name, "seed": seed}
    named |= {"epochs": epochs, "dilations": dilations, "mask_mode": mask_mode}
    named |= {"is_linear_skip": linear_skip, "is_int8": quantise, "trim": trim}
    config = configuration(together(named, of_pairs(knobs or [])), config_file, like)
    usual = Comforts(
        checkpoint_every=checkpoint_every,
        is_resumed=resume,
        visualise_every=visualise_every,
        tensorboard=tensorboard,
        verbosity=0 if quiet else verbose,
    )
    tell = ignore if quiet else note
    ranges = ranges_of(train_rows, train_times, test_rows, test_times)
    reader = Reader(period_seconds, names_of(columns), timestamp_column, layout, tell, ranges)
    halves = to_train_on(reader, data, test=test_data)
    if labels is not None:
        faults = read_faults(labels)
        halves = without_faults(halves, faults, period_seconds=period_seconds, tell=tell)
    halves = trainable(halves, config, warn=warn)
    parts = _parts(halves, name) if per_entity else {name: halves}
    fits = [
        OneFit(Order(config, part, output, period_seconds), own, usual, untrained, report)
        for part, own in parts.items()
    ]
    for one in fits:
        check(one.order, one.halves, has_untrained=untrained)
    tell_of(data, reader, halves, tell=tell)
    if per_entity:
        results, errors = fit_side_by_side(fits, workers=workers, ray=ray, is_quiet=quiet)
    else:
        results, errors = [_here(fits[0], is_quiet=quiet)], {}
    _tell_of(results, tell=tell, is_shown=not (is_json or quiet))
    if is_json:
        print_json({"bundles": [summary(bundle, seconds) for bundle, seconds in results]})
    if errors:
        told = "; ".join(f"{part}: {error}" for part, error in sorted(errors.items()))
        raise TrainingFailed(f"{len(errors)} of {len(fits)} entities failed: {told}")


def _tell_of(results: Sequence[Made], *, tell: Callable[[str], None], is_shown: bool) -> None:
    """What was trimmed, and how good each bundle is."""
    for bundle, _ in results:
        if trimmed := sentence(bundle.manifest.training):
            tell(trimmed)
        if is_shown:
            show(bundle, bundle.manifest.metrics)


def _here(one: OneFit, *, is_quiet: bool) -> Made:
    """Fit in this process; the bundle, and the seconds it took."""
    with live("", is_quiet=is_quiet) as screen:
        started = time.monotonic()
        bundle = one.made(screen.stage, screen.say)
        return bundle, time.monotonic() - started


def configuration(flags: Source, file: Path | None, like: Path | None) -> Config:
    """Of flags, a TOML file and the folder of a bundle."""
    return configured(
        flags,
        file=None if file is None else of_file(file),
        like=None if like is None else of_bundle(load_bundle(like)),
    )


def names_of(columns: list[str] | None) -> list[str] | None:
    """Of dimensions, as they were repeated or separated by commas."""
    if not columns:
        return None
    return [name.strip() for given in columns for name in given.split(",") if name.strip()]


def _parts(halves: Halves, name: str) -> dict[str, Halves]:
    """Bundle name -> its only entity."""
    parts = {f"{name}-{one.entity}".lower(): halves.of(one.entity) for one in halves.train}
    if len(parts) < len(halves.train):
        raise SettingInvalid("entities whose names differ only in case need folders of their own")
    return parts
