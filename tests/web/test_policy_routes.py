"""Policies over HTTP: the real application, a real bundle, an embedded Valkey."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from pydantic import BaseModel
from starlette.testclient import TestClient

from service.stream import effective, policy
from service.stream.policy_limits import BOUNDS
from service.web import policy_views as views
from service.web.app import create_app
from tests.web.campaign import TOKENS
from tests.web.hostile import HOSTILE
from tests.web.serving import HOME, settings_for

PAIRS: list[tuple[type[msgspec.Struct], type[BaseModel]]] = [
    (policy.DimensionPolicy, views.DimensionPolicyView),
    (policy.Maintenance, views.MaintenanceView),
    (policy.Policy, views.PolicyView),
    (policy.Patterned, views.PatternedView),
    (policy.Policies, views.PoliciesView),
    (effective.PoliciesInForce, views.PoliciesInForceView),
    (effective.Effective, views.EffectiveView),
]
DOCUMENT: dict[str, Any] = {
    "default": {"open_count": 2, "open_window": 3},
    "patterns": [
        {"pattern": "web-*", "policy": {"cool_down_seconds": 600.0, "open_count": 3}},
        {
            "pattern": "*-7",
            "policy": {
                "maintenance": [{"start_ms": 0, "end_ms": 60_000, "every_seconds": 3_600}],
                "dimensions": {"a": {"direction": "up"}, "zz": {"min_deviation": 2.0}},
            },
        },
    ],
    "entities": {"web-7": {"muted_until_ms": 5, "dimensions": {"a": {"min_deviation": 1.5}}}},
}
TEXTS = [json.dumps(DOCUMENT).encode(), json.dumps(DOCUMENT["entities"]["web-7"]).encode()]
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=5)
    | st.sampled_from([0, 1, 5, "up", [], {}, [{}], {"cpu": {}}, 10**400, 1e308])
)
FIELDS = st.sampled_from([*policy.Policy.__struct_fields__, "start_ms", "end_ms", "every_seconds"])


@pytest.fixture(autouse=True)
def nothing_said(client: TestClient) -> None:
    put(client, {})


def put(client: TestClient, document: object) -> dict[str, Any]:
    answer = client.put("/v1/policies", json=document)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def effective_of(client: TestClient, entity: str) -> dict[str, Any]:
    answer = client.get("/v1/policies/effective", params={"entity": entity})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(("struct", "model"), PAIRS, ids=lambda one: one.__name__)
def test_what_is_documented_is_what_is_on_the_wire(
    struct: type[msgspec.Struct], model: type[BaseModel]
) -> None:
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(struct)}
    assert {name: one.is_required() for name, one in model.model_fields.items()} == fields


def test_the_documented_limits_are_those_that_hold() -> None:
    documented = views.PolicyView.model_json_schema()["properties"]
    for name, bound in BOUNDS.items():
        limits = documented[name]["anyOf"][0]
        low = "minimum" if bound.is_low_allowed else "exclusiveMinimum"
        assert limits[low] == bound.low, name
        assert limits.get("maximum", bound.high) == bound.high, name


def test_a_document_is_put_kept_and_shown(client: TestClient) -> None:
    before = client.get("/v1/policies").json()
    assert before["policies"] == {}
    told = put(client, DOCUMENT)
    assert told == {"epoch": before["epoch"] + 1, "policies": DOCUMENT}
    assert client.get("/v1/policies").json() == told
    assert put(client, DOCUMENT)["epoch"] == told["epoch"]  # nothing changed
    views.PoliciesInForceView.model_validate(told)


def test_what_holds_of_an_entity_is_merged_filled_in_and_attributed(client: TestClient) -> None:
    put(client, DOCUMENT)
    found = effective_of(client, "web-7")
    views.EffectiveView.model_validate(found)
    assert found["policy"] == {
        "budget": client.get("/v1/models").json()[0]["false_alarm_budget"],
        "open_count": 3,
        "open_window": 3,
        "resolve_after": 5,
        "resolve_below": 1.0,
        "cool_down_seconds": 600.0,
        "lateness_seconds": 0.0,
        "alert_while_calibrating": False,
        "muted_until_ms": 5,
        "maintenance": [{"start_ms": 0, "end_ms": 60_000, "every_seconds": 3_600}],
        "direction": "both",
        "min_deviation": 0.0,
        "dimensions": {
            "a": {"direction": "up", "min_deviation": 1.5},
            "zz": {"direction": "both", "min_deviation": 2.0},
        },
    }
    assert found["sources"] == {
        "open_count": "pattern web-*",
        "open_window": "default",
        "cool_down_seconds": "pattern web-*",
        "maintenance[0]": "pattern *-7",
        "dimensions.a.direction": "pattern *-7",
        "dimensions.zz.min_deviation": "pattern *-7",
        "muted_until_ms": "entity",
        "dimensions.a.min_deviation": "entity",
    }
    assert (found["bundle"], found["unknown_dimensions"]) == ("tiny", ["zz"])
    assert found["own"] == DOCUMENT["entities"]["web-7"]
    assert effective_of(client, "db-1")["own"] is None


def test_one_entity_is_said_something_and_nothing_again(client: TestClient) -> None:
    put(client, DOCUMENT)
    own = {"open_count": 5, "open_window": 8, "dimensions": {"b": {"direction": "none"}}}
    told = client.put("/v1/policies/entities/db%2F7", json=own).json()
    assert (told["entity"], told["own"]) == ("db/7", own)
    assert told["policy"]["open_window"] == 8
    assert told == effective_of(client, "db/7")
    assert set(client.get("/v1/policies").json()["policies"]["entities"]) == {"web-7", "db/7"}
    gone = client.delete("/v1/policies/entities/db%2F7").json()
    assert (gone["own"], gone["policy"]["open_count"]) == (None, 2)
    assert client.delete("/v1/policies/entities/db%2F7").json() == gone
    assert client.get("/v1/policies").json()["policies"] == DOCUMENT


def test_policies_outlive_the_service(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path)
    for expected in ({}, DOCUMENT):
        with TestClient(create_app(settings), base_url=HOME) as client:
            assert client.get("/v1/policies").json()["policies"] == expected
            put(client, DOCUMENT)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "?x=1", None, 422, "query parameters"),
        ("GET", "/effective", None, 422, "one parameter `entity`"),
        ("GET", "/effective?entity=a&entity=b", None, 422, "came 2"),
        ("GET", "/effective?entity=a&x=1", None, 422, "query parameters"),
        ("GET", "/effective?entity=", None, 422, "1 to 200 characters"),
        ("GET", "/effective?entity=%00", None, 422, "control"),
        ("PUT", "", {"default": {"budget": 0}}, 422, r"\$\.default\.budget: .* came 0"),
        ("PUT", "", {"entities": {"\u0000": {}}}, 422, "control"),
        ("PUT", "", {"entities": {"x" * 201: {}}}, 422, "1 to 200"),
        ("PUT", "", {"patterns": [{"pattern": "", "policy": {}}]}, 422, r"patterns\[0\]\.pattern"),
        ("PUT", "", {"patterns": [["web-*", {}]]}, 400, r"\$\.patterns\[0\]"),
        ("PUT", "", {"default": {"sensitivity": 1}}, 400, r"\$\.default: unknown field"),
        ("PUT", "", {"default": {"direction": "<b>"}}, 400, "one of both, down, none, up"),
        ("PUT", "", {"default": {"open_count": 1.5}}, 400, r"\$\.default\.open_count"),
        ("PUT", "", {"default": {"maintenance": [{"start_ms": 1}]}}, 400, "`end_ms`"),
        ("PUT", "?x=1", {}, 422, "query parameters"),
        ("PUT", "/entities/web-1", {"dimensions": {"zz": {}}}, 422, "bundle 'tiny', came 1"),
        ("PUT", "/entities/web-1", {"open_count": 2, "open_window": 1}, 422, r"\$\.open_count"),
        ("PUT", "/entities/", {}, 422, "1 to 200"),
        ("PUT", "/entities/%20web", {}, 422, "ends"),
        ("DELETE", "/entities/%20web", None, 422, "ends"),
        ("DELETE", "/entities/web?x=1", None, 422, "query parameters"),
    ],
)
def test_what_cannot_be_is_a_problem_and_changes_nothing(
    client: TestClient, method: str, path: str, body: object, status: int, words: str
) -> None:
    before = client.get("/v1/policies").json()
    answer = client.request(method, f"/v1/policies{path}", json=body)
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["code"] == {400: "bad_body", 422: "bad_input"}[status]
    assert re.search(words, problem["detail"]), problem["detail"]
    assert "<b>" not in answer.text
    assert client.get("/v1/policies").json() == before


def test_a_body_beyond_the_limit_is_refused(client: TestClient) -> None:
    answer = client.put("/v1/policies", content=b"[" * 100_001)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("name", HOSTILE)
def test_bodies_that_break_services_are_refused(client: TestClient, name: str) -> None:
    content, _ = HOSTILE[name]
    for path in ("/v1/policies", "/v1/policies/entities/web-1"):
        answer = client.put(path, content=content)
        if content != b"{}":
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_body")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid body, cut, spliced and sprinkled."""
    content = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 12)))
        content = content[:start] + draw(st.sampled_from([b"", *TOKENS])) + content[end:]
    return content


