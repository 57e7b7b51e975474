import json
import time
from pathlib import Path

import pytest
from redis import Redis
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from service.errors import BadInput
from service.settings import Settings
from service.stream.embedded import EmbeddedValkey
from service.stream.keys import alert_count_key, alert_stream_key
from service.web.app import create_app
from service.web.problems import Answering
from tests.builders import DIMENSIONS, NEED
from tests.web.hostile import body
from tests.web.serving import HOME, settings_for
from tests.web.test_points import JSON, rows


def test_an_entity_shows_its_newest_points(client: TestClient) -> None:
    points = rows("viewed/with slash", 10)
    answer = client.post("/v1/points", json={"points": points})
    verdicts = answer.json()["verdicts"]
    view = client.get("/v1/entities/viewed%2Fwith slash", params={"rows": 3}).json()
    assert view["entity"] == "viewed/with slash"
    assert view["dimensions"] == list(DIMENSIONS)
    assert (view["points"], view["have"], view["need"]) == (10, 10, NEED)
    assert [row["timestamp_ms"] for row in view["window"]] == [
        point["timestamp_ms"] for point in points[-3:]
    ]
    assert [row["score"] for row in view["window"]] == [one["score"] for one in verdicts[-3:]]
    assert len(client.get("/v1/entities/viewed/with slash").json()["window"]) == 10


def test_entities_are_listed_page_by_page(client: TestClient) -> None:
    names = [f"listed {number}" for number in range(5)]
    client.post("/v1/points", json={"points": [rows(name, 1)[0] for name in names]})
    found, after = list[str](), None
    while True:
        page = client.get(
            "/v1/entities", params={"limit": 2, **({"after": after} if after else {})}
        )
        found += page.json()["entities"]
        assert len(page.json()["entities"]) <= 2
        if (after := page.json()["next"]) is None:
            break
    assert set(names) <= set(found)
    assert len(found) == len(set(found)) == page.json()["count"]
    refused = client.get("/v1/entities?after=x")
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_cursor")


