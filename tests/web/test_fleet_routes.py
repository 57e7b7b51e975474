import base64
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from service.stream.embedded import EmbeddedValkey
from service.stream.fleet import answer as fleet_answer
from service.stream.fleet.cells import CELLS
from service.web import fleet_routes
from service.web.app import create_app
from tests.builders import NEED, PERIOD_MS, START_MS
from tests.web.serving import HOME, settings_for
from tests.web.test_points import rows

PAIRS: list[tuple[type[msgspec.Struct], type[BaseModel]]] = [
    (fleet_answer.FleetAnswer, fleet_routes.FleetView),
    (fleet_answer.FleetColumns, fleet_routes.FleetColumnsView),
    (fleet_answer.FleetModel, fleet_routes.FleetModelView),
]


def fleet(client: TestClient, **query: str) -> dict[str, Any]:
    answer = client.get("/v1/fleet", params=query)
    fleet_routes.FleetView.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    return found


def fleet_when(
    client: TestClient, is_so: Callable[[dict[str, Any]], bool], **query: str
) -> dict[str, Any]:
    """As soon as it is so: the board hears of points after they were answered."""
    deadline = time.monotonic() + 10
    while not is_so(found := fleet(client, **query)):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def of(answer: dict[str, Any], entity: str) -> dict[str, Any]:
    columns = answer["entities"]
    at = columns["entity"].index(entity)
    return {name: column[at] for name, column in columns.items() if name != "cells"}


def cells(answer: dict[str, Any], entity: str) -> list[int]:
    at = CELLS * answer["entities"]["entity"].index(entity)
    return list(base64.b64decode(answer["entities"]["cells"])[at : at + CELLS])


@pytest.mark.parametrize(("struct", "model"), PAIRS, ids=lambda one: one.__name__)
def test_what_is_documented_is_what_is_on_the_wire(
    struct: type[msgspec.Struct], model: type[BaseModel]
) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(struct)]
    assert list(model.model_fields) == fields


def test_the_fleet_shows_every_entity_and_then_what_changed(
    bundle_folder: Path, tmp_path: Path
) -> None:
    with TestClient(create_app(settings_for(bundle_folder, tmp_path)), base_url=HOME) as client:
        nobody = fleet(client)
        assert (nobody["count"], nobody["end_ms"]) == (0, nobody["now_ms"])
        odd = rows("alpha", 40)
        odd[-1]["values"][2] += 50.0
        verdict = client.post("/v1/points", json={"points": odd}).json()["verdicts"][-1]
        client.post("/v1/points", json={"points": rows("beta", NEED - 1)})
        whole = fleet_when(client, lambda found: found["count"] == 2)
        changed = fleet_when(client, lambda one: one["count"] == 2, since=nobody["next"])
        assert changed["entities"] == whole["entities"]
        assert (whole["is_whole"], changed["is_whole"]) == (True, False)
        alpha = of(whole, "alpha")
        for name in ("status", "timestamp_ms", "is_anomaly", "incident"):
            assert alpha[name] == verdict[name]
        assert alpha["score"] == pytest.approx(verdict["score"], abs=1e-4)
        assert alpha["causes"][0] == pytest.approx(["c", alpha["causes"][0][1]])
        assert alpha["caused_ms"] == verdict["timestamp_ms"]
        assert whole["models"][alpha["model"]]["model"] == verdict["model"]
        assert whole["end_ms"] == verdict["timestamp_ms"]
        assert (whole["cell_seconds"], whole["cells"]) == (60, CELLS)
        assert cells(whole, "alpha")[-1] == 128 + min(1 + int(4 * verdict["severity"]), 127)
        assert [cell > 0 for cell in cells(whole, "alpha")] == [False] * 20 + [True] * 40
        beta = of(whole, "beta")
        assert (beta["status"], beta["score"], beta["severity"]) == ("warming", None, None)
        assert (beta["have"], beta["need"]) == (NEED - 1, NEED)
        assert (beta["causes"], beta["caused_ms"]) == ([], None)
        client.delete("/v1/entities/alpha")
        gone = fleet(client, since=whole["next"])
        assert (gone["removed"], gone["entities"]["entity"], gone["count"]) == (["alpha"], [], 1)
        assert fleet(client, since=whole["next"], span="day")["is_whole"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("since=x", "bad_cursor"),
        ("since=", "bad_cursor"),
        ("since=%F0%9F%98%80", "bad_cursor"),
        ("since=AAAAAA", "bad_cursor"),
        ("since=" + 9_000 * "A", "bad_cursor"),
        ("span=week", "bad_input"),
        ("spam=hour", "bad_input"),
    ],
)
def test_what_cannot_be_read_is_refused(client: TestClient, query: str, code: str) -> None:
    answer = client.get(f"/v1/fleet?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_cursor_of_another_start_gets_everything(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path)
    with TestClient(create_app(settings), base_url=HOME) as client:
        client.post("/v1/points", json={"points": rows("alpha", 5)})
        before = fleet_when(client, lambda found: found["count"] == 1)
    with TestClient(create_app(settings), base_url=HOME) as client:
        after = fleet(client, since=before["next"])
    assert after["is_whole"]
    assert after["next"] != before["next"]
    assert {**of(after, "alpha"), "seen_ms": 0} == {**of(before, "alpha"), "seen_ms": 0}
    assert of(after, "alpha")["seen_ms"] == START_MS + 4 * PERIOD_MS
    assert cells(after, "alpha") == cells(before, "alpha")


def test_incidents_of_another_replica_open_and_end(bundle_folder: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        valkey = stack.enter_context(EmbeddedValkey(tmp_path / "v", durability="everysec"))
        settings = settings_for(bundle_folder, tmp_path, redis_url=valkey.url)
        one, other = (
            stack.enter_context(TestClient(create_app(settings), base_url=HOME)) for _ in range(2)
        )
        points = rows("alpha", 60)
        for point in points[40:42]:
            point["values"][2] += 50.0
        one.post("/v1/points", json={"points": points[:40]})
        other.post("/v1/points", json={"points": rows("beta", 5)})
        start = fleet(other)  # fills the board, and not again for a while
        assert of(start, "alpha")["incident"] is None
        verdict = one.post("/v1/points", json={"points": points[40:41]}).json()["verdicts"][0]
        assert verdict["incident"] is not None
        opened = fleet_when(
            other, lambda found: bool(found["entities"]["entity"]), since=start["next"]
        )
        assert of(opened, "alpha")["incident"] == verdict["incident"]
        one.post("/v1/points", json={"points": points[41:]})
        ended = fleet_when(
            other, lambda found: bool(found["entities"]["entity"]), since=opened["next"]
        )
        while of(ended, "alpha")["incident"] is not None:
            ended = fleet(other)
        assert of(fleet(one), "alpha")["incident"] is None


def test_those_beyond_the_setting_are_counted(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path, max_fleet_entities=2)
    with TestClient(create_app(settings), base_url=HOME) as client:
        points = [rows(name, 1)[0] for name in ("a", "b", "c")]
        client.post("/v1/points", json={"points": points})
        found = fleet_when(client, lambda found: found["count"] == 2)
    assert (found["entities"]["entity"], found["left_off"]) == (["a", "b"], 1)
