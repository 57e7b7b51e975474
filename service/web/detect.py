"""`POST /v1/detect`, the batch face: a whole series in, everything that was found in it out.

Nothing is kept and Redis is not asked. The work is done in threads, few at a time, and steps aside
after every point, so that points that come meanwhile are scored all the same.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import takewhile
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.errors import Overloaded
from service.scoring.fold import Fold
from service.scoring.offline import score_series
from service.scoring.percentile import by_percentile
from service.scoring.series import Series
from service.scoring.tail import flagged_share
from service.settings import Settings
from service.web.body import Bodies
from service.web.detect_answer import Detected, as_csv, as_json
from service.web.detect_body import series_of
from service.web.detect_wish import CSV, JSON, Wish, fold_of, wish_of
from service.web.services import Services

BODIES_AT_ONCE: Final = 2  # of the greatest length, being received
STEP_ASIDE_SECONDS: Final = 1e-6  # long enough for another thread to take over


class Gone(Exception):
    """Nobody waits for the answer any more."""


class PostDetect:
    """The route as an ASGI application."""

    def __init__(self) -> None:
        self._bodies: Bodies | None = None
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        wish = wish_of(scope, services.settings)
        try:
            body = await self._bodies_of(services.settings).read(scope, receive)
        except ClientDisconnect:
            return
        with self._place(services.settings), _wanted(receive) as gone:
            pieces = await asyncio.to_thread(_begin, services, wish, body, gone)
            if pieces is not None:
                media_type = CSV if wish.wants_csv else JSON
                await _send(send, _until(gone, pieces), media_type, services.settings.send_seconds)

    def _bodies_of(self, settings: Settings) -> Bodies:
        """Bodies of their own: many of them must not keep points out."""
        if self._bodies is None:
            most = settings.max_detect_bytes
            limits = {"max_body_bytes": most, "max_buffered_bytes": BODIES_AT_ONCE * most}
            self._bodies = Bodies(settings.model_copy(update=limits))
        return self._bodies

    @contextmanager
    def _place(self, settings: Settings) -> Iterator[None]:
        if self._busy >= settings.max_detect_requests:
            raise Overloaded(f"expected at most {settings.max_detect_requests} series at once")
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1


@contextmanager
def _wanted(receive: Receive) -> Iterator[threading.Event]:
    """An event that is set when the client goes or the service stops."""
    gone = threading.Event()

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        yield gone
    finally:
        gone.set()
        watching.cancel()


def _begin(
    services: Services, wish: Wish, body: bytes, gone: threading.Event
) -> Iterator[bytes] | None:
    """The answer in pieces, all scored; None if nobody waits for it."""
    fold = fold_of(wish, services.models)
    if wish.budget is not None:
        fold = Fold(fold.bundle, budget=wish.budget)
    limit = services.settings.max_detect_points
    manifest = fold.bundle.manifest
    series = series_of(body, manifest, is_csv=wish.is_csv, max_points=limit)
    series = replace(series, entity=wish.entity or "")

    def step_aside(_points: int) -> None:
        if gone.is_set():
            raise Gone
        time.sleep(STEP_ASIDE_SECONDS)

    with suppress(Gone):
        return _pieces(wish, fold, detect(fold, series, wish.percentile, on_point=step_aside))
    return None


def detect(
    fold: Fold, series: Series, percentile: float | None, *, on_point: Callable[[int], None]
) -> Detected:
    """Everything in a series, by the budget of the fold or by percentile."""
    [scored] = score_series(fold, [series], on_point=on_point)
    if percentile is not None:
        decision = by_percentile(
            scored, series.timestamps_ms, percentile=percentile, manifest=fold.bundle.manifest
        )
        return Detected(fold.bundle, series, decision.scored, decision.threshold_p)
    index = fold.bundle.entity_indices.get(series.entity, 0)
    shares = flagged_share(
        fold.bundle.calibration.kappa,
        budget=fold.budget,
        period_seconds=fold.bundle.manifest.period_seconds,
    )
    return Detected(fold.bundle, series, scored, float(shares[index]))


def _pieces(wish: Wish, fold: Fold, detected: Detected) -> Iterator[bytes]:
    if wish.wants_csv:
        return as_csv(detected, contributions=wish.contributions)
    budget = fold.budget if wish.percentile is None else None
    return as_json(
        detected, budget=budget, percentile=wish.percentile, contributions=wish.contributions
    )


def _until(gone: threading.Event, pieces: Iterator[bytes]) -> Iterator[bytes]:
    return takewhile(lambda _: not gone.is_set(), pieces)


async def _send(send: Send, pieces: Iterator[bytes], media_type: str, seconds: float) -> None:
    """One piece after the other, made while the one before is on its way to a client that reads."""
    headers = [(b"content-type", media_type.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    with suppress(TimeoutError):  # the connection is cut: the answer has no end
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            async with asyncio.timeout(seconds):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
