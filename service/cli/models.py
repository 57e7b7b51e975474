"""`gaugewatch models`: what is in force, try a candidate, activate, roll back, compare two."""

import json
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.cli.client import DEFAULT_URL, Client
from service.scoring.bundle import load_bundle
from service.scoring.candidate import check_candidate, try_bundle
from service.scoring.manifest import NOT_IN_DIGEST, Manifest
from service.stream.messages import ModelState, ShadowReport, Version

app = typer.Typer(help="Bundles at run time.", no_args_is_help=True, add_completion=False)

Url = Annotated[str, typer.Option(help="Where the service listens.")]
Key = Annotated[str | None, typer.Option(envvar="GAUGEWATCH_KEY", help="Bearer key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
MAX_LISTED: Final = 6  # names of a list shown in a difference


@app.command("list")
def show(url: Url = DEFAULT_URL, key: Key = None, as_json: AsJson = False) -> None:
    """The bundles of a running service: versions, what is active, what scores silently."""
    with Client(url, key=key) as client:
        names = [one["name"] for one in client.get("/v1/models")]
        states = [_state(client.get(f"/v1/models/{quote(name)}")) for name in names]
    if as_json:
        typer.echo(msgspec.json.encode(states))
        return
    table = Table("bundle", "active", "pinned", "shadow", "rollback to", "in the folder")
    for one in states:
        others = [version for version in one.versions if version != one.active]
        before = one.before[-1] if one.before else "-"
        pinned = "yes" if one.is_pinned else "-"
        listed = ", ".join(others) or "-"
        table.add_row(one.name, one.active, pinned, one.shadow or "-", before, listed)
    Console().print(table)


@app.command()
def check(
    bundle: Annotated[Path, typer.Argument(help="Folder of one version.")],
) -> None:
    """Open a candidate and score with it, in a process with limits; exit code 1 if refused."""
    check_candidate(bundle)
    typer.echo(f"{try_bundle(bundle).title} can be put in force")


@app.command()
def activate(
    name: Annotated[str, typer.Argument(help="Bundle.")],
    version: Annotated[str, typer.Argument(help="Version, a folder of that bundle.")],
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Put a version in force on all replicas."""
    with Client(url, key=key) as client:
        body = msgspec.json.encode(Version(version))
        state = _state(client.send("POST", f"/v1/models/{quote(name)}/activate", body))
    typer.echo(f"{state.name}/{state.active} is active (epoch {state.epoch})")


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Bundle.")], url: Url = DEFAULT_URL, key: Key = None
) -> None:
    """Put the version before in force again."""
    with Client(url, key=key) as client:
        state = _state(client.send("POST", f"/v1/models/{quote(name)}/rollback"))
    typer.echo(f"{state.name}/{state.active} is active (epoch {state.epoch})")


@app.command()
def shadow(
    name: Annotated[str, typer.Argument(help="Bundle.")],
    version: Annotated[
        str | None, typer.Argument(help="Version that shall score silently. Default: report.")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Stop the silent version.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let a version score silently beside the active one, or report how alike they are."""
    path = f"/v1/models/{quote(name)}/shadow"
    with Client(url, key=key) as client:
        if end or version is not None:
            method = "DELETE" if end else "PUT"
            body = None if version is None else msgspec.json.encode(Version(version))
            state = _state(client.send(method, path, body))
            typer.echo(f"{state.name}: {state.shadow or 'nothing'} scores silently")
            return
        report = client.get(path)
    if as_json:
        typer.echo(json.dumps(report))
        return
    _print_report(msgspec.convert(report, ShadowReport))


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(help="Folder of one version, or of a bundle.")],
    second: Annotated[Path, typer.Argument(help="Folder of the other.")],
) -> None:
    """What is different between two bundles, field by field."""
    one, other = (load_bundle(path) for path in (first, second))
    table = Table("field", escape(one.title), escape(other.title))
    for name, *sides in differences(one.manifest, other.manifest):
        table.add_row(name, *(escape(side) for side in sides))
    if table.row_count == 0:
        typer.echo("nothing that determines a score is different")
        return
    Console().print(table)


def differences(one: Manifest, other: Manifest) -> list[tuple[str, str, str]]:
    """Fields that determine a score or tell how it does, with what each side says."""
    found = []
    for name in Manifest.model_fields:
        if name in NOT_IN_DIGEST - {"metrics", "parity"}:
            continue
        sides = [getattr(each, name) for each in (one, other)]
        if sides[0] != sides[1]:
            found.append((name, _shown(*sides), _shown(*reversed(sides))))
    return found


def _shown(own: Any, other: Any) -> str:
    """A value; of lists and mappings only what the other side has otherwise."""
    if isinstance(own, dict):
        changed = [f"{key}={value}" for key, value in own.items() if other.get(key) != value]
        return ", ".join(changed) or "(less)"
    if isinstance(own, tuple):
        changed = [str(one) for one in own if one not in other]
        more = f" and {len(changed) - MAX_LISTED} more" if len(changed) > MAX_LISTED else ""
        return ", ".join(changed[:MAX_LISTED]) + more or "(less, or another order)"
    return str(getattr(own, "sha256", own))


def _print_report(report: ShadowReport) -> None:
    table = Table("", escape(report.active), escape(report.shadow), "both")
    flagged = (report.flagged_active, report.flagged_shadow, report.flagged_both)
    incidents = (report.incidents_active, report.incidents_shadow, report.incidents_together)
    table.add_row("points flagged", *map(str, flagged))
    table.add_row("incidents opened", *map(str, incidents))
    console = Console()
    console.print(table)
    overlap = "-" if report.flagged_overlap is None else f"{report.flagged_overlap:.0%}"
    correlation = _number(report.score_correlation)
    console.print(
        f"{report.compared} of {report.points} points of {report.entities} entities compared; "
        f"rank correlation of scores {correlation}, of severities "
        f"{_number(report.severity_correlation)}; alert overlap {overlap}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _state(answer: Any) -> ModelState:
    return msgspec.convert(answer, ModelState)
