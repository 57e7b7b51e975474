"""`gaugewatch incidents`: what was told, and what people said of it."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.cli.client import DEFAULT_URL, Client
from service.stream.incident_messages import Incident, IncidentPage

PAGE: Final = 500
LabelName = Literal["true", "false", "new_normal", "none"]


def incidents(
    entity: Annotated[str | None, typer.Option(help="Of this entity alone.")] = None,
    label: Annotated[LabelName | None, typer.Option(help="What people called them.")] = None,
    url: Annotated[str, typer.Option(help="Where the service listens.")] = DEFAULT_URL,
    key: Annotated[str | None, typer.Option(envvar="GAUGEWATCH_KEY", help="Bearer key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """All incidents that are kept, the last opened first."""
    asked = {"limit": str(PAGE), "entity": entity, "label": label}
    with Client(url, key=key) as client:
        found = _all(client, {name: value for name, value in asked.items() if value is not None})
    if as_json:
        typer.echo(msgspec.json.encode(IncidentPage(found, None)))
        return
    Console(soft_wrap=True).print(_table(found))


def _all(client: Client, asked: dict[str, str]) -> list[Incident]:
    found: list[Incident] = []
    while True:
        page = msgspec.convert(client.get(f"/v1/incidents?{urlencode(asked)}"), IncidentPage)
        found += page.incidents
        if page.next is None:
            return found
        asked = {**asked, "after": page.next}


def _table(found: list[Incident]) -> Table:
    table = Table("opened", "entity", "state", "label", "what")
    for one in found:
        opened = f"{datetime.fromtimestamp(one.opened_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
        state = "open" if one.is_open else "resolved"
        label = one.note.label or "-"
        worst = one.worst or one.alert
        table.add_row(opened, escape(one.entity), state, label, escape(worst.summary))
    return table
