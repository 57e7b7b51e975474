"""A client of the service: posts points until they are acknowledged, listens to alerts."""

import http.client
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from service.errors import BadInput, EpochMovedOn, GaugewatchError, StoreUnavailable
from service.stream.messages import Alert, Point, Verdict

DEFAULT_URL: Final = "http://127.0.0.1:8080"
CLOSE_SECONDS: Final = 1.0  # the answer to our goodbye may be behind alerts that nobody reads
NOBODY_THERE: Final = (ConnectionRefusedError, socket.gaierror)


class _Verdicts(msgspec.Struct):
    verdicts: list[Verdict]


class _Frame(msgspec.Struct):
    """One message of the alert websocket."""

    cursor: str = ""
    alert: Alert | None = None
    gap: dict[str, int] | None = None


class Client:
    """One kept connection. Repeats a request that got no answer: no point is scored twice."""

    def __init__(self, url: str, *, key: str | None = None, patience_seconds: float = 30.0) -> None:
        self._url = urlsplit(url)
        host, port = self._url.hostname, _port(url)
        if self._url.scheme != "http" or not host or port is None:
            raise BadInput(f"expected a URL like {DEFAULT_URL}, came {url!r}")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._patience_seconds = patience_seconds
        self._connection = http.client.HTTPConnection(host, port, timeout=patience_seconds)
        self._has_answered = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def post(self, points: Sequence[Point]) -> list[Verdict]:
        """Verdicts of these points. Waits out a 503; raises what any other problem says."""
        body = msgspec.json.encode({"points": points})
        answer = self._request("POST", "/v1/points", body)
        return msgspec.json.decode(answer, type=_Verdicts).verdicts

    def get(self, path: str) -> Any:
        """JSON of a route."""
        return json.loads(self._request("GET", path, None))

    def send(
        self, method: str, path: str, body: bytes | None = None, *, epoch: int | None = None
    ) -> Any:
        """JSON that a change of something answers with.

        Raises EpochMovedOn where the configuration of another epoch is in force than this one.
        """
        return json.loads(self._request(method, path, body, epoch=epoch))

    async def alerts(
        self, *, after: str | None = None
    ) -> AsyncIterator[tuple[str, Alert | int | None]]:
        """Cursor and alert, or how many alerts are gone, or (at once, after silences) None."""
        query = urlencode({"after": after}) if after else ""
        address = urlunsplit(("ws", self._url.netloc, "/v1/alerts", query, ""))
        try:
            async with connect(
                address, additional_headers=self._headers, close_timeout=CLOSE_SECONDS
            ) as websocket:
                async for message in websocket:
                    frame = msgspec.json.decode(message, type=_Frame)
                    yield frame.cursor, frame.gap["missed"] if frame.gap else frame.alert
        except InvalidStatus as error:
            answer = error.response
            raise _problem(answer.status_code, bytes(answer.body or b"")) from None

    def _request(
        self, method: str, path: str, body: bytes | None, *, epoch: int | None = None
    ) -> bytes:
        deadline = time.monotonic() + self._patience_seconds
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        headers |= {} if epoch is None else {"If-Match": f'"{epoch}"'}
        while True:
            try:
                self._connection.request(method, path, body, headers)
                response = self._connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                problem: GaugewatchError = StoreUnavailable(f"no answer from the service: {error}")
                if isinstance(error, NOBODY_THERE) and not self._has_answered:
                    raise problem from None
            else:
                self._has_answered = True
                if response.status < 300:
                    return answer
                problem = _problem(response.status, answer)
                if response.status not in (429, 503):
                    raise problem
            if time.monotonic() > deadline:
                raise problem
            time.sleep(0.2)


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port or 80
    except ValueError:
        return None


def _problem(status: int, body: bytes) -> GaugewatchError:
    kind = BadInput if 400 <= status < 500 else GaugewatchError
    kind = EpochMovedOn if status == EpochMovedOn.status else kind
    try:
        problem = json.loads(body)
        code, detail = str(problem["code"]), str(problem["detail"])
        errors = problem.get("errors", [])
    except (ValueError, KeyError, TypeError):
        return kind(f"HTTP {status}")
    error = kind("; ".join([detail, *(str(one) for one in errors[:3])]))
    error.code = code  # the service knows better what it is
    return error
