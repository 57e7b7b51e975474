"""`gaugewatch serve`: the service, on a private Valkey unless a Redis is given."""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from service.settings import read_settings
from service.web.app import create_app
from service.web.server import configure_log, server


def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind. Default: loopback.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind.")] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Redis to use. Default: a private Valkey.")
    ] = None,
    bundles: Annotated[Path | None, typer.Option(help="Folder of bundles.")] = None,
    data_directory: Annotated[Path | None, typer.Option(help="Where Valkey keeps data.")] = None,
    durability: Annotated[str | None, typer.Option(help="always | everysec | replicated")] = None,
) -> None:
    """Serve. Every other setting is a GAUGEWATCH_ variable (docs/operations.md)."""
    given = {
        "host": host,
        "port": port,
        "redis_url": redis_url,
        "bundles": bundles,
        "data_directory": data_directory,
        "durability": durability,
    }
    settings = read_settings(**{name: value for name, value in given.items() if value is not None})
    configure_log(settings)
    signal.signal(signal.SIGTERM, _exit_in_order)
    server(create_app(settings), settings).run()


def _exit_in_order(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Uvicorn raises the signal that stopped it again, when everything is drained."""
    raise SystemExit(0)