def test_a_deleted_entity_begins_anew(client: TestClient) -> None:
    points = rows("gone", 12)
    client.post("/v1/points", json={"points": points[:10]})
    assert client.delete("/v1/entities/gone").status_code == 204
    assert client.get("/v1/entities/gone").status_code == 404
    assert client.delete("/v1/entities/gone").json()["code"] == "unknown_entity"
    (verdict,) = client.post("/v1/points", json={"points": points[10:11]}).json()["verdicts"]
    assert (verdict["status"], verdict["have"]) == ("warming", 1)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/entities/nobody", 404, "unknown_entity"),
        ("/v1/entities/%00", 422, "bad_input"),
        ("/v1/entities/%ff%fe", 404, "unknown_entity"),
        ("/v1/entities/%E2%80%AE", 422, "bad_input"),
        ("/v1/entities/" + 201 * "x", 422, "bad_input"),
        ("/v1/entities/", 422, "bad_input"),
        ("/v1/entities/a?rows=0", 422, "bad_input"),
        ("/v1/entities/a?rows=1001", 422, "bad_input"),
        ("/v1/entities/a?rows=<b>", 422, "bad_input"),
        ("/v1/entities/a?rows=" + 5001 * "9", 422, "bad_input"),
        ("/v1/entities/a?rows=NaN", 422, "bad_input"),
        ("/v1/entities/a?row=3", 422, "bad_input"),
        ("/v1/entities/a?<b>=3", 422, "bad_input"),
        ("/nothing", 404, "not_found"),
        ("/v1/points/", 404, "not_found"),
        ("/redoc", 404, "not_found"),
        ("/v1/points", 405, "method_not_allowed"),
    ],
)
def test_what_cannot_be_had_is_a_problem(
    client: TestClient, path: str, status: int, code: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "<b>" not in answer.text


def test_a_wrong_method_names_the_right_one(client: TestClient) -> None:
    assert client.get("/v1/points").headers["allow"] == "POST"


def test_models_say_what_they_promise(client: TestClient) -> None:
    (model,) = client.get("/v1/models").json()
    assert model["name"] == "tiny"
    assert model["dimensions"] == list(DIMENSIONS)
    assert model["digest"].startswith(model["version"])
    assert model["is_default"]
    assert (model["entities"], model["false_alarm_budget"]) == (2, 5.0)


def test_the_budget_of_the_settings_overrules_the_bundle(
    bundle_folder: Path, tmp_path: Path
) -> None:
    settings = settings_for(bundle_folder, tmp_path, false_alarm_budget=0.25)
    with TestClient(create_app(settings), base_url=HOME) as client:
        assert client.get("/v1/models").json()[0]["false_alarm_budget"] == 0.25
        assert b'gaugewatch_false_alarm_budget{model="tiny/' in client.get("/metrics").content


@pytest.mark.slow
def test_without_redis_we_live_are_not_ready_and_say_when_to_retry(
    bundle_folder: Path, tmp_path: Path
) -> None:
    with EmbeddedValkey(tmp_path / "valkey", durability="everysec") as valkey:
        settings = settings_for(bundle_folder, tmp_path, redis_url=valkey.url)
        with TestClient(create_app(settings), base_url=HOME) as client:
            assert client.get("/readyz").json() == {"status": "ready", "reasons": []}
            valkey.stop()
            answer = client.post("/v1/points", content=body(), headers=JSON)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            assert answer.headers["retry-after"] == "1"
            assert until_status(client, 503) == ["Redis does not answer"]
            assert client.get("/readyz").headers["retry-after"] == "1"
            assert client.get("/livez").status_code == 200
            with valkey:
                assert until_status(client, 200) == []
                again = client.post("/v1/points", content=body(), headers=JSON)
                assert again.status_code == 200


def test_a_feed_that_cannot_read_is_a_reason_not_to_be_ready(
    bundle_folder: Path, tmp_path: Path, redis_url: str
) -> None:
    settings = settings_for(bundle_folder, tmp_path, redis_url=redis_url, shards=1)
    with (
        TestClient(create_app(settings), base_url=HOME) as client,
        Redis.from_url(redis_url) as redis,
    ):
        redis.set(alert_count_key(0), b"garbage")
        redis.xadd(alert_stream_key(0), {"entity": "e", "alert": "{}"}, id="1-0")
        reasons = until_status(client, 503)
        assert reasons == ["the alert feed cannot read"]
        redis.set(alert_count_key(0), 1)
        assert until_status(client, 200) == []


def until_status(client: TestClient, status: int) -> list[str]:
    for _ in range(1_000):
        answer = client.get("/readyz")
        if answer.status_code == status:
            reasons: list[str] = answer.json()["reasons"]
            return reasons
        time.sleep(0.01)
    pytest.fail(f"expected {status} of /readyz")


def test_an_unexpected_error_says_nothing_of_us(settings: Settings) -> None:
    app = create_app(settings)

    async def fails() -> None:
        raise ZeroDivisionError("a secret of ours")

    app.add_api_route("/fails", fails)
    client = TestClient(app, base_url=HOME, raise_server_exceptions=False)
    answer = client.get("/fails")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ZeroDivisionError("a secret of ours"), 500, "internal"),
        (BadInput("expected something else"), 422, "bad_input"),
        (HTTPException(408, "too slow"), 408, "request_timeout"),
    ],
)
def test_in_front_of_the_framework_errors_are_answered_alike(
    error: Exception, status: int, code: str
) -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    client = TestClient(Answering(fails), raise_server_exceptions=False)
    answer = client.post("/v1/points")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_answers_hold_no_number_that_json_has_not(client: TestClient) -> None:
    for path in ("/v1/models", "/v1/entities/hostile", "/openapi.json"):
        json.loads(client.get(path).content, parse_constant=pytest.fail)


def test_redis_is_really_asked(bundle_folder: Path, tmp_path: Path, redis_url: str) -> None:
    settings = settings_for(bundle_folder, tmp_path, redis_url=redis_url)
    with TestClient(create_app(settings), base_url=HOME) as client:
        client.post("/v1/points", content=body(entity='"kept"'), headers=JSON)
        with Redis.from_url(redis_url) as redis:
            assert any(b"kept" in key for key in redis.scan_iter())
