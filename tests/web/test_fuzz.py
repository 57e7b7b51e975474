"""Whatever comes, the answer is never a failure of ours."""

import json

from hypothesis import (
    HealthCheck,
    example,
    given,
    settings as hypothesis_settings,
    strategies as st,
)
from starlette.testclient import TestClient

from tests.web.hostile import HOSTILE, body
from tests.web.test_points import as_lines, rows

VALID = [
    body(entity='"fuzz-1"'),
    body(entity='"fuzz-2"', values='{"a":1.5,"b":null,"c":-0,"d":1e5}'),
    b'{"entity":"fuzz-3","timestamp_ms":[1,2],"values":[[1,2,3,4],[1,null,3,4]]}',
    b'{"entity":["fuzz-4","\xc3\xbc"],"timestamp_ms":[1,2],"dimensions":["a"],"values":[[1],[2]]}',
    as_lines(rows("fuzz-5", 3)),
]
TOKENS = [
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
]
TYPES = [
    "application/json",
    "application/msgpack",
    "application/x-ndjson",
    "text/plain",
    "",
    "application/json;\xff",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid body, cut, spliced and sprinkled."""
    content = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 12)))
        content = content[:start] + draw(st.sampled_from([b"", *TOKENS])) + content[end:]
    return content


bodies = st.one_of(mutated(), st.binary(max_size=300), st.sampled_from(VALID))


@hypothesis_settings(
    max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(content=bodies, content_type=st.sampled_from(TYPES + TYPES[:2] * 4))
@example(content=b"{" * 90_000, content_type=TYPES[0])
def test_no_body_makes_us_fail(client: TestClient, content: bytes, content_type: str) -> None:
    answer = client.post(
        "/v1/points", content=content, headers=[(b"content-type", content_type.encode("latin-1"))]
    )
    assert answer.status_code < 500, answer.text
    json.loads(answer.content)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"


@hypothesis_settings(max_examples=150, deadline=None, derandomize=True)
@given(
    name=st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")),
    rows=st.text(max_size=10) | st.integers().map(str),
)
def test_no_path_or_parameter_makes_us_fail(client: TestClient, name: str, rows: str) -> None:
    answer = client.get(f"/v1/entities/{_quoted(name)}?rows={_quoted(rows)}")
    assert answer.status_code in (200, 404, 422), answer.text


@hypothesis_settings(max_examples=100, deadline=None, derandomize=True)
@given(
    values=st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.none(), min_size=4, max_size=4
    ),
    timestamp_ms=st.integers(0, 7_258_118_399_999),
)
def test_any_finite_values_get_a_verdict(
    client: TestClient, values: list[float | None], timestamp_ms: int
) -> None:
    point = {"entity": "beta", "timestamp_ms": timestamp_ms, "values": values}
    answer = client.post("/v1/points", json={"points": [point]})
    assert answer.status_code == 200, answer.text
    (verdict,) = json.loads(answer.content, parse_constant=lambda _: 1 / 0)["verdicts"]
    assert verdict["status"] in {
        "scored",
        "calibrating",
        "warming",
        "duplicate",
        "conflict",
        "late",
        "rejected",
    }


def test_the_hostile_table_leaves_a_working_service(client: TestClient) -> None:
    for content, _ in HOSTILE.values():
        for content_type in TYPES[:2]:
            answer = client.post(
                "/v1/points", content=content, headers={"content-type": content_type}
            )
            assert 400 <= answer.status_code < 500
    assert client.post("/v1/points", json={"points": rows("after", 2)}).status_code == 200
    assert client.get("/metrics").status_code == 200


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
