"""`gaugewatch watch`: alerts as they come, with their causes."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from service.cli.client import DEFAULT_URL, Client
from service.errors import GaugewatchError, StoreUnavailable
from service.stream.messages import Alert

STYLES = {"opened": "bold red", "updated": "bold yellow", "resolved": "green"}
RECONNECT_SECONDS = 1.0


def watch(
    url: Annotated[str, typer.Option(help="Where the service listens.")] = DEFAULT_URL,
    after: Annotated[
        str | None, typer.Option(help="Cursor to resume after, or `earliest`. Default: now.")
    ] = None,
    count: Annotated[int | None, typer.Option(help="Stop after so many alerts.")] = None,
    key: Annotated[str | None, typer.Option(envvar="GAUGEWATCH_KEY", help="Bearer key.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show alerts as they come; reconnects and resumes without gap or repeat."""
    asyncio.run(_watch(Client(url, key=key), after=after, count=count, as_json=as_json))


def line_of(alert: Alert) -> Text:
    """An alert as one coloured line."""
    at = datetime.fromtimestamp(alert.timestamp_ms / 1000, UTC)
    text = Text(f"{at:%Y-%m-%d %H:%M:%S} ")
    text.append(f"{alert.kind:<8} ", STYLES[alert.kind])
    score = "" if alert.score is None else f"score {alert.score:5.2f}  "
    text.append(f"{score if alert.kind != 'resolved' else f'peak {alert.peak_score:6.2f}  '}")
    text.append(alert.summary.replace(f" {alert.kind}:", ":", 1))
    return text


async def _watch(client: Client, *, after: str | None, count: int | None, as_json: bool) -> None:
    console = Console(soft_wrap=True)
    seen = 0
    has_connected = False
    while True:
        try:
            async for cursor, event in client.alerts(after=after):
                after, has_connected = cursor, True
                _show(console, cursor, event, as_json=as_json)
                seen += isinstance(event, Alert)
                if seen == count:
                    return
        except ConnectionClosed as error:
            _stop_if_refused(error)
        except (OSError, InvalidHandshake) as error:
            if not has_connected:
                raise StoreUnavailable(f"no service answers: {error}") from None
        await asyncio.sleep(RECONNECT_SECONDS)


def _stop_if_refused(error: ConnectionClosed) -> None:
    """Codes from 4000 say that asking again will not help."""
    if error.rcvd is not None and error.rcvd.code >= 4000:
        raise GaugewatchError(f"the service closed the stream: {error.rcvd.reason}")


def _show(console: Console, cursor: str, event: Alert | int | None, *, as_json: bool) -> None:
    if event is None:
        return
    if isinstance(event, int):
        gap = {"cursor": cursor, "gap": {"missed": event}}
        typer.echo(msgspec.json.encode(gap)) if as_json else console.print(f"gap: {event} gone")
    elif as_json:
        typer.echo(msgspec.json.encode({"cursor": cursor, "alert": event}))
    else:
        console.print(line_of(event), highlight=False)
