import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from service.settings import Settings
from service.web import page
from service.web.app import create_app
from service.web.auth import ACCESS, KEY_SUBPROTOCOL, SUBPROTOCOL, Access
from tests.web.hostile import body
from tests.web.serving import HOME, serving, settings_for

KEYS = ("first-key-0123456789", "second-key-0123456789")


@pytest.fixture
def locked(bundle_folder: Path, tmp_path: Path) -> Settings:
    return settings_for(
        bundle_folder, tmp_path, api_keys=",".join(KEYS), origins=("https://panel.example",)
    )


def test_every_route_declares_who_may_use_it(settings: Settings) -> None:
    paths = {getattr(route, "path", type(route).__name__) for route in create_app(settings).routes}
    assert paths == set(ACCESS)
    assert {path for path, access in ACCESS.items() if access is Access.OPEN} == {
        "/livez",
        "/readyz",
        *page.paths(),
    }


def test_a_key_opens_every_route_and_nothing_else_does(locked: Settings) -> None:
    with TestClient(create_app(locked)) as client:
        for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/entities/livez"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (401, "not_authorised")
            assert answer.headers["www-authenticate"] == "Bearer"
            for key in KEYS:
                answer = client.get(path, headers={"authorization": f"bearer {key}"})
                assert answer.status_code in (200, 404)
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong-key-0123456789",
        f"Bearer {KEYS[0]}x",
        f"Bearer {KEYS[0][:-1]}",
        f"Bearer {KEYS[0]},{KEYS[1]}",
        f"Basic {KEYS[0]}",
        KEYS[0],
        "Bearer \xff\xfe",
    ],
)
def test_other_words_than_a_key_are_refused(locked: Settings, offered: str) -> None:
    client = TestClient(create_app(locked))
    header = (b"authorization", offered.encode("latin-1"))
    answer = client.get("/v1/models", headers=[header])
    assert answer.status_code == 401
    assert not any(key in answer.text for key in KEYS)


def test_the_key_is_asked_for_before_the_body_and_the_path(locked: Settings) -> None:
    client = TestClient(create_app(locked))
    assert client.post("/v1/points", content=body()).status_code == 401
    assert client.get("/no/such/path").status_code == 401
    assert client.get("/livez/").status_code == 401


def open_socket(
    url: str,
    *,
    origin: str | None = None,
    offer: Sequence[str] | None = None,
    headers: dict[str, str] | None = None,
) -> ClientConnection:
    return connect(
        url,
        origin=None if origin is None else Origin(origin),
        subprotocols=None if offer is None else [Subprotocol(one) for one in offer],
        additional_headers=headers,
    )


def refused(
    url: str,
    *,
    origin: str | None = None,
    offer: Sequence[str] | None = None,
    headers: dict[str, str] | None = None,
) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        open_socket(url, origin=origin, offer=offer, headers=headers)
    assert refusal.value.response.headers["content-type"] == "application/problem+json"
    return refusal.value.response.status_code


