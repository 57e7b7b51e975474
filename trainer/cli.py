"""`gaugewatch-trainer`: all its commands, and what a model can be told.

Results on stdout, progress and errors on stderr.

Exit codes: 0 done; 2 what was asked for or given cannot be used; 1 anything else that failed.
"""

from typing import Annotated

import typer

from service.errors import BadInput, GaugewatchError, SettingInvalid, UnknownBundle
from trainer import cli_benchmark, cli_measure, cli_recalibrate
from trainer.benchmark.rows import BENCH
from trainer.cli_fit import fit_command
from trainer.cli_options import Json
from trainer.cli_tune import tune_command
from trainer.config import Model, Preset
from trainer.console import complain, print_json, show_options
from trainer.options import options_of
from trainer.recipe import DEFAULT_MODEL, DEFAULT_PRESET

USAGE, FAILURE = 2, 1

app = typer.Typer(
    help="Train models on series of metrics and export them as bundles.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("fit")(fit_command)
app.command("tune")(tune_command)
app.command("benchmark")(cli_benchmark.command(BENCH))
app.command("evaluate")(cli_measure.evaluate_command)
app.command("report")(cli_measure.report_command)
app.command("recalibrate")(cli_recalibrate.recalibrate_command)


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


if __name__ == "__main__":
    main()
