"""Documents that are replaced only if nobody changed them since they were read."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.web.app import create_app
from tests.web.serving import HOME, settings_for

DOCUMENTS: dict[str, list[dict[str, Any]]] = {
    "/v1/policies": [{"default": {"open_count": 2, "open_window": 2}}, {}],
    "/v1/assignments": [
        {"default": "tiny", "patterns": [{"pattern": "web-*", "bundle": "tiny"}]},
        {"default": "tiny"},
    ],
    "/v1/policies/entities/alpha": [{"budget": 2.0}, {"budget": 3.0}],
}
READ = {"/v1/policies/entities/alpha": "/v1/policies/effective?entity=alpha"}


@pytest.fixture(scope="module")
def own(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    chosen = settings_for(bundle_folder, tmp_path_factory.mktemp("data"))
    with TestClient(create_app(chosen), base_url=HOME) as client:
        yield client


def tag_of(client: TestClient, path: str) -> str:
    answer = client.get(READ.get(path, path))
    assert answer.status_code == 200, answer.text
    return answer.headers["etag"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_replaced_where_nobody_changed_it(own: TestClient, path: str) -> None:
    first, second = DOCUMENTS[path]
    own.put(path, json=second)
    tag = tag_of(own, path)
    answer = own.put(path, json=first, headers={"If-Match": tag})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == tag_of(own, path) != tag
    assert own.put(path, json=second, headers={"If-Match": f"W/{tag_of(own, path)}"}).is_success


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_that_somebody_changed_is_left_as_it_is(own: TestClient, path: str) -> None:
    first, second = DOCUMENTS[path]
    own.put(path, json=second)
    tag = tag_of(own, path)
    own.put("/v1/policies/entities/somebody-else", json={"budget": float(tag.strip('"'))})
    before = own.get(READ.get(path, path)).json()
    answer = own.put(path, json=first, headers={"If-Match": tag})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (412, "epoch_moved_on"), answer.text
    assert own.get(READ.get(path, path)).json() == before


@pytest.mark.parametrize("path", DOCUMENTS)
def test_what_is_in_force_already_is_not_refused(own: TestClient, path: str) -> None:
    """The request of a client that did not get its first answer."""
    first, second = DOCUMENTS[path]
    own.put(path, json=second)
    tag = tag_of(own, path)
    for _ in range(2):
        assert own.put(path, json=first, headers={"If-Match": tag}).is_success


@pytest.mark.parametrize("path", DOCUMENTS)
@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}])
def test_without_an_epoch_the_last_one_wins(
    own: TestClient, path: str, headers: dict[str, str]
) -> None:
    for document in DOCUMENTS[path] * 2:
        assert own.put(path, json=document, headers=headers).is_success


@pytest.mark.parametrize("value", ["7", '"x"', '"1", "2"', '""', "W/7", '"1"x', f'"{"9" * 40}"'])
@pytest.mark.parametrize("path", DOCUMENTS)
def test_an_epoch_that_cannot_be_one_is_refused(own: TestClient, path: str, value: str) -> None:
    answer = own.put(path, json=DOCUMENTS[path][0], headers={"If-Match": value})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")
    assert "If-Match" in answer.json()["detail"]


def test_the_removal_of_what_an_entity_says_is_checked_too(own: TestClient) -> None:
    path = "/v1/policies/entities/alpha"
    own.put(path, json={"budget": 7.0})
    tag = tag_of(own, path)
    own.put("/v1/policies/entities/beta", json={"budget": float(tag.strip('"'))})
    assert own.delete(path, headers={"If-Match": tag}).status_code == 412
    assert own.delete(path, headers={"If-Match": tag_of(own, path)}).is_success


def test_of_many_at_once_under_one_epoch_one_is_in_force(own: TestClient) -> None:
    tag, codes = tag_of(own, "/v1/policies"), list[int]()

    def put(number: int) -> None:
        document = {"default": {"budget": 10.0 + number}}
        answer = own.put("/v1/policies", json=document, headers={"If-Match": tag})
        codes.append(answer.status_code)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] + [412] * 7


def test_it_is_documented(own: TestClient) -> None:
    paths = own.get("/openapi.json").json()["paths"]
    for path in ("/v1/policies", "/v1/assignments", "/v1/policies/entities/{entity}"):
        operation = paths[path]["put"]
        assert "412" in operation["responses"]
        assert "If-Match" in {one["name"] for one in operation["parameters"]}
