"""`gaugewatch promise`: false incidents per entity and day, as promised and as they came."""

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.cli.client import DEFAULT_URL, Client
from service.stream.promise import ModelPromise


def promise(
    days: Annotated[int, typer.Option(min=1, max=90, help="Days of UTC, today among them.")] = 7,
    url: Annotated[str, typer.Option(help="Where the service listens.")] = DEFAULT_URL,
    key: Annotated[str | None, typer.Option(envvar="GAUGEWATCH_KEY", help="Bearer key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """False incidents per entity and day of every bundle: promised, labelled, and at most."""
    with Client(url, key=key) as client:
        answer = client.get(f"/v1/promise?days={days}")
    found = msgspec.convert(answer, list[ModelPromise])
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    console = Console()
    console.print(_table(found))
    if not all(one.is_complete for one in found):
        console.print("more incidents opened than are kept: there were more than these")


def _table(found: list[ModelPromise]) -> Table:
    columns = ("promised", "labelled false", "at most", "entity days", "incidents")
    labels = ("true", "false", "new normal", "unlabelled")
    table = Table("bundle", *columns, *labels)
    for one in found:
        rates = (one.promised, one.false_rate, one.at_most, one.entity_days)
        counts = (one.incidents, one.labelled_true, one.labelled_false)
        more = (one.labelled_new_normal, one.unlabelled)
        table.add_row(escape(one.model), *map(_number, rates), *map(str, counts + more))
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
