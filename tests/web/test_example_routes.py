"""Examples over HTTP: listed, fetched, and sent back as they are."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from service.stream import example_series
from service.web import example_routes
from service.web.app import create_app
from tests.builders import DIMENSIONS, series_like
from tests.web.serving import HOME, settings_for

PAIRS: list[tuple[type[msgspec.Struct], type[BaseModel]]] = [
    (example_series.ExampleSummary, example_routes.ExampleSummaryView),
    (example_series.KnownFault, example_routes.KnownFaultView),
    (example_series.ExampleSeries, example_routes.ExampleSeriesView),
]


@pytest.fixture(scope="module")
def client(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "tiny").mkdir()
    for entity in ("alpha", "a b"):
        series = series_like("alpha", 60)
        values = series.values.copy()
        values[5, 2] = np.nan
        values[40, 1] += 9.0
        label = np.arange(60) == 40
        names = np.array(DIMENSIONS)
        np.savez(folder / "tiny" / f"{entity}.npz", test=values, label=label, dimensions=names)
    settings = settings_for(bundle_folder, tmp_path_factory.mktemp("data"), examples_folder=folder)
    with TestClient(create_app(settings), base_url=HOME) as client:
        yield client


def test_an_example_can_be_sent_back_as_it_is(client: TestClient) -> None:
    listed = client.get("/v1/examples").json()
    assert [one["entity"] for one in listed] == ["a b", "alpha"]
    for one in listed:
        example_routes.ExampleSummaryView.model_validate(one)
        answer = client.get(f"/v1/examples/{one['bundle']}/{one['entity']}")
        example_routes.ExampleSeriesView.model_validate_json(answer.content)
        found = client.post(
            "/v1/detect",
            params={"bundle": one["bundle"], "entity": one["entity"]},
            content=answer.content,
            headers={"content-type": "application/json"},
        )
        assert found.status_code == 200, found.text
        assert found.json()["points"] == one["points"] == 60
        assert found.json()["measures"]["events"] == one["events"] == 1
        assert found.json()["measures"]["events_found"] == 1
        assert answer.json()["values"][5][2] is None


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/examples?x=1", 422, "bad_input"),
        ("/v1/examples/tiny/alpha?x=1", 422, "bad_input"),
        ("/v1/examples/tiny/nobody", 404, "unknown_example"),
        ("/v1/examples/tiny/..%2f..%2fetc%2fpasswd", 404, "unknown_example"),
        ("/v1/examples/tiny/%00", 404, "unknown_example"),
        ("/v1/examples/huge/alpha", 404, "unknown_bundle"),
    ],
)
def test_what_is_not_there_is_a_problem(
    client: TestClient, path: str, status: int, code: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(("struct", "model"), PAIRS, ids=lambda one: one.__name__)
def test_what_is_documented_is_what_is_on_the_wire(
    struct: type[msgspec.Struct], model: type[BaseModel]
) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(struct)]
    assert [*model.model_fields] == names


def test_the_routes_are_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths["/v1/examples"]["get"]["responses"]) == {"200", "401", "422"}
    one = paths["/v1/examples/{bundle}/{entity}"]["get"]
    assert set(one["responses"]) == {"200", "401", "404", "422"}
