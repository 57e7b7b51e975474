"""A campaign of hostile requests to every route, by number: any stretch of it can be run again.

    python -m tests.web.campaign --requests 1000000 --first 0

goes on where it was stopped with another `--first`. An answer of 500 or more, or a refusal after
which Redis has changed, ends it with the number of the request.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI
from redis import Redis

from service.stream.embedded import EmbeddedValkey
from service.web import page
from service.web.app import create_app
from service.web.auth import ACCESS
from tests.builders import tiny_bundle
from tests.web.hostile import HOSTILE, body
from tests.web.serving import settings_for

ROUTES = [path for path in ACCESS if not path.startswith(page.PREFIX)]  # files have no parameters
METHODS: Final = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS")
USUAL: Final[dict[str, str]] = {"/v1/points": "POST", "/v1/detect": "POST"}
WRITTEN: Final = ("assignments", "policies", "activate", "rollback", "shadow", "note")
VALID: Final = (
    body(entity='"fuzz-1"'),
    body(entity='"fuzz-2"', values='{"a":1.5,"b":null,"c":-0,"d":1e5}'),
    b'{"entity":"fuzz-3","timestamp_ms":[1,2],"values":[[1,2,3,4],[1,null,3,4]]}',
    b'{"entity":["fuzz-4","\xc3\xbc"],"timestamp_ms":[1,2],"dimensions":["a"],"values":[[1],[2]]}',
    b'{"entity":"fuzz-5","timestamp_ms":1,"values":[1,2,3,4]}\n' * 3,
    b'{"values":[[1,2,3,4],[2,3,4,5]]}',
    b"a,b,c,d\n1,2,3,4\n2,3,4,5\n",
    b'{"default":{"open_count":2,"open_window":3}}',
    b'{"patterns":[{"pattern":"x*","bundle":"tiny"}],"entities":{}}',
    b'{"label":"true","text":"seen"}',
    b'{"version":"0123456789ab"}',
    b"\x83\xa6entity\xa1a\xactimestamp_ms\x91\x01\xa6values\xc4\x10" + bytes(16),
)
TOKENS: Final = (
    *(b"NaN", b"1e999", b"-1", b"true", b"null", b'"', b"\\ud800", b"\\u0000", b"\x00", b"\xff"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"1e308",
        b"9" * 400,
        b'"entity":',
        b"\xed\xa0\x80",
    ),
    *(b"", b"", b"\xc7\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"[" * 900, b'{"a":' * 200),
)
TYPES: Final = (
    *(b"application/json",) * 4,
    *(b"application/msgpack", b"application/x-ndjson", b"text/csv", b"text/plain", b""),
    b"application/json;\xff",
)
PARAMETERS: Final = (
    *("rows", "limit", "after", "entity", "mode", "days", "bundle", "budget", "percentile"),
    *("status", "since", "span", "open", "contributions", "label", "x"),
)
VALUES: Final = (
    *("", "0", "1", "-1", "500", "501", "1e400", "NaN", "9" * 400, "true", "null", "backfill"),
    *("\x00", "\ud800", "\u202e", "a b", "../../etc/passwd", "%", "x" * 300, "earliest", "tiny"),
)
HEADERS: Final = (
    *(b"if-match", b"accept", b"content-encoding", b"authorization", b"origin", b"x-forwarded-for"),
    *(b"range", b"last-event-id", b"content-length"),
)
AGAIN_SECONDS: Final = 2.0  # longer than it takes to be ready again


@dataclass(frozen=True)
class Hostile:
    """One request, as ASGI has it."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    content: bytes


