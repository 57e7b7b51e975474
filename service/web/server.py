"""The server: uvicorn with our limits and our way to stop, and the form of the log."""

import asyncio
import gc
import logging
import math
import re
import sys
from functools import partial
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from structlog.typing import Processor
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from service.settings import Settings
from service.web.receiving import Receiving
from service.web.services import Services

log: structlog.stdlib.BoundLogger = structlog.get_logger()
MAX_MESSAGE_BYTES: Final = 64 * 2**10  # of a subscriber; we read and ignore them
BACKLOG: Final = 2_048
NEW_OBJECTS: Final = 50_000  # more than were freed, before anybody looks for cycles among them
OUR_ERROR: Final = re.compile(r"^service\.[\w.]+: ", re.MULTILINE)  # as a traceback names it


class Sockets(WebSocketsSansIOProtocol):
    """Cuts a subscriber that takes nothing any more; uvicorn would wait for it to read."""

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.writable.is_set():
            self.transport.abort()


class Server(uvicorn.Server):
    """Told to stop, it says so to probes and serves on for a while, before it closes the door."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds

    async def main_loop(self) -> None:
        calm_collector()
        await super().main_loop()
        services: Services = self._app.state.services
        services.readiness.is_stopping = True
        log.info("stopping")
        await asyncio.sleep(0 if self.force_exit else self._drain_seconds)
        services.stopping.set()


def calm_collector() -> None:
    """Look for garbage less often, and not among what the start has made.

    Verdicts hold no cycles, but the lists in them count as new objects: with the usual threshold
    a thousand points would be worth a search or two, the longest of them through everything.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)


def server(app: FastAPI, settings: Settings) -> Server:
    """A server that is ready to run."""
    return Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here asks who the client is
            lifespan="on",
            http=partial(Receiving, settings=settings),  # type: ignore[arg-type]
            ws=Sockets,
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
        ),
        app,
        drain_seconds=settings.drain_seconds,
    )


def configure_log(settings: Settings) -> None:
    """JSON lines for machines, readable ones on a terminal; the standard library's too."""
    is_json = settings.log_format == "json"
    if settings.log_format == "auto":
        is_json = not sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    renderer = structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(shared, renderer, is_json=is_json))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").addFilter(_is_no_traceback)


def _is_no_traceback(record: logging.LogRecord) -> bool:
    """Of a start that was refused; what stopped it has been logged in one line."""
    text = record.getMessage()
    return not (text.startswith("Traceback") and OUR_ERROR.search(text))


def _formatter(
    shared: list[Processor], renderer: Processor, *, is_json: bool
) -> structlog.stdlib.ProcessorFormatter:
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if is_json:
        last.append(structlog.processors.format_exc_info)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[*last, renderer]
    )
