"""Whatever comes, the answer is never a failure of ours."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import (
    HealthCheck,
    example,
    given,
    settings as hypothesis_settings,
    strategies as st,
)
from schemathesis.core.result import Ok
from starlette.testclient import TestClient

from tests.web.campaign import TOKENS, TYPES, VALID, run
from tests.web.hostile import HOSTILE
from tests.web.serving import HOME, serving, settings_for
from tests.web.test_points import rows

CAMPAIGN = 16_000  # requests by number; a million by `make fuzz`
BODIES, PATHS, VALUES = 3_000, 600, 400  # of hypothesis
DRAWN = 60  # by schemathesis, for each route and method; about 30 of them


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid body, cut, spliced and sprinkled."""
    content = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 12)))
        content = content[:start] + draw(st.sampled_from(TOKENS)) + content[end:]
    return content


bodies = st.one_of(mutated(), st.binary(max_size=300), st.sampled_from(VALID))


@hypothesis_settings(
    max_examples=BODIES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(content=bodies, content_type=st.sampled_from(TYPES))
@example(content=b"{" * 90_000, content_type=TYPES[0])
def test_no_body_makes_us_fail(client: TestClient, content: bytes, content_type: bytes) -> None:
    answer = client.post("/v1/points", content=content, headers=[(b"content-type", content_type)])
    assert answer.status_code < 500, answer.text
    json.loads(answer.content)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"


@hypothesis_settings(max_examples=PATHS, deadline=None, derandomize=True)
@given(
    name=st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")),
    rows=st.text(max_size=10) | st.integers().map(str),
)
def test_no_path_or_parameter_makes_us_fail(client: TestClient, name: str, rows: str) -> None:
    answer = client.get(f"/v1/entities/{_quoted(name)}?rows={_quoted(rows)}")
    assert answer.status_code in (200, 404, 422), answer.text


@hypothesis_settings(max_examples=VALUES, deadline=None, derandomize=True)
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
        for content_type in (TYPES[0], b"application/msgpack"):
            headers = [(b"content-type", content_type)]
            answer = client.post("/v1/points", content=content, headers=headers)
            assert 400 <= answer.status_code < 500
    assert client.post("/v1/points", json={"points": rows("after", 2)}).status_code == 200
    assert client.get("/metrics").status_code == 200


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_route_fails_and_no_refusal_changes_redis(tmp_path: Path) -> None:
    """A stretch of the campaign; the number of a request that fails is in the assertion."""
    seen = await run(range(CAMPAIGN), tmp_path)
    assert seen.requests == CAMPAIGN
    assert seen.statuses[200] > CAMPAIGN / 10, "some come through"
    assert seen.statuses[400] + seen.statuses[422] > CAMPAIGN / 4


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_the_schema_allows_makes_nothing_fail(bundle_folder: Path, tmp_path: Path) -> None:
    """Every route and method, with what schemathesis draws from our own document."""
    with serving(settings_for(bundle_folder, tmp_path)) as port:
        url = f"{HOME}:{port}"
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        sent = 0
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()

            @hypothesis_settings(
                max_examples=DRAWN,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy())
            def draw(case: schemathesis.Case[Any]) -> None:
                nonlocal sent
                sent += 1
                answer = case.call(base_url=url, timeout=30)
                assert answer.status_code < 500, answer.text

            draw()
    assert sent > 10 * DRAWN


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
