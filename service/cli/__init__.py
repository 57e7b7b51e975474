"""The command line: `gaugewatch serve | demo | replay | watch | score | models | policies`."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from service.cli import (
    demo,
    incidents,
    models,
    policies,
    promise,
    replay,
    replay_incident,
    score,
    serve,
    simulate,
    watch,
)
from service.errors import BadInput, GaugewatchError

app = typer.Typer(
    help="Streaming anomaly detection: which entity, how sure, and which dimensions are to blame.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.command("replay")(replay.replay)
app.command("replay-incident")(replay_incident.replay_incident)
app.command("watch")(watch.watch)
app.command("score")(score.score)
app.command("promise")(promise.promise)
app.command("incidents")(incidents.incidents)
app.add_typer(models.app, name="models")
app.add_typer(policies.app, name="policies")


def main() -> None:
    """Run a command; an error is one line, and exit code 2 for bad input, else 1."""
    try:
        app()
    except GaugewatchError as error:
        _say(error.code, error.detail)
        sys.exit(2 if isinstance(error, BadInput) else 1)
    except OSError as error:
        _say("system", str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _say(code: str, detail: str) -> None:
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"[bold red]error[/] ({code}): {escape(detail)}", highlight=False)


__all__ = ["app", "main"]
