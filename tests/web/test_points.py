import json
import time
from contextlib import nullcontext
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, strategies as st
from starlette.testclient import TestClient

from service.errors import BadPoints
from service.settings import Settings
from service.stream.messages import Point
from service.web.decoding import PACKED, decode, form_of
from tests.builders import PERIOD_MS, START_MS, values_like
from tests.web.hostile import HOSTILE, body

JSON = {"content-type": "application/json"}
LINES = {"content-type": "application/x-ndjson"}
MSGPACK = {"content-type": PACKED.decode()}
READ_JSON = form_of(b"application/json; charset=utf-8")
READ_PACKED = form_of(PACKED)


def rows(entity: str, count: int) -> list[dict[str, Any]]:
    return [
        {"entity": entity, "timestamp_ms": START_MS + PERIOD_MS * i, "values": values}
        for i, values in enumerate(values_like(entity, count).tolist())
    ]


def as_lines(points: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(point).encode() for point in points)


def as_columns(points: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: [point[name] for point in points] for name in points[0]}


def post(client: TestClient, content: bytes, headers: dict[str, str] = JSON) -> Any:
    return client.post("/v1/points", content=content, headers=headers)


def without_entity(answer: Any) -> list[dict[str, Any]]:
    verdicts: list[dict[str, Any]] = answer.json()["verdicts"]
    return [{k: v for k, v in one.items() if k not in ("entity", "incident")} for one in verdicts]


def test_rows_columns_and_lines_are_one_thing(client: TestClient) -> None:
    points = rows("form-1", 12)
    answers = [post(client, json.dumps({"points": points}).encode())]
    for name, headers in (("form-2", JSON), ("form-3", LINES), ("form-4", JSON)):
        same = [{**point, "entity": name} for point in points]
        columns = json.dumps(as_columns(same)).encode()
        answers.append(post(client, columns if headers is JSON else as_lines(same), headers))
    assert [answer.status_code for answer in answers] == [200] * 4
    first, *others = map(without_entity, answers)
    assert [one["status"] for one in first] == ["warming"] * 3 + ["calibrating"] * 9
    assert all(other == first for other in others)


def test_one_entity_may_stand_for_all_columns_and_dimensions_have_names(
    settings: Settings,
) -> None:
    columns = {
        "entity": "a",
        "timestamp_ms": [1, 2],
        "dimensions": ["y", "x"],
        "values": [[1, None], [3, 4.5]],
    }
    points = decode(json.dumps(columns).encode(), READ_JSON, settings)
    assert list(points) == [
        Point("a", 1, {"y": 1.0, "x": None}),
        Point("a", 2, {"y": 3.0, "x": 4.5}),
    ]


def test_packed_columns_are_the_same_thing_and_answers_come_packed(client: TestClient) -> None:
    """Values that float32 holds exactly, as arrays and as one block."""
    points = [
        {**point, "values": np.float32(point["values"]).tolist()} for point in rows("pack-1", 12)
    ]
    plain = post(client, json.dumps({"points": points}).encode())
    for name, is_block in (("pack-2", False), ("pack-3", True)):
        columns = as_columns([{**point, "entity": name} for point in points])
        if is_block:
            columns["values"] = np.float32(columns["values"]).tobytes()
        answer = post(client, msgspec.msgpack.encode(columns), MSGPACK)
        assert without_entity(answer) == without_entity(plain)
        again = post(
            client, msgspec.msgpack.encode(columns), {**MSGPACK, "accept": PACKED.decode()}
        )
        assert again.headers["content-type"] == PACKED.decode()
        statuses = [one["status"] for one in msgspec.msgpack.decode(again.content)["verdicts"]]
        assert statuses == ["duplicate"] * 12


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.none()


@given(st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=8), st.booleans())
def test_every_form_of_a_body_decodes_to_the_same_points(
    values: list[list[float | None]], is_named: bool
) -> None:
    settings = Settings()
    columns: dict[str, Any] = {
        "entity": ["e"] * len(values),
        "timestamp_ms": list(range(len(values))),
        "values": values,
    }
    if is_named:
        columns["dimensions"] = ["x", "y", "z"]
    expected = list(decode(json.dumps(columns).encode(), READ_JSON, settings))
    assert list(decode(msgspec.msgpack.encode(columns), READ_PACKED, settings)) == expected
    block = np.array(values, np.float32).tobytes()
    found = decode(msgspec.msgpack.encode({**columns, "values": block}), READ_PACKED, settings)
    assert [listed(point) for point in found] == [listed(point) for point in expected]


