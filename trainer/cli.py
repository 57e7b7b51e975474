"""`gaugewatch-trainer`: fit, evaluate, report. Results on stdout, progress and errors on stderr.

Exit codes: 0 done; 2 what was asked for or given cannot be used; 1 anything else that failed.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from service.errors import BadInput, GaugewatchError, SettingInvalid, UnknownBundle
from trainer import cli_benchmark, cli_measure, cli_recalibrate
from trainer.benchmark.rows import BENCH
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
from trainer.config import MaskMode, Model, Preset, preset
from trainer.console import complain, live, note, print_json, show, summary, warn
from trainer.datasets import Halves, Reader, to_train_on
from trainer.labels import read_faults, without_faults
from trainer.run import Order, check, examine, make, publish, trainable
from trainer.trim import sentence

USAGE, FAILURE = 2, 1

app = typer.Typer(
    help="Train models on series of metrics and export them as bundles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Quantise = Annotated[bool | None, typer.Option("--quantise", help="gru_vae: serve in int8.")]


app.command("benchmark")(cli_benchmark.command(BENCH))
app.command("evaluate")(cli_measure.evaluate_command)
app.command("report")(cli_measure.report_command)
app.command("recalibrate")(cli_recalibrate.recalibrate_command)


@app.callback()
def trainer() -> None:
    """Train models on series of metrics and export them as bundles."""


@app.command("fit")
def fit_command(
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder that bundles are written into.")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")],
    period_seconds: Annotated[float, typer.Option(min=1e-3, help="Time between two points.")],
    model: Annotated[Model, typer.Option(help="Kind of model.")] = "blind_spot",
    preset_name: Annotated[Preset, typer.Option("--preset")] = "small",
    seed: Annotated[int, typer.Option(min=0)] = 0,
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
    linear_skip: Annotated[
        bool | None, typer.Option(help="gru_vae: model what a PCA leaves over.")
    ] = None,
    quantise: Quantise = None,
    mask_mode: Annotated[MaskMode | None, typer.Option(help="slmr: what learning hides.")] = None,
    dilations: Annotated[str | None, typer.Option(help="slmr: one per scale, 1,1,2,2.")] = None,
    trim: Annotated[
        float | None, typer.Option(help="Share of the oddest windows not to train on: 0.01.")
    ] = None,
    untrained: Untrained = False,
    report: Annotated[bool, typer.Option(help="Write report.md and its plots.")] = True,
    is_json: Json = False,
) -> None:
    """Fit a model, export, calibrate and measure it."""
    ranges = ranges_of(train_rows, train_times, test_rows, test_times)
    reader = Reader(period_seconds, _names(columns), timestamp_column, layout, note, ranges)
    knobs: dict[str, object] = {"seed": seed, "epochs": epochs, "dilations": dilations}
    knobs |= {"trim": trim}
    knobs |= {"is_linear_skip": linear_skip, "is_int8": quantise, "mask_mode": mask_mode}
    given = {k: v for k, v in knobs.items() if v is not None}
    config = preset(preset_name, model=model, **given)
    halves = to_train_on(reader, data, test=test_data)
    if labels is not None:
        faults = read_faults(labels)
        halves = without_faults(halves, faults, period_seconds=period_seconds, tell=note)
    halves = trainable(halves, config, warn=warn)
    parts = _parts(halves, name) if per_entity else {name: halves}
    orders = {name: Order(config, name, output, period_seconds) for name in parts}
    for part, own in parts.items():
        check(orders[part], own, has_untrained=untrained)
    tell_of(data, reader, halves)
    results = []
    for number, (part, own) in enumerate(parts.items(), start=1):
        prefix = f"{part} ({number}/{len(parts)}) " if per_entity else ""
        with live(prefix) as stages:
            started = time.monotonic()
            bundle = make(orders[part], own.train, stages)
            material = examine(bundle, own, stages, has_untrained=untrained)
            bundle = publish(material, has_report=report)
        if trimmed := sentence(bundle.manifest.training):
            note(trimmed)
        results.append((bundle, time.monotonic() - started))
        if not is_json:
            show(bundle, bundle.manifest.metrics)
    if is_json:
        print_json({"bundles": [summary(bundle, seconds) for bundle, seconds in results]})


def main() -> None:
    """Run, and turn what is known to go wrong into one line and an exit code."""
    try:
        app()
    except (BadInput, SettingInvalid, UnknownBundle) as error:
        raise SystemExit(complain(error.detail, USAGE)) from None
    except GaugewatchError as error:
        raise SystemExit(complain(error.detail, FAILURE)) from None
    except OSError as error:
        raise SystemExit(complain(str(error), FAILURE)) from None


def _names(columns: list[str] | None) -> list[str] | None:
    if not columns:
        return None
    return [name.strip() for given in columns for name in given.split(",") if name.strip()]


def _parts(halves: Halves, name: str) -> dict[str, Halves]:
    """Bundle name -> its only entity."""
    parts = {f"{name}-{one.entity}".lower(): halves.of(one.entity) for one in halves.train}
    if len(parts) < len(halves.train):
        raise SettingInvalid("entities whose names differ only in case need folders of their own")
    return parts


if __name__ == "__main__":
    main()
