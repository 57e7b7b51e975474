"""The page: files of `static/` at `/`, `/docs` and `/static/...`, from memory, for nobody but us.

They hold no secret, so they need no key; what they show does. The policy of content lets the page
load nothing but these files and talk to nobody but this service, and nothing inline runs except
the import map, whose hash is told.
"""

import base64
import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER: Final = Path(__file__).parent / "static"
PREFIX: Final = "/static/"
PAGES: Final = {"/": "index.html", "/docs": "docs.html"}
MEDIA_TYPES: Final = {".mjs": "text/javascript", ".js": "text/javascript", ".txt": "text/plain"}
IMPORT_MAP: Final = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)
POLICY: Final = (
    "default-src 'none'; script-src 'self'{inline}; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; worker-src 'self'; font-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LEAST_COMPRESSED: Final = 500  # bytes; below it is not worth the trouble


@dataclass(frozen=True)
class File:
    """A file as it goes out."""

    plain: bytes
    packed: bytes | None  # gzip
    headers: dict[str, str]

    def answer(self, request: Request) -> Response:
        """The file, packed where the browser takes that; 304 where it has it already."""
        headers = dict(self.headers)
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        if self.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.packed, headers=headers | {"Content-Encoding": "gzip"})
        return Response(self.plain, headers=headers)


def paths() -> list[str]:
    """Of all files, as they are asked for."""
    inside = (path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file())
    return [*PAGES, *sorted(PREFIX + path.as_posix() for path in inside)]


def add_page(app: FastAPI) -> None:
    """A route for every file: a path that leads elsewhere is none of ours."""
    for path in paths():
        app.router.routes.append(Route(path, _answer, methods=["GET"]))


async def _answer(request: Request) -> Response:
    return file_of(request.scope["path"]).answer(request)


@cache
def file_of(path: str) -> File:
    """Read once; the path is one of ours."""
    name = PAGES.get(path) or path.removeprefix(PREFIX)
    plain = (FOLDER / name).read_bytes()
    suffix = Path(name).suffix
    media_type = MEDIA_TYPES.get(suffix) or mimetypes.types_map.get(suffix, "text/plain")
    is_text = not media_type.startswith("image/png")
    headers = {
        "Content-Type": media_type + ("; charset=utf-8" if is_text else ""),
        "ETag": f'"{hashlib.sha256(plain).hexdigest()[:20]}"',
        "Cache-Control": "no-cache",  # it may keep the file, and asks whether it is still good
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": POLICY.format(inline=_hash_of_import_map(plain)),
    }
    is_packed = is_text and len(plain) >= LEAST_COMPRESSED
    return File(plain, gzip.compress(plain, 9, mtime=0) if is_packed else None, headers)


def _hash_of_import_map(plain: bytes) -> str:
    found = IMPORT_MAP.search(plain)
    if found is None:
        return ""
    digest = base64.b64encode(hashlib.sha256(found[1]).digest()).decode()
    return f" 'sha256-{digest}'"
