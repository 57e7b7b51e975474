"""`gaugewatch-trainer`: fit, evaluate, report, and what a model can be told.

Results on stdout, progress and errors on stderr.

Exit codes: 0 done; 2 what was asked for or given cannot be used; 1 anything else that failed.
"""

from pathlib import Path
from typing import Annotated

import typer

from service.errors import BadInput, GaugewatchError, SettingInvalid, UnknownBundle
from service.scoring.bundle import Bundle, load_bundle
from trainer import cli_benchmark
from trainer.benchmark.rows import BENCH
from trainer.cli_fit import (
    BundleFolder,
    Data,
    Json,
    TimestampColumn,
    Train,
    Untrained,
    fit_command,
)
from trainer.config import Model, Preset
from trainer.console import complain, live, print_json, show, show_options
from trainer.datasets import Halves, Reader, to_test_on
from trainer.options import options_of
from trainer.ranges import trained_on
from trainer.recipe import DEFAULT_MODEL, DEFAULT_PRESET
from trainer.run import examine, publish

USAGE, FAILURE = 2, 1

app = typer.Typer(
    help="Train models on series of metrics and export them as bundles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("fit")(fit_command)
app.command("benchmark")(cli_benchmark.command(BENCH))


@app.callback()
def trainer() -> None:
    """Train models on series of metrics and export them as bundles."""


@app.command("options")
def options_command(
    model: Annotated[Model, typer.Option(help="Kind of model.")] = DEFAULT_MODEL,
    preset_name: Annotated[Preset, typer.Option("--preset")] = DEFAULT_PRESET,
    is_json: Json = False,
) -> None:
    """Print every knob of a model: default, what is allowed, meaning."""
    options = options_of(model, preset_name)
    if is_json:
        print_json([option._asdict() for option in options])
    else:
        show_options(options)


@app.command("evaluate")
def evaluate_command(
    bundle: BundleFolder,
    data: Data,
    train_data: Train = None,
    timestamp_column: TimestampColumn = None,
    untrained: Untrained = False,
    is_json: Json = False,
) -> None:
    """Measure a bundle on labelled data, beside the floors."""
    found = load_bundle(bundle)
    halves = _halves_for(found, data, train_data, timestamp_column)
    if all(one.label is None for one in halves.test):
        raise SettingInvalid(f"{data} has no labels, so there is nothing to measure")
    with live("") as screen:
        evaluation = examine(found, halves, screen.stage, has_untrained=untrained).evaluation
    if is_json:
        names = [one.entity for one in evaluation.series]
        entities = dict(zip(names, evaluation.entities, strict=True))
        print_json({"bundle": found.title, "metrics": evaluation.rows, "entities": entities})
    else:
        show(found, evaluation.rows)


@app.command("report")
def report_command(
    bundle: BundleFolder,
    data: Data,
    train_data: Train = None,
    timestamp_column: TimestampColumn = None,
    untrained: Untrained = False,
    is_json: Json = False,
) -> None:
    """Write report.md, its plots and the measures of a bundle anew."""
    found = load_bundle(bundle)
    halves = _halves_for(found, data, train_data, timestamp_column)
    with live("") as screen:
        material = examine(found, halves, screen.stage, has_untrained=untrained)
        found = publish(material, has_report=True)
    if is_json:
        print_json({"bundle": found.title, "report": str(found.folder / found.manifest.report)})
    else:
        show(found, found.manifest.metrics)


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


def _halves_for(
    bundle: Bundle, data: Path, train_data: Path | None, timestamp_column: str | None
) -> Halves:
    manifest = bundle.manifest
    reader = Reader(manifest.period_seconds, manifest.dimensions, timestamp_column)
    return trained_on(to_test_on(reader, data, train=train_data), manifest.training)


if __name__ == "__main__":
    main()
