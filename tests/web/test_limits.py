"""Every limit of docs/limits.md at its number, and one beyond it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from service.settings import Settings
from service.stream.batcher import MAX_STEPS
from service.stream.policy_limits import MAX_BUDGET
from service.stream.waiting import MAX_WAITING_POINTS
from service.web.app import create_app
from service.web.entity_routes import MAX_PAGE, MAX_ROWS
from service.web.incident_routes import MAX_NOTE_CHARACTERS, MAX_PAGE as MAX_INCIDENTS
from service.web.model_routes import MAX_PATTERN_CHARACTERS
from service.web.promise_routes import MAX_DAYS
from service.web.receiving import MAX_HEAD_BYTES, MAX_HEADERS
from service.web.scoreboard import MAX_BYTES
from service.web.server import MAX_MESSAGE_BYTES
from tests.builders import DIMENSIONS, START_MS
from tests.web.serving import HOME, serving, settings_for
from tests.web.test_points import rows

POINTS: Final = 20
ENTITIES: Final = 3
SUBSCRIBERS: Final = 2


@pytest.fixture(scope="module")
def limited(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_for(
        bundle_folder,
        tmp_path_factory.mktemp("data"),
        shards=1,
        max_points_per_request=POINTS,
        max_kept_entities=ENTITIES,
        max_detect_points=POINTS,
        max_detect_bytes=4_000,
        max_future_seconds=1_000,
    )


@pytest.fixture(scope="module")
def small(limited: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(limited), base_url=HOME) as client:
        yield client


def posted(client: TestClient, points: list[dict[str, Any]]) -> httpx2.Response:
    answer: Any = client.post("/v1/points", json={"points": points})
    found: httpx2.Response = answer
    return found


def one(entity: str, **more: Any) -> dict[str, Any]:
    return {"entity": entity, "timestamp_ms": START_MS, "values": [1, 2, 3, 4], **more}


def test_points_of_a_request(small: TestClient) -> None:
    assert posted(small, rows("alpha", POINTS)).status_code == 200
    answer = posted(small, rows("alpha", POINTS + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_points_of_one_entity_in_a_request(bundle_folder: Path, tmp_path: Path) -> None:
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        assert posted(client, rows("alpha", MAX_STEPS)).status_code == 200
        answer = posted(client, rows("alpha", MAX_STEPS + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_values_of_a_point(small: TestClient) -> None:
    count = len(DIMENSIONS)
    assert posted(small, [one("alpha", values=[1.0] * count)]).status_code == 200
    for wrong in (count - 1, count + 1):
        answer = posted(small, [one("alpha", values=[1.0] * wrong)])
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_points")


def test_depth_of_a_body(small: TestClient) -> None:
    """Point, values: there is nothing deeper to be read."""
    assert posted(small, [one("alpha")]).status_code == 200
    answer = posted(small, [one("alpha", values=[[1], 2, 3, 4])])
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_body")


@pytest.mark.parametrize(
    "letter", ["x", "\N{LATIN SMALL LETTER U WITH DIAERESIS}", "\N{GRINNING FACE}"]
)
def test_characters_of_the_name_of_an_entity(
    client: TestClient, settings: Settings, letter: str
) -> None:
    longest = settings.max_entity_characters
    assert posted(client, [one(letter * longest)]).status_code == 200
    answer = posted(client, [one(letter * (longest + 1))])
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_points")


def test_entities_that_are_kept(small: TestClient) -> None:
    def statuses(*names: str) -> list[str]:
        verdicts = posted(small, [one(name) for name in names]).json()["verdicts"]
        return [verdict["status"] for verdict in verdicts]

    small.delete("/v1/entities/alpha")
    known = statuses(*(f"kept-{number}" for number in range(ENTITIES)))
    assert "rejected" not in known
    assert statuses("one-more", "kept-0") == ["rejected", "duplicate"]
    small.delete("/v1/entities/kept-0")
    assert statuses("one-more") != ["rejected"]
    for name in ("one-more", "kept-1", "kept-2"):
        small.delete(f"/v1/entities/{name}")


def test_how_far_a_timestamp_may_be_ahead(small: TestClient, limited: Settings) -> None:
    now_ms, ahead_ms = time.time_ns() // 10**6, 1_000 * limited.max_future_seconds
    assert posted(small, [one("alpha", timestamp_ms=now_ms + ahead_ms)]).status_code == 200
    late = posted(small, [one("alpha", timestamp_ms=now_ms + ahead_ms + 60_000)])
    assert (late.status_code, late.json()["code"]) == (422, "bad_points")


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/v1/entities?limit={}", MAX_PAGE),
        ("/v1/entities/alpha?rows={}", MAX_ROWS),
        ("/v1/incidents?limit={}", MAX_INCIDENTS),
        ("/v1/promise?days={}", MAX_DAYS),
    ],
)
def test_what_may_be_asked_for_at_once(small: TestClient, path: str, most: int) -> None:
    posted(small, rows("alpha", 1))
    assert small.get(path.format(most)).status_code == 200
    answer = small.get(path.format(most + 1))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")


def test_points_of_a_series_to_detect_in(small: TestClient) -> None:
    def answer(count: int) -> httpx2.Response:
        values = [[1.0, 2.0, 3.0, 4.0]] * count
        found: Any = small.post("/v1/detect", json={"values": values})
        detected: httpx2.Response = found
        return detected

    assert answer(POINTS).status_code == 200, answer(POINTS).text
    assert answer(POINTS + 1).json()["code"] == "body_too_large"


def test_a_budget_of_a_series(small: TestClient) -> None:
    def status(budget: str) -> int:
        values = {"values": [[1.0, 2.0, 3.0, 4.0]]}
        return int(small.post(f"/v1/detect?budget={budget}", json=values).status_code)

    assert status("1000000") == 200
    assert status("1000001") == status("1.7e308") == 422


def test_bytes_of_a_series_to_detect_in(small: TestClient, limited: Settings) -> None:
    content = json.dumps({"values": [[1.0, 2.0, 3.0, 4.0]]}).encode()
    headers = {"content-type": "application/json"}

    def status(count: int) -> int:
        answer = small.post("/v1/detect", content=content.ljust(count), headers=headers)
        return int(answer.status_code)

    assert status(limited.max_detect_bytes) == 200
    assert status(limited.max_detect_bytes + 1) == 413


def test_characters_of_a_pattern(small: TestClient) -> None:
    def status(count: int) -> int:
        bundle = small.get("/v1/models").json()[0]["name"]
        wanted = {"patterns": [{"pattern": "x" * count, "bundle": bundle}], "entities": {}}
        return int(small.put("/v1/assignments", json=wanted).status_code)

    assert status(MAX_PATTERN_CHARACTERS) == 200
    assert status(MAX_PATTERN_CHARACTERS + 1) == 422


def test_characters_of_a_note(small: TestClient) -> None:
    def code(count: int) -> str:
        answer = small.put(
            "/v1/incidents/alpha@1/note", json={"label": "true", "text": "x" * count}
        )
        return str(answer.json()["code"])

    assert code(MAX_NOTE_CHARACTERS) == "unknown_incident"
    assert code(MAX_NOTE_CHARACTERS + 1) == "bad_input"


def test_subscribers_and_what_they_may_say(bundle_folder: Path, tmp_path: Path) -> None:
    with serving(settings_for(bundle_folder, tmp_path, max_subscribers=SUBSCRIBERS)) as port:
        url = f"ws://127.0.0.1:{port}/v1/alerts"
        with connect(url) as first, connect(url) as second:
            for socket in (first, second):
                socket.recv(10)
            with connect(url) as third, pytest.raises(ConnectionClosed):
                third.recv(10)
            assert third.close_code == 1013
            first.send("x" * MAX_MESSAGE_BYTES)
            second.send("x" * (MAX_MESSAGE_BYTES + 1))
            with pytest.raises(ConnectionClosed):
                second.recv(10)
            assert second.close_code == 1009
            first.send("still here")
            assert first.ping().wait(10)


def test_the_page_of_limits_has_the_numbers() -> None:
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
    named = dict(re.findall(r"\(`(\w+)`\) \| ([\d]+)", page))
    assert len(named) > 15
    for name, number in named.items():
        assert number == f"{Settings.model_fields[name].default:.15g}", name
    fixed = {
        "headers": MAX_HEADERS,
        "target, names and values of headers, together": MAX_HEAD_BYTES,
        "message of a subscriber": MAX_MESSAGE_BYTES,
        "points of one entity in a request": MAX_STEPS,
        "held points of an entity": MAX_WAITING_POINTS,
        "names of `GET /v1/entities`": MAX_PAGE,
        "rows of `GET /v1/entities/{entity}`": MAX_ROWS,
        "incidents of a page": MAX_INCIDENTS,
        "days of `GET /v1/promise`": MAX_DAYS,
        "characters of a note": MAX_NOTE_CHARACTERS,
        "bytes of all names on the metrics page": MAX_BYTES,
        "budget, of a policy or of a series": int(MAX_BUDGET),
        "characters of a pattern": MAX_PATTERN_CHARACTERS,
    }
    for what, most in fixed.items():
        assert re.search(rf"^\| {re.escape(what)} \| {most}\b", page, re.MULTILINE), what
