"""Problems: every error as `application/problem+json` (RFC 9457), by one handler.

Details say what was expected. They never repeat what was sent, and a 500 says nothing of us.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import BodyTooLarge, GaugewatchError

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:gaugewatch:problem:"
INTERNAL: Final = "the service failed; the reason is in its log"
Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]
log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457, with a stable `code` and the single faults in `errors`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[Mapping[str, Any]] = ()


def problem(error: GaugewatchError) -> Response:
    """An error as an answer."""
    is_ours = error.status == HTTPStatus.INTERNAL_SERVER_ERROR
    if is_ours:
        log.error("request failed", code=error.code, detail=error.detail)
    body = _body(
        error.status, error.code, INTERNAL if is_ours else error.detail, errors=error.errors
    )
    return _response(body, _headers(error))


async def answer_error(_request: Request, error: Exception) -> Response:
    """Handler of the whole tree of errors."""
    assert isinstance(error, GaugewatchError)
    return problem(error)


async def answer_bad_request(_request: Request, error: Exception) -> Response:
    """Handler of parameters that are not what a route reads."""
    assert isinstance(error, RequestValidationError)
    errors = [
        {"path": ".".join(map(str, one["loc"])), "detail": one["msg"]} for one in error.errors()
    ]
    return _response(_body(422, "bad_input", "a parameter cannot be used", errors=errors))


async def answer_http_error(_request: Request, error: Exception) -> Response:
    """Handler of what routing refuses: unknown paths, wrong methods."""
    assert isinstance(error, HTTPException)
    return _of_http(error)


async def answer_unexpected(_request: Request, _error: Exception) -> Response:
    """Handler of everything else; the server logs the traceback."""
    return _response(_body(500, GaugewatchError.code, INTERNAL))


class Answering:
    """Middleware that answers every error, where no framework does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except GaugewatchError as error:
            await problem(error)(scope, receive, send)
        except HTTPException as error:
            await _of_http(error)(scope, receive, send)
        except Exception:
            await _response(_body(500, GaugewatchError.code, INTERNAL))(scope, receive, send)
            raise  # the server logs the traceback


HANDLERS: Final[dict[int | type[Exception], Handler]] = {
    GaugewatchError: answer_error,
    RequestValidationError: answer_bad_request,
    HTTPException: answer_http_error,
    Exception: answer_unexpected,
}


def _of_http(error: HTTPException) -> Response:
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return _response(_body(error.status_code, code, error.detail), error.headers)


def _body(
    status: int, code: str, detail: str, *, errors: Sequence[Mapping[str, Any]] = ()
) -> ProblemBody:
    title = code.replace("_", " ").capitalize()
    return ProblemBody(TYPE_PREFIX + code, title, status, detail, code, tuple(errors))


def _headers(error: GaugewatchError) -> dict[str, str]:
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, BodyTooLarge):
        headers["Connection"] = "close"  # the rest of the body is still on its way
    return headers


def _response(body: ProblemBody, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), body.status, headers=headers, media_type=MEDIA_TYPE)