def listed(point: Point) -> list[float | None]:
    """Values of a point, None where one is missing."""
    own = point.values.values() if isinstance(point.values, dict) else point.values
    return [None if value is None or value != value else value for value in own]


@pytest.mark.parametrize(
    "content",
    [
        b"\xc1",
        b"{}",
        msgspec.msgpack.encode({"entity": "a", "timestamp_ms": [1], "values": b"123"}),
        msgspec.msgpack.encode({"entity": "a", "timestamp_ms": [1, 2], "values": b"1234"}),
        msgspec.msgpack.encode({"entity": "a", "timestamp_ms": [], "values": b"1234"}),
        msgspec.msgpack.encode({"entity": ["a", "b"], "timestamp_ms": [1], "values": b"1234"}),
        msgspec.msgpack.encode({"entity": "a", "timestamp_ms": ["x"], "values": [[1.0]]}),
        msgspec.msgpack.encode({"entity": "a", "timestamp_ms": [1], "values": [[1.0]], "more": 1}),
    ],
)
def test_packed_bodies_that_cannot_be_are_refused(client: TestClient, content: bytes) -> None:
    answer = post(client, content, MSGPACK)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_body")


def test_names_of_dimensions_may_come_in_any_order(client: TestClient) -> None:
    points = rows("named-1", 6)
    named = [
        {**point, "entity": "named-2", "values": dict(zip("dbca", values, strict=True))}
        for point in points
        for a, b, c, d in [point["values"]]
        for values in [(d, b, c, a)]
    ]
    one, other = (post(client, json.dumps({"points": p}).encode()) for p in (points, named))
    assert without_entity(one) == without_entity(other)


def test_null_and_an_absent_name_are_missing_values(client: TestClient) -> None:
    given = body(entity='"missing-1"', values='{"a": 1, "b": null, "c": 2}')
    (verdict,) = post(client, given).json()["verdicts"]
    assert verdict["missing"] == ["b", "d"]
    assert verdict["score"] is None


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_refused_with_a_reason(client: TestClient, name: str) -> None:
    content, (status, code) = HOSTILE[name]
    answer = post(client, content)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:gaugewatch:problem:{code}"
    assert problem["status"] == status
    assert "script" not in answer.text
    assert len(answer.content) < 1_000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lines_are_refused_like_hostile_bodies(client: TestClient, name: str) -> None:
    content, _ = HOSTILE[name]
    if content.startswith(b'{"points":[{'):
        content = content.removeprefix(b'{"points":[').removesuffix(b"]}")
    answer = post(client, content, LINES)
    assert answer.status_code in (400, 422)
    assert "script" not in answer.text


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (body(values="[1, true]"), "$.points[0].values[1]"),
        (body(timestamp_ms='"x"'), "$.points[0].timestamp_ms"),
        (body(more=',"<b>":1'), "$.points[0]"),
        (body(more=',"` - at `$.a":1'), "$.points[0]"),
        (body(values='{"<b>":"x"}'), "$.points[0].values[...]"),
    ],
)
def test_the_path_of_the_fault_is_named(client: TestClient, content: bytes, path: str) -> None:
    problem = post(client, content).json()
    assert [fault["path"] for fault in problem["errors"]] == [path]
    assert path in problem["detail"]


def test_not_a_number_is_explained(client: TestClient) -> None:
    for text in ("NaN", "Infinity", "-Infinity"):
        assert "a missing value is null" in post(client, body(values=f"[{text}]")).json()["detail"]


def test_the_line_of_the_fault_is_named(client: TestClient) -> None:
    lines = as_lines(rows("line-1", 3)) + b"\n\n" + b'{"entity": 5}'
    problem = post(client, lines, LINES).json()
    assert problem["errors"] == [
        {"path": "$.entity", "detail": "Expected `str`, got `int`", "line": 5}
    ]
    assert client.get("/v1/entities/line-1").status_code == 404, "nothing is kept"


def test_one_line_holds_one_point(client: TestClient) -> None:
    line = as_lines(rows("line-2", 1))
    assert post(client, line + b" " + line, LINES).status_code == 400
    assert post(client, line.replace(b",", b",\n"), LINES).status_code == 400
    assert post(client, b"\r\n" + line + b"\r\n", LINES).status_code == 200