def as_body(fields: dict[str, object]) -> bytes:
    return json.dumps({"default": {**fields, "maintenance": [fields]}, **fields}).encode()


bodies = mutated() | st.dictionaries(FIELDS, VALUES, max_size=4).map(as_body)
policy_bodies = st.dictionaries(FIELDS, VALUES, max_size=2).map(
    lambda fields: json.dumps(fields).encode()
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
@given(content=bodies | policy_bodies, path=st.sampled_from(["", "/entities/web-1"]))
def test_no_body_makes_us_fail(client: TestClient, content: bytes, path: str) -> None:
    answer = client.put(f"/v1/policies{path}", content=content)
    assert answer.status_code in (200, 400, 422), answer.text
    json.loads(answer.content, parse_constant=lambda _: 1 / 0)
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
    for entity in ("web-1", "web-7"):
        effective_of(client, entity)


@hypothesis_settings(max_examples=60, deadline=None, derandomize=True)
@given(name=st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")))
def test_no_name_makes_us_fail(client: TestClient, name: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in name.encode("utf-8", "surrogatepass"))
    for answer in (
        client.get(f"/v1/policies/effective?entity={quoted}"),
        client.put(f"/v1/policies/entities/{quoted}", json={"budget": 1.0}),
        client.delete(f"/v1/policies/entities/{quoted}"),
    ):
        assert answer.status_code in (200, 404, 422), answer.text  # 404: a line break in a path


def test_the_routes_are_in_the_document(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/policies"]["put"]
    content = operation["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/PoliciesView"}
    assert {"PolicyView", "EffectiveView"} <= set(document["components"]["schemas"])
    (entity,) = document["paths"]["/v1/policies/effective"]["get"]["parameters"]
    assert entity["name"] == "entity"