@dataclass
class Seen:
    """What the requests so far were answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    again: int = 0  # 503, and sent again: a slow disk is no fault

    @property
    def requests(self) -> int:
        return self.statuses.total()


def hostile(number: int) -> Hostile:
    """The request of this number, always the same."""
    choice = random.Random(number)
    route = choice.choice((*ROUTES, *("/v1/points",) * 12))
    method = USUAL.get(route) or choice.choice(("GET", "PUT" if "policies" in route else "GET"))
    if any(word in route for word in WRITTEN):
        method = choice.choice(("GET", "PUT", "POST"))
    if choice.random() < 0.1:
        method = choice.choice(METHODS)
    path = route
    for hole in ("{entity:path}", "{incident:path}", "{name}"):
        path = path.replace(hole, _quoted(choice.choice(VALUES)))
    if choice.random() < 0.05:
        path += choice.choice(("/", "//", "/..", "/%00", "/\xff"))
    headers = [(b"host", b"localhost"), (b"content-type", choice.choice(TYPES))]
    if choice.random() < 0.2:
        text = choice.choice(VALUES).encode("utf-8", "surrogatepass")
        headers.append((choice.choice(HEADERS), text.replace(b"\x00", b"0")))
    query = b""
    if choice.random() < (0.1 if route == "/v1/points" else 0.5):
        pairs = [(choice.choice(PARAMETERS), choice.choice(VALUES)) for _ in range(2)]
        query = "&".join(f"{name}={_quoted(value)}" for name, value in pairs).encode()
    return Hostile(method, path, query, headers, _mutated(choice))


def _mutated(choice: random.Random) -> bytes:
    """A valid body, one of the table, or noise; cut, spliced and sprinkled."""
    kind = choice.random()
    if kind < 0.1:
        return choice.choice(list(HOSTILE.values()))[0][:20_000]
    if kind < 0.2:
        return choice.randbytes(choice.randrange(200))
    content = choice.choice(VALID)
    for _ in range(choice.randrange(4)):
        start = choice.randrange(len(content) + 1)
        end = min(len(content), start + choice.randrange(12))
        content = content[:start] + choice.choice(TOKENS) + content[end:]
    return content


async def answered(app: FastAPI, request: Hostile) -> tuple[int, bytes]:
    """Status and body, without a server in between."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8080),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "root_path": "",
        "method": request.method,
        "path": _unquoted(request.path),
        "raw_path": request.path.encode("latin-1"),
        "query_string": request.query,
        "headers": request.headers,
        "state": {},
    }
    messages, status, parts = [request.content, None], list[int](), list[bytes]()
    is_over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if messages and messages.pop(0) is not None:
            return {"type": "http.request", "body": request.content, "more_body": False}
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
            if b"text/event-stream" in dict(message["headers"]).get(b"content-type", b""):
                is_over.set()  # it would never end
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return status[0], b"".join(parts)


async def campaign(
    app: FastAPI, redis: "Redis", numbers: range, *, told: Callable[[int, Seen], None] | None = None
) -> Seen:
    """Send the requests of these numbers; AssertionError names the first that went wrong."""
    seen, changes = Seen(), changes_of(redis)
    for number in numbers:
        request = hostile(number)
        status, content = await answered(app, request)
        if status == 503:
            seen.again += 1
            await asyncio.sleep(AGAIN_SECONDS)
            status, content = await answered(app, request)
        assert status < 500, (number, status, content, request)
        now = changes_of(redis)
        assert status < 400 or now == changes, (number, status, "changed Redis", request)
        changes = now
        seen.statuses[status] += 1
        if told is not None:
            told(number, seen)
    return seen


def changes_of(redis: "Redis") -> int:
    """Writes of the server since it has started."""
    return int(redis.info("persistence")["rdb_changes_since_last_save"])


async def run(
    numbers: range, folder: Path, *, told: Callable[[int, Seen], None] | None = None
) -> Seen:
    """The campaign against a service of its own."""
    with EmbeddedValkey(folder / "valkey", durability="everysec") as valkey:
        settings = settings_for(
            tiny_bundle(folder / "bundles"),
            folder,
            redis_url=valkey.url,
            max_body_bytes=100_000,
            max_points_per_request=50,
            max_kept_entities=2_000,
            silence_periods=0,
        )
        app = create_app(settings)
        with Redis.from_url(valkey.url) as redis:
            async with app.router.lifespan_context(app):
                return await campaign(app, redis, numbers, told=told)


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _unquoted(path: str) -> str:
    """As a server hands it on."""
    raw = bytearray()
    rest = path
    while rest:
        if (
            rest[0] == "%"
            and len(rest) > 2
            and all(c in "0123456789abcdefABCDEF" for c in rest[1:3])
        ):
            raw.append(int(rest[1:3], 16))
            rest = rest[3:]
        else:
            raw += rest[0].encode()
            rest = rest[1:]
    return raw.decode(errors="replace")


def _progress(start: float, last: int) -> Callable[[int, Seen], None]:
    def told(number: int, seen: Seen) -> None:
        if seen.requests % 10_000 == 0:
            rate = seen.requests / (time.monotonic() - start)
            left = (last - number) / rate / 60
            print(f"{number + 1:,} requests, {rate:.0f}/s, {left:.0f} min left", flush=True)

    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0)
    chosen = parser.parse_args()
    numbers = range(chosen.first, chosen.first + chosen.requests)
    with tempfile.TemporaryDirectory(prefix="gaugewatch-fuzz-") as folder:
        told = _progress(time.monotonic(), numbers[-1])
        seen = asyncio.run(run(numbers, Path(folder), told=told))
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))
    print(f"{seen.requests:,} requests, none of 500 or more, no refusal changed Redis; {statuses}")
    print(f"sent again after a 503: {seen.again}")


if __name__ == "__main__":
    main()
