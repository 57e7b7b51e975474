"""`gaugewatch policies`: show what is said, set it, mute an entity for a while."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from service.cli.client import DEFAULT_URL, Client
from service.errors import BadInput, EpochMovedOn
from service.stream.effective import Effective, PoliciesInForce
from service.stream.policy import DimensionPolicy, Maintenance, Policy

app = typer.Typer(help="What opens an incident.", no_args_is_help=True, add_completion=False)

Url = Annotated[str, typer.Option(help="Where the service listens.")]
Key = Annotated[str | None, typer.Option(envvar="GAUGEWATCH_KEY", help="Bearer key.")]
Entity = Annotated[str, typer.Argument(help="Entity.")]
Answer = TypeVar("Answer")
UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LONGEST: Final = timedelta(days=3_660)


@app.command()
def show(
    entity: Annotated[str | None, typer.Option(help="What holds of this one.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The document, as `set` reads it; or all that holds of one entity, and who said it."""
    with Client(url, key=key) as client:
        if entity is None:
            known = _document(client)
            typer.echo(f"epoch {known.epoch}", err=True)
            typer.echo(msgspec.json.format(msgspec.json.encode(known.policies)))
            return
        state = state_of(client, entity)
    if as_json:
        typer.echo(msgspec.json.encode(state))
        return
    _print(state)


@app.command("set")
def put(
    file: Annotated[Path, typer.Argument(help="JSON document of policies.")],
    epoch: Annotated[
        int | None, typer.Option(min=1, help="Only if this is still in force; `show` tells it.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Put a document in the place of all policies, on all replicas."""
    body = file.read_bytes()
    with Client(url, key=key) as client:
        if epoch is None:
            known = twice(lambda: _replaced(client, body, _document(client).epoch))
        else:
            known = _replaced(client, body, epoch)
    patterns, entities = len(known.policies.patterns), len(known.policies.entities)
    said = f"default, {patterns} patterns, {entities} entities"
    typer.echo(f"policies are in force: {said} (epoch {known.epoch})")


@app.command()
def mute(
    entity: Entity,
    duration: Annotated[str, typer.Option("--for", help="From now on: 90s, 30m, 2h, 3d.")],
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Let no incident of an entity open for a while; an open one stays."""
    until_ms = round(1000 * (time.time() + parsed(duration).total_seconds()))
    with Client(url, key=key) as client:
        state = twice(lambda: muted(client, state_of(client, entity), until_ms))
    typer.echo(f"{entity} is muted until {_moment(state.policy.muted_until_ms or 0)}")


@app.command()
def unmute(entity: Entity, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Let incidents of an entity open again, whatever its patterns say."""
    with Client(url, key=key) as client:
        state = twice(lambda: muted(client, state_of(client, entity), None))
        if (state.policy.muted_until_ms or 0) > 1000 * time.time():
            twice(lambda: muted(client, state_of(client, entity), 0))
    typer.echo(f"{entity} is not muted")


def parsed(duration: str) -> timedelta:
    """Raises BadInput."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", duration)
    length = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < length <= LONGEST:
        days = LONGEST.days
        raise BadInput(f"expected --for as 90s, 30m, 2h or 3d, at most {days}d, came {duration!r}")
    return length


def twice(change: Callable[[], Answer]) -> Answer:
    """Read and change something; once more, where somebody else changed it in between."""
    try:
        return change()
    except EpochMovedOn:
        return change()


def muted(client: Client, state: Effective, until_ms: int | None) -> Effective:
    """Say of an entity until when it is muted, and nothing else. Raises EpochMovedOn."""
    own = msgspec.structs.replace(state.own or Policy(), muted_until_ms=until_ms)
    path = f"/v1/policies/entities/{quote(state.entity, safe='')}"
    if own == Policy():
        return msgspec.convert(client.send("DELETE", path, epoch=state.epoch), Effective)
    body = msgspec.json.encode(own)
    return msgspec.convert(client.send("PUT", path, body, epoch=state.epoch), Effective)


def _document(client: Client) -> PoliciesInForce:
    return msgspec.convert(client.get("/v1/policies"), PoliciesInForce)


def _replaced(client: Client, body: bytes, epoch: int) -> PoliciesInForce:
    answer = client.send("PUT", "/v1/policies", body, epoch=epoch)
    return msgspec.convert(answer, PoliciesInForce)


def state_of(client: Client, entity: str) -> Effective:
    query = urlencode({"entity": entity})
    return msgspec.convert(client.get(f"/v1/policies/effective?{query}"), Effective)


def _print(state: Effective) -> None:
    table = Table(*(Column(title, overflow="fold") for title in ("field", "value", "said by")))
    for name, value in _rows(state.policy):
        table.add_row(escape(name), escape(value), escape(state.sources.get(name, "-")))
    console = Console()
    console.print(table)
    console.print(escape(f"scored by {state.bundle or 'no bundle'} (epoch {state.epoch})"))
    if state.unknown_dimensions:
        console.print(escape(f"not of that bundle: {', '.join(state.unknown_dimensions)}"))


def _rows(policy: Policy) -> list[tuple[str, str]]:
    """Fields by the paths that `sources` has."""
    rows = []
    for name in policy.__struct_fields__:
        value: Any = getattr(policy, name)
        if name == "maintenance":
            rows += [(f"{name}[{index}]", _window(one)) for index, one in enumerate(value)]
        elif name == "dimensions":
            for dimension, own in value.items():
                rows += _dimension_rows(f"{name}.{dimension}", own)
        elif value is not None:
            rows.append((name, _moment(value) if name == "muted_until_ms" else _shown(value)))
    return rows


def _dimension_rows(path: str, own: DimensionPolicy) -> list[tuple[str, str]]:
    return [(f"{path}.{field}", _shown(getattr(own, field))) for field in own.__struct_fields__]


def _window(window: Maintenance) -> str:
    once = f"{_moment(window.start_ms)} to {_moment(window.end_ms)}"
    if window.every_seconds is None:
        return once
    return f"{once}, and again every {timedelta(seconds=window.every_seconds)}"


def _shown(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.15g}"


def _moment(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
