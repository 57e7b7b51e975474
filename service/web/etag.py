"""ETags: the epoch of a document goes out with it, and comes back before it is replaced."""

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.errors import BadInput
from service.web.services import json_answer

IF_MATCH: Final[dict[str, Any]] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "the ETag that the document was read with; absent, or *: replace any",
}
_TAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')  # a proxy that compresses makes it weak


def tagged(answer: object, epoch: int) -> Response:
    """An answer with the epoch of the configuration it was read from."""
    response = json_answer(answer)
    response.headers["ETag"] = f'"{epoch}"'
    return response


def expected_epoch(request: Request) -> int | None:
    """The epoch that must still be in force; None: any may be. Raises BadInput."""
    came = ", ".join(request.headers.getlist("if-match"))
    if came in ("", "*"):
        return None
    if (found := _TAG.fullmatch(came)) is None:
        raise BadInput('expected If-Match as "<epoch>", as an ETag says it, or *')
    return int(found[1])
