from typing import Any

import msgspec
import pytest
from fastapi.openapi.models import OpenAPI
from pydantic import BaseModel
from starlette.testclient import TestClient

from service.stream import messages
from service.web import decoding, points, schemas, views
from service.web.problems import ProblemBody
from tests.web.hostile import body
from tests.web.test_points import JSON

PAIRS: list[tuple[type[msgspec.Struct], type[BaseModel]]] = [
    (messages.Point, schemas.Point),
    (messages.Cause, schemas.Cause),
    (messages.Verdict, schemas.Verdict),
    (messages.Alert, views.Alert),
    (messages.Row, views.Row),
    (messages.EntityView, views.EntityView),
    (points.VerdictsBody, schemas.Verdicts),
    (ProblemBody, views.Problem),
]


@pytest.mark.parametrize(("struct", "model"), PAIRS, ids=lambda one: one.__name__)
def test_what_is_documented_is_what_is_on_the_wire(
    struct: type[msgspec.Struct], model: type[BaseModel]
) -> None:
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(struct)}
    assert {name: one.is_required() for name, one in model.model_fields.items()} == fields


def test_the_two_forms_of_a_body_are_documented() -> None:
    documented = {*schemas.PointRows.model_fields, *schemas.PointColumns.model_fields}
    assert documented == {field.encode_name for field in msgspec.structs.fields(decoding.Body)}


def test_answers_fit_their_documentation(client: TestClient) -> None:
    answer = client.post("/v1/points", content=body(entity='"fits"'), headers=JSON)
    schemas.Verdicts.model_validate_json(answer.content)
    views.EntityView.model_validate_json(client.get("/v1/entities/fits").content)
    views.Problem.model_validate_json(client.get("/v1/entities/nobody").content)
    views.Problem.model_validate_json(client.post("/v1/points", headers=JSON).content)
    for model in client.get("/v1/models").json():
        views.ModelView.model_validate(model)


def test_the_document_is_openapi_and_every_reference_leads_somewhere(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    OpenAPI.model_validate(document)
    names = set(document["components"]["schemas"])
    assert set(_references(document)) <= {f"#/components/schemas/{name}" for name in names}
    assert {"PointRows", "PointColumns", "Verdicts", "AlertMessage", "Problem"} <= names
    operation = document["paths"]["/v1/points"]["post"]
    assert set(operation["responses"]) >= {"200", "400", "401", "413", "415", "422", "503"}


def test_the_examples_of_the_document_are_bodies_we_read(client: TestClient) -> None:
    content = client.get("/openapi.json").json()["paths"]["/v1/points"]["post"]["requestBody"]
    examples = content["content"]["application/json"]["examples"]
    for example in examples.values():
        msgspec.json.decode(msgspec.json.encode(example["value"]), type=decoding.Body)
    msgspec.json.decode(content["content"]["application/x-ndjson"]["example"], type=messages.Point)


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [one for value in node.values() for one in _references(value)]
    if isinstance(node, list):
        return [one for value in node for one in _references(value)]
    return []