def test_the_websocket_wants_a_key_and_an_origin_of_ours(locked: Settings) -> None:
    key = {"Authorization": f"Bearer {KEYS[0]}"}
    with serving(locked) as port:
        url = f"ws://127.0.0.1:{port}/v1/alerts"
        assert refused(url) == 401
        assert refused(url, offer=[SUBPROTOCOL, f"{KEY_SUBPROTOCOL}wrong"]) == 401
        for origin in (
            "https://evil.example",
            f"http://127.0.0.1:{port + 1}",
            f"http://127.0.0.1.evil.example:{port}",
            "null",
            "http://[",
            "",
        ):
            assert refused(url, origin=origin, headers=key) == 403
        for known in (f"http://127.0.0.1:{port}", "https://panel.example", None):
            with open_socket(url, origin=known, headers=key) as alerts:
                assert "heartbeat" in str(alerts.recv(5))
        offer = [SUBPROTOCOL, f"{KEY_SUBPROTOCOL}{KEYS[1]}"]
        with open_socket(url, offer=offer) as alerts:
            assert alerts.subprotocol == SUBPROTOCOL


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "192.168.1.7",
        "0.0.0.0",
        "[::2]",
        "[::1",
        "::1",
        "127.0.0.1:x",
        "127.0.0.1, evil.example",
        "",
    ],
)
def test_without_keys_a_name_that_somebody_else_gave_us_is_refused(
    client: TestClient, host: str
) -> None:
    """Else a web page could have its own name lead here, and read everything."""
    for path in ("/livez", "/readyz", "/metrics", "/v1/models", "/nothing"):
        answer = client.get(path, headers={"host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "host_refused")
        assert "evil" not in answer.text
    assert client.post("/v1/points", headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8080", "127.0.0.1:1", "127.8.8.8", "[::1]", "[::1]:8080"]
)
def test_names_of_the_loopback_are_ours(client: TestClient, host: str) -> None:
    assert client.get("/v1/models", headers={"host": host}).status_code == 200


def test_two_names_are_none(client: TestClient) -> None:
    headers = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert client.get("/livez", headers=headers).status_code == 403


def test_with_keys_any_name_will_do(locked: Settings) -> None:
    client = TestClient(create_app(locked), base_url="http://service.example")
    assert client.get("/livez").status_code == 200


def test_the_websocket_refuses_a_name_that_somebody_else_gave_us(port: int) -> None:
    evil = f"evil.example:{port}"
    with (
        socket.create_connection(("127.0.0.1", port)) as wire,
        pytest.raises(InvalidStatus) as refusal,
    ):
        connect(f"ws://{evil}/v1/alerts", sock=wire, origin=Origin(f"http://{evil}"))
    assert refusal.value.response.status_code == 403
    assert b"host_refused" in (refusal.value.response.body or b"")


def test_without_keys_the_origin_still_counts(port: int) -> None:
    url = f"ws://127.0.0.1:{port}/v1/alerts"
    assert refused(url, origin="https://evil.example") == 403


FOREIGN = ("https://evil.example", "http://127.0.0.1:1", "http://[", "null", "")
CHANGES = (
    ("POST", "/v1/points"),
    ("POST", "/v1/detect"),
    ("PUT", "/v1/policies"),
    ("PUT", "/v1/assignments"),
    ("PUT", "/v1/incidents/alpha@1/note"),
    ("DELETE", "/v1/entities/alpha"),
    ("POST", "/v1/models/tiny/rollback"),
    ("PATCH", "/v1/nothing"),
)


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_page_of_another_origin_changes_nothing(
    client: TestClient, method: str, path: str, origin: str
) -> None:
    answer = client.request(method, path, content=body(), headers={"origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")
    assert "evil" not in answer.text


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_key_does_not_help_a_page_of_another_origin(locked: Settings, origin: str) -> None:
    client = TestClient(create_app(locked))
    headers = {"origin": origin, "authorization": f"Bearer {KEYS[0]}"}
    for method, path in CHANGES:
        assert client.request(method, path, headers=headers).status_code == 403


def test_our_own_page_and_programs_may_change_things(client: TestClient) -> None:
    sent = body(entity='"from-a-page"')
    for headers in ({"origin": HOME}, {"origin": HOME.upper()}, {}):
        answer = client.post(
            "/v1/points", content=sent, headers={"content-type": "application/json", **headers}
        )
        assert answer.status_code == 200, answer.text
    assert client.delete("/v1/entities/from-a-page", headers={"origin": HOME}).status_code == 204


def test_a_page_of_an_allowed_origin_may_change_things(locked: Settings) -> None:
    headers = {"origin": "https://panel.example", "authorization": f"Bearer {KEYS[0]}"}
    with TestClient(create_app(locked)) as client:
        sent = {"content-type": "application/json", **headers}
        assert client.post("/v1/points", content=body(), headers=sent).status_code == 200
        del sent["authorization"]
        assert client.post("/v1/points", content=body(), headers=sent).status_code == 401


def test_reading_is_answered_and_no_page_of_another_origin_may_see_it(client: TestClient) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = client.request(method, "/v1/models", headers={"origin": "https://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]
