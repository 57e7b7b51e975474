"""`POST /v1/detect`, the batch face: a whole series in, everything that was found in it out.

Nothing is kept and Redis is not asked. The work is done in threads, few at a time, and steps aside
every few points, so that points that come meanwhile are scored all the same.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, takewhile
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from service.errors import BadInput, BundleRefused, Overloaded
from service.scoring.fold import Fold
from service.settings import Settings
from service.web.body import Bodies
from service.web.detect_answer import end_of_json
from service.web.detect_columns import Packed, packed_of
from service.web.detect_frame import Frame
from service.web.detect_state import SealedPast, owner_of
from service.web.detect_wish import CSV, JSON, Wish, fold_of, wish_of
from service.web.detect_work import answer, came_in, detect, piece_of, state_in
from service.web.services import Services
from service.web.upload import Gone, started
from service.web.upload_frames import Job

BODIES_AT_ONCE: Final = 2  # of the greatest length, being received
STEP_ASIDE_SECONDS: Final = 1e-6  # long enough for another thread to take over
TURN_SECONDS: Final = 2e-3  # of work between two of them: a sixth of a point costs one


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
    came = packed_of(body) if wish.form == "packed" else None
    with suppress(Gone):
        if came is not None and came.has_bundle:
            return _uploaded(services, wish, body, state_in(came, wish), gone)
        return _loaded(services, wish, body, came, gone)
    return None


def _loaded(
    services: Services, wish: Wish, body: bytes, came: Packed | None, gone: threading.Event
) -> Iterator[bytes]:
    """By a bundle of ours, in this thread."""
    fold = fold_of(wish, services.models)
    if wish.budget is not None:
        fold = Fold(fold.bundle, budget=wish.budget)
    most = services.settings.max_detect_points
    columns = came or came_in(body, wish, Frame(fold.bundle.manifest, most))
    sealed = _opened(services, state_in(columns, wish))
    piece = piece_of(fold, columns, wish, sealed=sealed, max_points=most)
    detected, left = detect(fold, piece, wish.percentile, on_point=_Aside(gone))
    leaves = SealedPast(owner_of(fold, wish.entity or ""), left.encode())
    return _whole(services, wish, answer(wish, fold, detected), leaves)


def _uploaded(
    services: Services, wish: Wish, body: bytes, state: str | None, gone: threading.Event
) -> Iterator[bytes]:
    """By the bundle that came along, in a process of its own."""
    settings = services.settings
    if not settings.takes_uploads:
        raise BundleRefused("this service takes no bundles with a series (`detect_uploads`)")
    if wish.bundle is not None:
        raise BadInput("expected a `bundle` in the query or in the body, came both")
    job = Job(
        wish=wish,
        body=body,
        folder="",
        budget=settings.false_alarm_budget if wish.budget is None else wish.budget,
        sealed=_opened(services, state),
        max_points=settings.max_detect_points,
        max_bundle_bytes=settings.max_upload_bytes,
    )
    upload = started(job, seconds=settings.upload_seconds, gone=gone)
    return _whole(services, wish, upload.pieces(), upload.left())


def _opened(services: Services, state: str | None) -> SealedPast | None:
    return None if state is None else services.seals.opened(state)


def _whole(
    services: Services, wish: Wish, pieces: Iterator[bytes], left: SealedPast
) -> Iterator[bytes]:
    """The answer with its end, sealed if it is to go on."""
    if wish.wants_csv:
        return pieces
    state = services.seals.sealed(left) if wish.wants_state else None
    return chain(pieces, [end_of_json(state)])


class _Aside:
    """Hears of every point: ends the work when nobody waits, and lets others have a turn."""

    def __init__(self, gone: threading.Event) -> None:
        self._gone = gone
        self._next_seconds = time.monotonic()

    def __call__(self, _points: int) -> None:
        if self._gone.is_set():
            raise Gone
        if time.monotonic() >= self._next_seconds:
            time.sleep(STEP_ASIDE_SECONDS)
            self._next_seconds = time.monotonic() + TURN_SECONDS


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
