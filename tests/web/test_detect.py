"""The batch face, through the running application."""

import csv
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings as hypothesis_settings, strategies as st
from pydantic import BaseModel
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.cli import app as cli
from service.scoring.fold import Fold
from service.scoring.offline import Scored, score_series
from service.scoring.series import Series
from service.web import detect_columns, detect_messages, detect_schemas
from service.web.app import create_app
from tests.builders import DIMENSIONS, NEED, series_like
from tests.web.serving import HOME, raw_exchange, serving, settings_for
from trainer.measures import decisions

JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}
PACKED = {"content-type": "application/msgpack"}
COUNT = 120
PAIRS: list[tuple[type[msgspec.Struct], type[BaseModel]]] = [
    (detect_messages.DetectedRow, detect_schemas.DetectedRow),
    (detect_messages.DetectedIncident, detect_schemas.DetectedIncident),
    (detect_messages.Blame, detect_schemas.Blame),
    (detect_messages.Measures, detect_schemas.Measures),
    (detect_messages.Summary, detect_schemas.Summary),
]


@pytest.fixture(scope="module")
def client(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with room for a test's series and hardly more."""
    settings = settings_for(
        bundle_folder,
        tmp_path_factory.mktemp("data"),
        max_detect_bytes=200_000,
        max_detect_points=400,
    )
    with TestClient(create_app(settings), base_url=HOME) as client:
        yield client


def faulty(count: int = COUNT, *, entity: str = "alpha") -> Series:
    """Two events, a spike that is no event, and missing values."""
    series = series_like(entity, count, seed=3)
    values = series.values.copy()
    label = np.zeros(count, bool)
    values[50:60, 1] += 8.0
    label[48:62] = True
    values[100:103, 2] -= 9.0
    label[100:106] = True
    values[80:81, 0] += 12.0
    values[30:34, 3] = np.nan
    return replace(series, values=values, label=label)


def as_json(series: Series, **more: object) -> bytes:
    label = None if series.label is None else series.label.tolist()
    document = {
        "timestamp_ms": series.timestamps_ms.tolist(),
        "dimensions": series.dimensions,
        "values": [[None if v != v else v for v in row] for row in series.values.tolist()],
        **({} if label is None else {"label": label}),
        **more,
    }
    return json.dumps(document).encode()


def as_csv(series: Series, order: str = "dbca") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    names = ["timestamp_ms", *order, *([] if series.label is None else ["label"])]
    writer.writerow(names)
    places = [series.dimensions.index(name) for name in order]
    for row, values in enumerate(series.values.tolist()):
        cells = ["" if values[i] != values[i] else repr(values[i]) for i in places]
        label = [] if series.label is None else [int(series.label[row])]
        writer.writerow([int(series.timestamps_ms[row]), *cells, *label])
    return text.getvalue().encode()


def post(
    client: TestClient, content: bytes, headers: dict[str, str] = JSON, /, **parameters: str
) -> Any:
    return client.post("/v1/detect", content=content, headers=headers, params=parameters)


def found(client: TestClient, series: Series, **parameters: str) -> dict[str, Any]:
    answer = post(client, as_json(series), **parameters)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = json.loads(answer.content, parse_constant=pytest.fail)
    return document


def column(document: dict[str, Any], name: str) -> list[Any]:
    return [row[name] for row in document["rows"]]


def nulled(numbers: Any) -> list[float | None]:
    return [None if number != number else number for number in numbers.tolist()]


def scored_by(fold: Fold, series: Series) -> Scored:
    [scored] = score_series(fold, [series])
    return scored


@pytest.mark.parametrize("entity", ["alpha", "nobody"])
def test_rows_are_what_the_fold_says_of_the_series(
    client: TestClient, fold: Fold, entity: str
) -> None:
    series = faulty(entity=entity)
    document, scored = found(client, series, entity=entity), scored_by(fold, series)
    assert column(document, "timestamp_ms") == series.timestamps_ms.tolist()
    for name in ("score", "severity", "p_value"):
        assert column(document, name) == nulled(getattr(scored, name))
    assert column(document, "is_anomaly") == scored.is_anomaly.tolist()
    assert column(document, "status") == scored.status.tolist()
    status = "scored" if entity == "alpha" else "calibrating"
    assert set(column(document, "status")[NEED:]) == {status}
    assert (document["entity"], document["budget"]) == (entity, fold.budget)
    assert document["anomalies"] == scored.is_anomaly.sum() > 0


def test_a_row_is_an_anomaly_when_its_p_value_is_below_the_threshold(client: TestClient) -> None:
    for parameters in ({"budget": "40"}, {"percentile": "2"}):
        document = found(client, faulty(), entity="alpha", **parameters)
        for row in document["rows"][NEED:]:
            assert row["is_anomaly"] == (row["p_value"] < document["threshold_p"])
            assert row["is_anomaly"] == (row["score"] > 1)


@pytest.mark.parametrize("budget", [None, "0.5", "50"])
def test_the_command_line_finds_the_same_in_the_same_file(
    client: TestClient, bundle_folder: Path, tmp_path: Path, budget: str | None
) -> None:
    file, output = tmp_path / "alpha.csv", tmp_path / "out.npz"
    file.write_bytes(as_csv(faulty()))
    chosen = [] if budget is None else ["--budget", budget]
    paths = ["--bundle", str(bundle_folder / "tiny"), "--input", str(file), "--output", str(output)]
    run = CliRunner().invoke(cli, ["score", *paths, *chosen, "--json"])
    assert run.exit_code == 0, run.output
    summary = json.loads(run.stdout)
    parameters = {} if budget is None else {"budget": budget}
    answer = post(client, file.read_bytes(), CSV, entity="alpha", contributions="all", **parameters)
    document = answer.json()
    with np.load(output) as arrays:
        for name in ("score", "severity", "p_value"):
            assert column(document, name) == nulled(arrays[name])
        for name in ("is_anomaly", "status"):
            assert column(document, name) == arrays[name].tolist()
        for row in range(NEED, COUNT):
            causes = {one["dimension"]: one for one in document["rows"][row]["causes"]}
            expected = [causes[name]["expected"] for name in DIMENSIONS]
            assert expected == arrays["expected"][row].tolist()
    assert [summary[name] for name in ("points", "scored", "anomalies")] == [
        document[name] for name in ("points", "scored", "anomalies")
    ]
    for ours, theirs in zip(document["incidents"], summary["incidents"], strict=True):
        assert all(ours[name] == theirs[name] for name in ("row", "opened_ms", "points"))
        assert ours["peak_score"] == theirs["peak_score"]
        assert (ours["ending"] is not None) == theirs["is_resolved"]
        assert [one["dimension"] for one in ours["causes"]][:3] == theirs["causes"]


def test_csv_and_json_bodies_are_one_thing(client: TestClient) -> None:
    series = faulty()
    answers = [
        post(client, as_json(series)),
        post(client, as_csv(series), CSV),
        post(client, as_csv(series, order="abcd"), {"content-type": "Text/CSV; charset=utf-8"}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].content == answers[1].content == answers[2].content


def test_names_and_times_may_be_left_out_and_other_columns_are_ignored(
    client: TestClient,
) -> None:
    plain = {"values": faulty(20).values.tolist()}
    plain["values"] = [[None if v != v else v for v in row] for row in plain["values"]]
    bare = post(client, json.dumps(plain).encode())
    assert bare.status_code == 200
    assert column(bare.json(), "timestamp_ms")[:3] == [0, 60_000, 120_000]
    more = {
        "dimensions": ["zz", *DIMENSIONS],
        "values": [[None, *row] for row in plain["values"]],
    }
    assert post(client, json.dumps(more).encode()).content == bare.content


def test_the_answer_as_csv_holds_the_rows_of_the_answer_as_json(client: TestClient) -> None:
    series = faulty()
    document = found(client, series)
    answer = post(client, as_json(series), {**JSON, "accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == COUNT
    for told, row in zip(rows, document["rows"], strict=True):
        assert (told["status"], int(told["timestamp_ms"])) == (row["status"], row["timestamp_ms"])
        assert told["is_anomaly"] == str(int(row["is_anomaly"]))
        for name in ("score", "severity", "p_value"):
            assert (float(told[name]) if told[name] else None) == row[name]
        causes = [told[f"cause_{rank}"] for rank in range(1, 5)]
        assert [name for name in causes if name] == [one["dimension"] for one in row["causes"]]
        for rank, one in enumerate(row["causes"], start=1):
            for name in ("share", "value", "expected", "band"):
                cell = told[f"{name}_{rank}"]
                assert (float(cell) if cell else None) == one[name]


def test_contributions_are_of_all_dimensions_the_top_or_of_anomalies_alone(
    client: TestClient,
) -> None:
    series = faulty()
    top, anomalies, every = (
        found(client, series, entity="alpha", contributions=name)["rows"]
        for name in ("top", "anomalies", "all")
    )
    for row in range(NEED, COUNT):
        causes = every[row]["causes"]
        assert {one["dimension"] for one in causes} == set(DIMENSIONS)
        assert sum(one["share"] for one in causes) == pytest.approx(1.0) or not top[row]["causes"]
        assert top[row]["causes"] == [one for one in causes if one["share"] > 0]
        assert anomalies[row]["causes"] == (top[row]["causes"] if top[row]["is_anomaly"] else [])
    assert top[50]["causes"][0]["dimension"] == "b"
    assert top[50]["causes"][0]["value"] == series.values[50, 1]


@pytest.mark.parametrize("parameters", [{}, {"budget": "100"}, {"percentile": "5"}])
def test_labels_are_measured_as_the_trainer_does(
    client: TestClient, parameters: dict[str, str]
) -> None:
    series = faulty()
    assert series.label is not None
    document = found(client, series, entity="alpha", **parameters)
    flags, label = np.array(column(document, "is_anomaly")), series.label
    measures = document["measures"]
    assert measures["composite_f1"] == decisions.composite_f1(label, flags)
    assert measures["events"] == 2
    assert measures["events_found"] == decisions.event_recall(label, flags) * 2
    assert measures["false_incidents"] == decisions.false_episodes(label, flags) > 0
    assert measures["median_delay_points"] == decisions.median_delay(label, flags)
    hits = int((flags & label).sum())
    precision, recall = hits / flags.sum(), hits / label.sum()
    assert (measures["precision"], measures["recall"]) == (precision, recall)
    assert measures["f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def test_without_labels_there_are_no_measures_and_without_events_they_are_null(
    client: TestClient,
) -> None:
    series = faulty()
    assert found(client, replace(series, label=None))["measures"] is None
    measures = found(client, replace(series, label=np.zeros(COUNT, bool)))["measures"]
    assert (measures["precision"], measures["f1"], measures["events"]) == (None, None, 0)


@pytest.mark.parametrize("percentile", ["0.01", "1", "2.5", "10", "50"])
def test_a_percentile_marks_that_share_of_the_points_with_the_smallest_p_values(
    client: TestClient, percentile: str
) -> None:
    document = found(client, faulty(), entity="alpha", percentile=percentile)
    p_values = [row["p_value"] for row in document["rows"] if row["p_value"] is not None]
    marked = [row["p_value"] for row in document["rows"] if row["is_anomaly"]]
    count = int(np.ceil(float(percentile) / 100 * len(p_values)))
    assert sorted(marked) == sorted(p_values)[:count]
    assert (document["percentile"], document["budget"]) == (float(percentile), None)
    rows = [one["row"] for one in document["incidents"]]
    assert all(document["rows"][row]["is_anomaly"] for row in rows)
    assert sum(one["anomalies"] for one in document["incidents"]) <= count


def test_a_percentile_that_marks_what_the_budget_marks_opens_the_same_incidents(
    client: TestClient,
) -> None:
    series = faulty()
    by_budget = found(client, series, entity="alpha")
    share = 100 * by_budget["anomalies"] / by_budget["scored"]
    by_share = found(client, series, entity="alpha", percentile=repr(share))
    assert column(by_share, "is_anomaly") == column(by_budget, "is_anomaly")
    names = ("row", "opened_ms", "ended_ms", "ending", "causes")
    for ours, theirs in zip(by_share["incidents"], by_budget["incidents"], strict=True):
        assert [ours[name] for name in names] == [theirs[name] for name in names]


def test_a_series_that_is_all_warm_up_gets_no_scores(client: TestClient) -> None:
    for parameters in ({}, {"percentile": "10"}):
        document = found(client, faulty(NEED - 1), **parameters)
        assert (document["scored"], document["anomalies"], document["incidents"]) == (0, 0, [])
        assert column(document, "score") == [None] * (NEED - 1)


def test_a_bundle_is_chosen_by_name_or_by_name_and_version(client: TestClient, fold: Fold) -> None:
    body = as_json(faulty(20))
    answers = [post(client, body, bundle=name).content for name in ("tiny", fold.bundle.title)]
    assert answers[0] == answers[1] == post(client, body).content
    for name in ("huge", "tiny/0f3c9a1b2d4e", "", "..", "/", "../tiny", "tiny/../tiny", "\x00"):
        answer = post(client, body, bundle=name)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_bundle"), name


@pytest.mark.parametrize(
    "parameters",
    [
        *({"budget": text} for text in ("0", "-1", "nan", "inf", "", "x", "9" * 400)),
        *({"percentile": text} for text in ("0", "-1", "nan", "50.1", "1e400", "")),
        {"budget": "1", "percentile": "1"},
        {"contributions": "some"},
        {"entity": "a\nb"},
        {"entity": ""},
        {"sensitivity": "99"},
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused(
    client: TestClient, parameters: dict[str, str]
) -> None:
    answer = post(client, as_json(faulty(20)), **parameters)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_input")


HEADER = b"timestamp_ms,a,b,c,d\n"
BAD_CSV = {
    "a word": (HEADER + b"1000,1,2,<b>,4\n", ("row 2", "column c")),
    "infinity": (HEADER + b"1000,1,2,3,4\n\n2000,1,2,inf,4\n", ("row 4", "column c")),
    "beyond float32": (HEADER + b"1000,1,2,3,4\n2000,1,2,3,1e31\n", ("point 1", "column d")),
    "a cell too few": (HEADER + b"1000,1,2,3\n", ("row 2", "expected 5 cells")),
    "time goes back": (HEADER + b"2000,1,2,3,4\n1000,1,2,3,4\n", ("row 3", "timestamp")),
    "no time": (HEADER + b"<b>,1,2,3,4\n", ("row 2", "column timestamp_ms")),
    "bad label": (b"a,b,c,d,label\n1,2,3,4,<b>\n", ("row 2", "column label")),
    "no dimension c": (b"a,b,<b>,d\n1,2,3,4\n", ("c",)),
    "a name twice": (b"a,b,c,d,<b>,<b>\n1,2,3,4,5,6\n", ("row 1", "different names")),
    "no rows": (HEADER, ("at least one row",)),
    "empty": (b"", ("dimensions",)),
    "no end of a quote": (HEADER + b'1000,"1,2,3,4\n', ("CSV",)),
    "not UTF-8": (HEADER + b"1000,\xff,2,3,4\n", ("UTF-8",)),
}


@pytest.mark.parametrize("name", BAD_CSV)
def test_a_bad_csv_body_is_explained_by_row_and_column(client: TestClient, name: str) -> None:
    content, words = BAD_CSV[name]
    answer = post(client, content, CSV)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_series")
    assert all(word in answer.json()["detail"] for word in words), answer.text
    assert "<b>" not in answer.text


def columns(**changed: object) -> bytes:
    return json.dumps({"timestamp_ms": [1, 2], "values": [[1, 2, 3, 4]] * 2, **changed}).encode()


BAD_JSON = {
    "a word": (columns(values=[[1, 2, 3, 4], [1, 2, "<b>", 4]]), 400, "$.values[1][2]"),
    "NaN": (columns(values=[[1, float("nan"), 3, 4]] * 2), 400, "$"),
    "beyond float32": (columns(values=[[1, 2, 3, 4], [1, 2, 3, 1e31]]), 422, "point 1"),
    "a value too few": (columns(values=[[1, 2, 3, 4], [1, 2, 3]]), 422, "$.values[1]"),
    "no array": (columns(values=[[1, 2, 3, 4], 7]), 400, "$.values[1]"),
    "no rows": (columns(values=[]), 400, "at least one row"),
    "two lengths": (columns(timestamp_ms=[1]), 400, "timestamp_ms"),
    "labels of another length": (columns(label=[1]), 400, "label"),
    "bad label": (columns(label=[0, 2]), 422, "$.label[1]"),
    "label is text": (columns(label=[0, "1"]), 400, "$.label[1]"),
    "time goes back": (columns(timestamp_ms=[2, 1]), 422, "$.timestamp_ms[1]"),
    "negative time": (columns(timestamp_ms=[-1, 1]), 422, "$.timestamp_ms[0]"),
    "endless time": (columns(timestamp_ms=[1, 10**300]), 422, "$.timestamp_ms[1]"),
    "a dimension twice": (columns(dimensions=["a", "a", "c", "d"]), 400, "distinct"),
    "no dimension d": (columns(dimensions=["a", "b", "c", "<b>"]), 422, "d"),
    "unknown field": (columns(**{"<b>": 1}), 400, "unknown field"),
    "deep": (b'{"values":' + b"[" * 90_000, 400, ""),
    "empty": (b"", 400, "$"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_a_bad_json_body_is_explained_by_its_path(client: TestClient, name: str) -> None:
    content, status, words = BAD_JSON[name]
    answer = post(client, content)
    assert answer.status_code == status, answer.text
    assert answer.json()["code"] == ("bad_body" if status == 400 else "bad_series")
    assert words in answer.json()["detail"]
    assert "<b>" not in answer.text


def test_bodies_over_the_limits_are_refused(client: TestClient) -> None:
    too_long = HEADER + b"".join(b"%d,1,2,3,4\n" % (1_000 * i) for i in range(1, 402))
    too_many = as_json(faulty(401))
    for content, headers in ((b" " * 200_001, JSON), (too_long, CSV), (too_many, JSON)):
        answer = post(client, content, headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    for content_type in ("text/plain", "", "application/x-ndjson"):
        answer = post(client, b"{}", {"content-type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")


def test_no_key_no_detection(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path, api_keys=["a-key-of-length-16"])
    with TestClient(create_app(settings), base_url=HOME) as client:
        assert post(client, as_json(faulty(5))).status_code == 401
        key = {"authorization": "Bearer a-key-of-length-16"}
        assert post(client, as_json(faulty(5)), {**JSON, **key}).status_code == 200


@pytest.mark.slow
def test_one_more_than_fit_is_told_to_come_again_and_points_pass_all_the_same(
    bundle_folder: Path, tmp_path: Path
) -> None:
    settings = settings_for(bundle_folder, tmp_path, max_detect_requests=1)
    long = as_json(series_like("alpha", 2_000))
    answers = []
    with TestClient(create_app(settings), base_url=HOME) as client:
        thread = threading.Thread(target=lambda: answers.append(post(client, long)))
        thread.start()
        time.sleep(0.5)  # for the long one to begin
        refused = post(client, as_json(faulty(5)))
        assert refused.status_code == 503
        assert refused.json()["code"] == "overloaded"
        assert refused.headers["retry-after"] == "1"
        point = {"entity": "live", "timestamp_ms": 1, "values": [1, 2, 3, 4]}
        assert client.post("/v1/points", json={"points": [point]}).status_code == 200
        assert thread.is_alive()
        thread.join()
        assert answers[0].status_code == 200
        assert post(client, as_json(faulty(5))).status_code == 200


@pytest.mark.slow
def test_a_client_that_goes_frees_its_place(bundle_folder: Path, tmp_path: Path) -> None:
    settings = settings_for(bundle_folder, tmp_path)
    body = as_json(series_like("alpha", 20_000))
    with serving(settings) as port:
        begin_and_leave(port, body)
        start = time.monotonic()
        while (answer := exchange(port, as_json(faulty(5))))[9:12] == b"503":
            assert time.monotonic() < start + 5
            time.sleep(0.02)
        assert answer[9:12] == b"200"


def request(port: int, body: bytes) -> bytes:
    head = (
        f"POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def exchange(port: int, body: bytes) -> bytes:
    return raw_exchange(port, request(port, body))


def begin_and_leave(port: int, body: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request(port, body))
        time.sleep(0.5)


TOKENS = [
    *(b"NaN", b"1e999", b"-1", b"true", b"null", b'"', b"\\ud800", b"\x00", b"\xff", b"\n", b"\r"),
    *(b"{", b"}", b"[", b"]", b",", b":", b";", b"\t", b"1e31", b"1e308", b"9" * 400, b"label"),
]
VALID = [
    *(as_json(faulty(8)), as_csv(faulty(8)), columns(label=[0, True]), HEADER + b"1,1,2,3,4\n"),
    columns(state="x"),
    msgspec.msgpack.encode({"values": bytes(64), "timestamp_ms": [1, 2], "state": "x"}),
    msgspec.msgpack.encode({"csv": HEADER + b"1,1,2,3,4\n", "label": bytes(1)}),
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


@hypothesis_settings(max_examples=150, deadline=None, derandomize=True)
@given(
    content=st.one_of(mutated(), st.binary(max_size=200), st.sampled_from(VALID)),
    headers=st.sampled_from([JSON, CSV, {**CSV, "accept": "text/csv"}, PACKED]),
    name=st.sampled_from(["bundle", "entity", "budget", "percentile", "contributions", "state"]),
    text=st.sampled_from(["tiny", "alpha", "1", "all", "return"]) | st.text(max_size=8),
)
@example(content=b"[" * 90_000, headers=JSON, name="bundle", text="tiny")
def test_no_body_makes_us_fail(
    client: TestClient, content: bytes, headers: dict[str, str], name: str, text: str
) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
    answer = client.post(f"/v1/detect?{name}={quoted}", content=content, headers=headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"


@hypothesis_settings(max_examples=40, deadline=None, derandomize=True)
@given(
    values=st.lists(
        st.lists(st.floats(-1e30, 1e30) | st.none(), min_size=4, max_size=4),
        min_size=1,
        max_size=12,
    ),
    percentile=st.sampled_from([{}, {"percentile": "20"}]),
)
def test_any_values_within_the_limits_get_an_answer(
    client: TestClient, values: list[list[float | None]], percentile: dict[str, str]
) -> None:
    answer = post(client, json.dumps({"values": values}).encode(), **percentile)
    assert answer.status_code == 200, answer.text
    detect_schemas.Detected.model_validate_json(answer.content)


@pytest.mark.parametrize(("struct", "model"), PAIRS, ids=lambda one: one.__name__)
def test_what_is_documented_is_what_is_on_the_wire(
    struct: type[msgspec.Struct], model: type[BaseModel]
) -> None:
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(struct)}
    assert {name: one.is_required() for name, one in model.model_fields.items()} == fields


def test_the_bodies_documented_are_those_that_are_read() -> None:
    for struct, model in (
        (detect_columns.Columns, detect_schemas.SeriesColumns),
        (detect_columns.Packed, detect_schemas.PackedSeries),
    ):
        fields = {field.encode_name: field.required for field in msgspec.structs.fields(struct)}
        assert {name: one.is_required() for name, one in model.model_fields.items()} == fields


def test_the_document_describes_the_route_and_its_example_is_read(
    client: TestClient,
) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/detect"]["post"]
    statuses = {"200", "400", "401", "404", "413", "415", "422", "503"}
    assert set(operation["responses"]) == statuses
    assert {"SeriesColumns", "Detected", "DetectedRow"} <= set(document["components"]["schemas"])
    content = operation["requestBody"]["content"]
    answer = post(client, json.dumps(content["application/json"]["example"]).encode())
    assert answer.json()["code"] == "bad_series"  # these dimensions are no bundle's
    for model in (found(client, faulty()), found(client, faulty(), percentile="3")):
        detect_schemas.Detected.model_validate(model)