def test_every_bad_point_is_listed_and_no_good_one_kept(client: TestClient) -> None:
    points = rows("listed", 4)
    points[1]["entity"] = "\x07"
    points[3]["timestamp_ms"] = -5
    problem = post(client, json.dumps({"points": points}).encode()).json()
    assert [(fault["index"], fault["code"]) for fault in problem["errors"]] == [
        (1, "bad_entity"),
        (3, "bad_timestamp"),
    ]
    points = rows("listed", 4)
    points[2]["values"] = [1]
    points[0]["values"] = {"zz": 1}
    problem = post(client, json.dumps({"points": points}).encode()).json()
    assert [(fault["index"], fault["code"]) for fault in problem["errors"]] == [
        (0, "unknown_dimension"),
        (2, "wrong_dimension_count"),
    ]
    assert client.get("/v1/entities/listed").status_code == 404


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_no_address_can_hold_is_refused(client: TestClient, name: str) -> None:
    """Browsers and proxies take it for a folder, also where it is written as %2e."""
    problem = post(client, body(entity=f'"{name}"')).json()
    assert [(fault["index"], fault["code"]) for fault in problem["errors"]] == [(0, "bad_entity")]
    assert post(client, body(entity=f'"{name}.x"')).status_code == 200


def test_of_repeated_names_the_last_counts(settings: Settings) -> None:
    twice = body(entity='"first","entity":"second"', values='{"a":1,"a":2}')
    (point,) = decode(twice, READ_JSON, settings)
    assert (point.entity, point.values) == ("second", {"a": 2.0})


@pytest.mark.parametrize("form", ["rows", "columns", "lines"])
def test_too_many_points_are_refused_and_the_limit_is_not(client: TestClient, form: str) -> None:
    for count, status in ((50, 200), (51, 413)):
        points = rows(f"many-{form}", count)
        content = {
            "rows": json.dumps({"points": points}).encode(),
            "columns": json.dumps(as_columns(points)).encode(),
            "lines": as_lines(points),
        }[form]
        answer = post(client, content, LINES if form == "lines" else JSON)
        assert answer.status_code == status, answer.text


def test_a_body_of_line_ends_is_not_split(client: TestClient) -> None:
    assert post(client, b"\n" * 99_000, LINES).json()["code"] == "body_too_large"


@pytest.mark.parametrize("seconds", [0, 60])
def test_times_in_the_future_are_refused_for_they_would_shut_out_the_present(seconds: int) -> None:
    chosen, now_ms = Settings(max_future_seconds=seconds), time.time_ns() // 10**6
    present = body(timestamp_ms=str(now_ms + 1000 * seconds))
    assert decode(present, READ_JSON, chosen)
    future = body(timestamp_ms=str(now_ms + 1000 * seconds + 60_000))
    with pytest.raises(BadPoints) as refusal:
        decode(future, READ_JSON, chosen)
    assert [fault["code"] for fault in refusal.value.errors] == ["timestamp_in_future"]


def test_a_day_ahead_is_the_limit_unless_another_is_set() -> None:
    day_ms = 86_400_000
    for ahead_ms, is_refused in ((day_ms - 60_000, False), (day_ms + 60_000, True)):
        content = body(timestamp_ms=str(time.time_ns() // 10**6 + ahead_ms))
        with pytest.raises(BadPoints) if is_refused else nullcontext():
            decode(content, READ_JSON, Settings())


def test_the_longest_name_and_the_last_time_are_accepted(client: TestClient) -> None:
    longest = body(entity='"' + 200 * "ü" + '"', timestamp_ms="7258118399999")
    assert post(client, longest).status_code == 200
    assert post(client, body(entity='"first time"', timestamp_ms="0")).status_code == 200


@pytest.mark.parametrize("values", ["[1e38,-1e38,1e300,1.7e308]", "[5e-324,-0,0,1e-400]"])
def test_extreme_values_are_answered(client: TestClient, values: str) -> None:
    name = f'"extreme {values[:4]}"'
    for i in range(8):
        answer = post(client, body(entity=name, timestamp_ms=str(START_MS + i), values=values))
        assert answer.status_code == 200
        json.loads(answer.content, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/jsonp", "multipart/form-data; boundary=x"],
)
def test_other_content_types_are_refused(client: TestClient, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = post(client, body(), headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")


def test_the_content_type_may_have_parameters_and_any_case(client: TestClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert post(client, body(entity='"typed"'), headers).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", ""])
def test_encoded_bodies_are_refused(client: TestClient, encoding: str) -> None:
    answer = post(client, body(), {**JSON, "content-encoding": encoding})
    assert answer.status_code == 415
