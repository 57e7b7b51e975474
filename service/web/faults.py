"""Faults of what was sent, in words of our own: nothing that was sent is repeated."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import msgspec
from msgspec import inspect

from service.errors import BadBody, BadInput

MAX_TIMESTAMP_MS: Final = 7_258_118_400_000  # the year 2200; microseconds are far beyond it

# The reader's messages quote unknown names. Only its other words, and its paths, are passed on.
_PATH: Final = re.compile(r"(?P<words>.*) - at `(?P<path>\$[a-z_0-9.\[\]]{0,80})`", re.DOTALL)
_WORDS: Final = re.compile(
    r"Expected `[a-z |]+`, got `[a-z]+`|Object missing required field `[a-z_]+`"
    r"|Expected `array` of (at least )?length \d+(, got \d+)?"
    r"|(Integer value|Number) out of range|Input data was truncated"
    r"|JSON is malformed: [a-z0-9 -]+ \(byte (?P<byte>\d+)\)"
)
_NO_CHOICE: Final = "expected another value"
_NOT_JSON: Final = "not JSON"
_NOT_UTF8: Final = "expected UTF-8"
_STEP: Final = re.compile(r"\.([a-z_0-9]+)|\[")

Body = TypeVar("Body")


def read_json(body: bytes, kind: type[Body]) -> Body:
    """What `body` holds. Raises BadBody."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as error:
        raise bad_json(error, body, kind=kind) from None


def bad_json(
    error: Exception,
    body: bytes,
    *,
    kind: object = None,
    line_number: int | None = None,
    root: str = "$",
) -> BadBody:
    """What keeps `body` from being read; with its line, where each line is a body.

    `root` is the path of `body`, where it is a part of a body; `kind` is the type it should have
    had, which tells what could have been chosen.
    """
    path, words = _path_and_words(error)
    if words == _NOT_JSON and not _is_utf8(body):
        words = _NOT_UTF8
    if words == _NO_CHOICE and (choices := _choices(kind, path)):
        words = f"expected one of {', '.join(choices)}"
    path = root + path.removeprefix("$")
    fault: dict[str, str | int] = {"path": path, "detail": words + _hint(words, body)}
    where = f" at {path}"
    if line_number is not None:
        fault["line"] = line_number
        where = f" in line {line_number}{where}"
    return BadBody(f"the body cannot be read{where}: {fault['detail']}", errors=[fault])


def entity_fault(entity: str, max_characters: int) -> dict[str, str] | None:
    """Why this cannot name an entity, or None."""
    detail = None
    if not 1 <= len(entity) <= max_characters:
        detail = f"expected a name of 1 to {max_characters} characters, came {len(entity)}"
    elif not entity.isprintable():
        detail = "expected a name without control, format or unusual space characters"
    elif entity != entity.strip():
        detail = "expected a name without space at its ends"
    elif not unicodedata.is_normalized("NFC", entity):
        detail = "expected a name in Unicode's composed form (NFC)"
    elif entity in {".", ".."}:
        detail = "expected another name than . and .., which no address can hold"
    return None if detail is None else {"code": "bad_entity", "detail": detail}


def checked_entity(entity: str, max_characters: int) -> str:
    """The same name, if it can be one. Raises BadInput."""
    if (fault := entity_fault(entity, max_characters)) is not None:
        raise BadInput(fault["detail"], errors=[fault])
    return entity


def check_parameters(came: Iterable[str], *known: str) -> None:
    """Refuse names of query parameters that nobody reads. Raises BadInput."""
    if set(came) - set(known):
        raise BadInput(f"expected no query parameters but {', '.join(known)}")


def timestamp_fault(timestamp_ms: int, latest_ms: int) -> dict[str, str] | None:
    """Why this cannot be the time of a point, or None.

    A time far ahead would make every later point of its entity a late one.
    """
    if not 0 <= timestamp_ms < MAX_TIMESTAMP_MS:
        detail = "expected milliseconds since 1970, before the year 2200"
        return {"code": "bad_timestamp", "detail": detail}
    if timestamp_ms > latest_ms:
        detail = "expected a time that is not so far ahead of the clock of the service"
        return {"code": "timestamp_in_future", "detail": detail}
    return None


def _path_and_words(error: Exception) -> tuple[str, str]:
    if isinstance(error, RecursionError):
        return "$", "nested too deeply"
    if not isinstance(error, msgspec.MsgspecError):
        return "$", _NOT_UTF8
    found = _PATH.fullmatch(str(error))
    path, words = (found["path"], found["words"]) if found else ("$", str(error))
    if _WORDS.fullmatch(words):
        return path, words
    if words.startswith("Object contains unknown"):
        return path, "unknown field"
    return path, _NO_CHOICE if isinstance(error, msgspec.ValidationError) else _NOT_JSON


def _is_utf8(body: bytes) -> bool:
    """The reader does not always say that this is what it stumbled over."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _choices(kind: object, path: str) -> list[str]:
    """What is allowed at a path of a type; none where any value of a kind is."""
    nodes = [inspect.type_info(kind)]
    for name in _STEP.findall(path):
        nodes = [inner for node in nodes for inner in _inside(node, name)]
    parts = [part for node in nodes for part in _parts(node)]
    literals = [part for part in parts if isinstance(part, inspect.LiteralType)]
    return [str(value) for literal in literals for value in literal.values]


def _inside(node: inspect.Type, name: str) -> Iterator[inspect.Type]:
    """What a type holds under a name, or as an element."""
    for part in _parts(node):
        if name and isinstance(part, inspect.StructType):
            yield from (field.type for field in part.fields if field.encode_name == name)
        elif not name and isinstance(part, inspect.DictType):
            yield part.value_type
        elif not name and isinstance(part, inspect.ListType | inspect.VarTupleType):
            yield part.item_type


def _parts(node: inspect.Type) -> tuple[inspect.Type, ...]:
    return node.types if isinstance(node, inspect.UnionType) else (node,)


def _hint(words: str, body: bytes) -> str:
    found = _WORDS.fullmatch(words)
    if found is None or found["byte"] is None:
        return ""
    if body[int(found["byte"]) :].startswith((b"NaN", b"Infinity", b"nfinity", b"I")):
        return "; NaN and Infinity are not JSON, a missing value is null"
    return ""
