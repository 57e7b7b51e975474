"""Faults of bodies: JSON or not, where, and what was expected; never what was sent."""

from typing import Literal

import msgspec
import pytest
from hypothesis import given, strategies as st
from starlette.testclient import TestClient

from service.errors import BadBody
from service.stream.incident_messages import Note
from service.stream.messages import Assignments, Point
from service.stream.policy import Policies
from service.web.faults import bad_json, read_json

HOSTILE = "<script>alert(1)</script>"


class _Inner(msgspec.Struct, forbid_unknown_fields=True):
    """Choices in all that can hold one."""

    one: Literal["a", "b"] | None = None
    many: list[Literal["c", "d"]] = []
    number: Literal[1, 2] = 1
    pair: tuple[int, str] = (1, "")


class _Outer(msgspec.Struct):
    """And one level more."""

    named: dict[str, _Inner] = {}
    listed: list[_Inner] | None = None
    rows: tuple[_Inner, ...] = ()


def refusal(body: bytes, kind: type[object]) -> BadBody | None:
    try:
        read_json(body, kind)
    except BadBody as fault:
        return fault
    return None


@pytest.mark.parametrize(
    ("kind", "body", "path", "detail"),
    [
        (Note, b'{"label": "X"}', "$.label", "expected one of false, new_normal, true"),
        (
            Policies,
            b'{"default": {"dimensions": {"X": {"direction": "X"}}}}',
            "$.default.dimensions[...].direction",
            "expected one of both, down, none, up",
        ),
        (
            Policies,
            b'{"patterns": [{"pattern": "X", "policy": {"direction": "X"}}]}',
            "$.patterns[0].policy.direction",
            "expected one of both, down, none, up",
        ),
        (_Outer, b'{"named": {"X": {"one": "X"}}}', "$.named[...].one", "expected one of a, b"),
        (
            _Outer,
            b'{"listed": [{"many": ["c", "X"]}]}',
            "$.listed[0].many[1]",
            "expected one of c, d",
        ),
        (_Outer, b'{"rows": [{"number": 9}]}', "$.rows[0].number", "expected one of 1, 2"),
        (_Outer, b'{"rows": [{"pair": [1]}]}', "$.rows[0].pair", "Expected `array` of length 2"),
        (_Outer, b'{"rows": [{"X": 1}]}', "$.rows[0]", "unknown field"),
        (Note, b'{"label": 3}', "$.label", "Expected `str | null`, got `int`"),
        (Note, b'{"X": 3}', "$", "unknown field"),
        (
            Assignments,
            b'{"patterns": [["X", "y"]]}',
            "$.patterns[0]",
            "Expected `object`, got `array`",
        ),
        (Point, b'{"entity": "X"}', "$", "Object missing required field `timestamp_ms`"),
        (Note, b'{"label": X}', "$", "JSON is malformed: invalid character (byte 10)"),
        (Note, b"", "$", "Input data was truncated"),
        (Note, b'{"text": "\xff"}', "$", "expected UTF-8"),
    ],
)
def test_a_fault_says_where_it_is_and_what_was_expected(
    kind: type[object], body: bytes, path: str, detail: str
) -> None:
    body = body.replace(b"X", HOSTILE.encode()) if b": X" not in body else body
    fault = refusal(body, kind)
    assert fault is not None
    assert fault.errors == [{"path": path, "detail": detail}]
    assert "script" not in str(fault)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.text())
def test_what_is_json_is_never_called_anything_else(value: object, text: str) -> None:
    body = msgspec.json.encode({"label": value, "by": text})
    fault = refusal(body, Note)
    assert fault is None or "not JSON" not in fault.detail


def test_a_fault_without_words_of_our_own_still_tells_json_from_what_is_none() -> None:
    invalid = bad_json(msgspec.ValidationError(f"{HOSTILE} - at `$.x`"), b"{}")
    assert invalid.errors == [{"path": "$.x", "detail": "expected another value"}]
    malformed = bad_json(msgspec.DecodeError(HOSTILE), b"{")
    assert malformed.errors == [{"path": "$", "detail": "not JSON"}]


def test_routes_say_the_same(client: TestClient) -> None:
    policy = client.put("/v1/policies", json={"default": {"direction": HOSTILE}})
    note = client.put("/v1/incidents/x@1/note", json={"label": HOSTILE})
    for answer, path in ((policy, "$.default.direction"), (note, "$.label")):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "bad_body"), answer.text
        assert problem["errors"][0]["path"] == path
        assert problem["errors"][0]["detail"].startswith("expected one of ")
        assert "script" not in answer.text
