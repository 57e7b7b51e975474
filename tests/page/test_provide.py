"""A series that a person brings: read in the browser, scored piece by piece, taken home again."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Download, Page, expect
from typer.testing import CliRunner

from service.cli import app
from service.simulator import SimulatedEntity
from service.simulator.files import write_csv, write_npz
from tests.page.conftest import Opened, shipped
from tests.page.fleets import fleet
from tests.system.processes import ROOT, Service

Picture = Callable[[Page, str], None]
MEASURES = ("precision", "recall", "f1", "composite_f1")
LONG = 30_000  # points; a minute and a half of scoring, of which the test waits for a part


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with shipped(tmp_path_factory.mktemp("site")) as service:
        yield service


def machine(points: int = 600, faults: int = 2) -> SimulatedEntity:
    return fleet(entities=3, points=points, faults=faults)[2]


def csv_of(entity: SimulatedEntity, folder: Path) -> Path:
    [path] = write_csv([entity], folder)
    return path


def json_of(entity: SimulatedEntity, folder: Path) -> Path:
    """As people have it: more keys than we read, times in seconds."""
    path = folder / f"{entity.name}.json"
    seconds = (entity.test_timestamps_ms // 1000).tolist()
    graphs = [
        {
            "label": name,
            "unit": "1",
            "data": [
                {"x": x, "y": None if y != y else y, "by": "us"}
                for x, y in zip(seconds, column.tolist(), strict=True)
            ],
        }
        for name, column in zip(entity.dimensions, entity.test.T, strict=True)
    ]
    path.write_text(json.dumps({"dataSetName": entity.name, "graphs": graphs}))
    return path


def provided(opened: Opened, path: Path, *, address: str = "#/provide", **more: Any) -> Page:
    page = opened(address, **more)
    give(page, path)
    return page


def give(page: Page, path: Path) -> None:
    page.locator(".drop input[type=file]").set_input_files(path)


def scored(page: Page) -> None:
    page.get_by_role("button", name="Score ").click()
    expect(page.get_by_text("points scored in")).to_be_visible()


def measured(page: Page, name: str) -> str:
    return page.locator(f"[data-measure={name}] b").inner_text()


def percent(share: float) -> str:
    return f"{100 * share:.{1 if share < 0.1 else 0}f} %"


def detected(site: Service, path: Path, *, accept: str, **parameters: str) -> httpx2.Response:
    """What the service says of the same file in one request."""
    return httpx2.post(
        f"{site.url}/v1/detect",
        params={"bundle": "simulated-fleet", "entity": path.stem, **parameters},
        content=path.read_bytes(),
        headers={"content-type": "text/csv", "accept": accept},
        timeout=60,
    ).raise_for_status()


def downloaded(page: Page, button: str) -> Download:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    return waiting.value


def test_a_csv_is_scored_and_measured_as_the_service_does_it(
    opened: Opened, site: Service, tmp_path: Path, picture: Picture
) -> None:
    path = csv_of(machine(1_000, 4), tmp_path)
    page = provided(opened, path)
    expect(page.get_by_text("All 24 dimensions are columns of the file")).to_be_visible()
    picture(page, "provide-chosen")
    scored(page)
    answer = detected(site, path, accept="application/json").json()
    measures = answer["measures"]
    assert measured(page, "marked") == str(answer["anomalies"])
    assert [measured(page, name) for name in MEASURES] == [
        percent(measures[name]) for name in MEASURES
    ]
    found = f"{measures['events_found']} of {measures['events']}"
    assert measured(page, "events_found") == found
    assert measured(page, "false_incidents") == str(measures["false_incidents"])
    assert measured(page, "incidents") == str(len(answer["incidents"]))
    assert (
        measured(page, "median_delay_points").split()[0] == f"{measures['median_delay_points']:g}"
    )
    page.locator(".found-list button").first.click()
    expect(page.get_by_text("of the blame").first).to_be_visible()
    picture(page, "provide-scored")


DROP = """(text) => {
  const dropped = new DataTransfer();
  dropped.items.add(new File([text], "machine.csv"));
  const event = new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true });
  document.querySelector("h1").dispatchEvent(event);
  return event.defaultPrevented;
}"""


def test_a_file_may_be_dropped_anywhere(opened: Opened, tmp_path: Path) -> None:
    """Beside the place for it a browser would open the file, and the page would be gone."""
    page = opened("#/provide")
    expect(page.get_by_text("Drop a CSV")).to_be_visible()
    assert page.evaluate(DROP, csv_of(machine(), tmp_path).read_text())
    expect(page.get_by_text("All 24 dimensions are columns of the file")).to_be_visible()
    page.goto(page.url.split("#", maxsplit=1)[0] + "#/fleet")
    expect(page.get_by_role("heading", name="No points yet")).to_be_visible()
    assert not page.evaluate(DROP.replace("h1", "body"), "a,b")


def test_the_slider_decides_as_the_service_would(
    opened: Opened, site: Service, tmp_path: Path
) -> None:
    path = csv_of(machine(1_000, 4), tmp_path)
    page = provided(opened, path, address="#/provide?budget=20")
    scored(page)
    expect(page.get_by_text("20 false incidents per entity and day")).to_be_visible()
    answer = detected(site, path, accept="application/json", budget="20").json()
    assert measured(page, "marked") == str(answer["anomalies"])
    assert measured(page, "f1") == percent(answer["measures"]["f1"])
    page.get_by_role("button", name="Expected anomalies").click()
    answer = detected(site, path, accept="application/json", percentile="1").json()
    expect(page.locator("[data-measure=marked] b")).to_have_text(str(answer["anomalies"]))
    assert measured(page, "precision") == percent(answer["measures"]["precision"])
    assert "percentile=1" in page.url


def test_what_is_downloaded_as_csv_is_what_the_service_answers(
    opened: Opened, site: Service, tmp_path: Path
) -> None:
    path = csv_of(machine(), tmp_path)
    page = provided(opened, path)
    scored(page)
    ours = list(csv.DictReader(io.StringIO(downloaded(page, "CSV").path().read_text())))
    theirs = list(csv.DictReader(io.StringIO(detected(site, path, accept="text/csv").text)))
    assert len(ours) == len(theirs) == 600
    assert set(ours[0]) == set(theirs[0])
    for one, other in zip(ours, theirs, strict=True):
        assert set(map(as_cell, one.items())) == set(map(as_cell, other.items()))


def as_cell(named: tuple[str, str]) -> tuple[str, str | float]:
    """Numbers as numbers; those that are float32 are written longer or shorter."""
    name, cell = named
    is_short = name.startswith(("share_", "expected_"))
    try:
        return name, float(np.float32(cell)) if is_short else float(cell)
    except ValueError:
        return name, cell


def test_an_npz_is_scored_as_the_command_scores_it(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [path] = write_npz([machine()], tmp_path)
    page = provided(opened, path)
    expect(page.get_by_label("array")).to_have_value("test")
    scored(page)
    ours = list(csv.DictReader(io.StringIO(downloaded(page, "CSV").path().read_text())))
    output = tmp_path / "scored.npz"
    command = ["score", "--bundle", str(ROOT / "exported_models" / "simulated-fleet")]
    command += ["--input", str(path), "--output", str(output), "--json"]
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
    with np.load(output) as arrays:
        theirs = dict(arrays)
    for name in ("score", "severity", "p_value"):
        column = np.array([float(row[name] or "nan") for row in ours])
        assert np.array_equal(column, theirs[name], equal_nan=True), name
    assert [row["status"] for row in ours] == theirs["status"].tolist()
    assert [row["is_anomaly"] == "1" for row in ours] == theirs["is_anomaly"].tolist()


def test_time_series_json_comes_back_in_its_own_form_with_marks(
    opened: Opened, tmp_path: Path
) -> None:
    path = json_of(machine(), tmp_path)
    page = provided(opened, path, address="#/provide?percentile=5")
    expect(page.get_by_text("no labels.")).to_be_visible()
    scored(page)
    expect(page.locator("[data-measure=marked] b")).to_have_text("30")
    origin = json.loads(path.read_text())
    marked = json.loads(downloaded(page, "JSON").path().read_text())
    assert list(marked) == list(origin)
    for graph, before in zip(marked["graphs"], origin["graphs"], strict=True):
        assert graph["unit"] == "1"
        assert sum(point.get("outlier", False) for point in graph["data"]) == 30
        for point, own in zip(graph["data"], before["data"], strict=True):
            assert {name: point[name] for name in own} == own
            assert ("outlier" in point) == (point["score"] is not None and point["score"] > 1)


HEADER = "timestamp,cpu_user,cpu_system,label\n"
BROKEN = {
    "a number that is none": (
        f"{HEADER}1,0.5,0.25,0\n2,0.5,abc,0\n",
        "row 3, column cpu_system: expected a number, came 'abc'",
    ),
    "a row that is too short": (
        f"{HEADER}1,0.5,0.25,0\n\n2,0.5,0\n",
        "row 4: expected 4 cells as in the header, came 3",
    ),
    "a cell of several lines before": (
        'time,"cpu_user\n of all",cpu_system\n1,1,1\n2,1,1,1\n',
        "row 4: expected 3 cells as in the header, came 4",
    ),
    "a quote that is not closed": (
        'time,cpu_user\n1,"2\n3,4\n',
        "row 2: expected a closing quote, came the end of the file",
    ),
    "a label of another kind": (
        f"{HEADER}1,1,1,yes\n",
        "row 2, column label: expected 0 or 1, came 'yes'",
    ),
    "a clock that goes back": (
        f"{HEADER}5,1,1,0\n4,1,1,0\n",
        "row 3, column timestamp: expected a time after 1970-01-01T00:00:05.000Z",
    ),
    "a time that is none": (f"{HEADER}now,1,1,0\n", "row 2, column timestamp: expected a time"),
    "infinity": (f"{HEADER}1,inf,1,0\n", "row 2, column cpu_user: expected a number"),
    "a value beyond all": (f"{HEADER}1,1e31,1,0\n", "expected a value within 1e30, came '1e31'"),
    "nothing at all": ("", "row 1: expected a header line, came an empty file"),
    "a header alone": (HEADER, "row 2: expected at least one row below the header"),
    "a name twice": ("a,b,a\n1,2,3\n", "row 1: expected different names, came a more than once"),
}


def refused(page: Page, path: Path, expected: str) -> None:
    give(page, path)
    expect(page.get_by_role("alert").filter(has_text=expected).first).to_be_visible()


def test_a_csv_that_is_broken_is_told_of_by_row_and_column(
    opened: Opened, tmp_path: Path, picture: Picture
) -> None:
    page = opened("#/provide")
    path = tmp_path / "broken.csv"
    for content, expected in BROKEN.values():
        path.write_text(content)
        refused(page, path, expected)
    path.write_text(BROKEN["a number that is none"][0])
    refused(page, path, "came 'abc'")
    picture(page, "provide-broken")


def test_columns_nobody_uses_may_hold_anything_and_names_are_matched_by_hand(
    opened: Opened, tmp_path: Path, picture: Picture
) -> None:
    path = csv_of(machine(), tmp_path)
    header, *rows = path.read_text().splitlines()
    renamed = header.replace("cpu_user", "processor").replace("load_1,", "Load 1,")
    rows = [f"{row},web" for row in rows]
    path.write_text("\r\n".join([f"{renamed},host", *rows]) + "\r\n")
    page = provided(opened, path)
    expect(page.get_by_role("alert")).to_contain_text(
        "1 of them has no column of this file: cpu_user"
    )
    expect(page.get_by_text("ignored: processor, host")).to_be_visible()
    expect(page.get_by_role("button", name="Score ")).to_be_disabled()
    picture(page, "provide-unmatched")
    page.get_by_label("Column of cpu_user").select_option("processor")
    scored(page)
    page.get_by_label("Column of cpu_user").select_option("host")
    alert = page.get_by_role("alert").filter(has_text="600 values")
    expect(alert).to_contain_text("row 2, column host: expected a number, came 'web'")


def test_a_single_point_is_a_series_too(opened: Opened, tmp_path: Path) -> None:
    entity = machine()
    path = tmp_path / "one.csv"
    values = ",".join(map(str, entity.test[0].tolist()))
    path.write_text(f"time,{','.join(entity.dimensions)}\n2026-01-01T00:00:00Z,{values}\n")
    page = provided(opened, path)
    page.get_by_role("button", name="Score 1 point").click()
    expect(page.get_by_text("1 point scored in")).to_be_visible()
    region = page.get_by_role("region", name="Score over time")
    expect(region.get_by_text("to \u2013")).to_be_hidden()
    expect(region.get_by_role("button", name="Whole series")).to_be_disabled()


def test_a_file_that_fits_no_bundle_says_what_is_missing(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    page = provided(opened, path)
    expect(page.get_by_role("alert")).to_contain_text("have no column of this file: cpu_")


def test_bundles_that_could_not_be_listed_are_asked_for_with_the_next_file(
    opened: Opened, tmp_path: Path
) -> None:
    path = csv_of(machine(), tmp_path)
    page = opened("#/provide", is_away=True)
    page.route("**/v1/models", lambda route: route.abort())
    give(page, path)
    expect(page.get_by_role("alert")).to_contain_text("The list of bundles cannot be read")
    page.unroute_all()
    give(page, path)
    expect(page.get_by_role("button", name="Score 600 points")).to_be_visible()


def test_an_npz_that_is_none_is_refused(opened: Opened, tmp_path: Path) -> None:
    page = opened("#/provide")
    path = tmp_path / "broken.npz"
    path.write_bytes(b"not a zip")
    refused(page, path, "came a file without its table of contents")
    np.savez(path, name=np.array(["a"]))
    refused(page, path, "expected an array of numbers (time, dimension)")
    np.savez(path, test=np.zeros((3, 2)), label=np.zeros(2))
    refused(page, path, "array 'label': expected 3 values, one for each row, came 2")
    np.savez(path, test=np.array([[1.0, np.inf]]), dimensions=np.array(["cpu_user", "load_1"]))
    refused(page, path, "row 0 (from 0), column load_1: expected a finite number")
    [path] = write_npz([machine()], tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(page, path, "cannot be read")


NO_SERIES = {
    "{": "expected time-series JSON",
    "[]": "expected time-series JSON",
    '{"graphs": [{"label": "a", "data": []}]}': "expected at least one point in data",
    '{"graphs": [{"label": "a", "data": [{"x": 0, "y": "1"}]}]}': "graph 'a', point 0 (from 0)",
}


def test_json_that_is_no_series_is_refused(opened: Opened, tmp_path: Path) -> None:
    page = opened("#/provide")
    for document, expected in NO_SERIES.items():
        path = tmp_path / "broken.json"
        path.write_text(document)
        refused(page, path, expected)


def zipped(bundle: str, folder: Path) -> Path:
    """The version in force, as people pack a folder."""
    home = ROOT / "exported_models" / bundle
    version = (home / "current").read_text().strip()
    return Path(shutil.make_archive(str(folder / bundle), "zip", home, version))


def test_a_bundle_that_is_brought_scores_this_series_alone(
    opened: Opened, site: Service, tmp_path: Path
) -> None:
    path = csv_of(machine(), tmp_path)
    page = provided(opened, path)
    page.get_by_label("Bring a bundle").set_input_files(zipped("simulated-fleet", tmp_path))
    expect(page.get_by_label("Bundle", exact=True)).to_have_value("uploaded")
    scored(page)
    answer = detected(site, path, accept="application/json").json()
    assert measured(page, "marked") == str(answer["anomalies"])
    ours = list(csv.DictReader(io.StringIO(downloaded(page, "CSV").path().read_text())))
    theirs = [row["score"] for row in answer["rows"]]
    assert [float(row["score"]) if row["score"] else None for row in ours] == theirs


def test_a_zip_that_is_no_bundle_is_refused(opened: Opened, tmp_path: Path) -> None:
    page = provided(opened, csv_of(machine(), tmp_path))
    other = shutil.make_archive(str(tmp_path / "other"), "zip", ROOT / "docs", "pictures")
    page.get_by_label("Bring a bundle").set_input_files(other)
    expect(page.get_by_role("alert")).to_contain_text("with one bundle.json, came 0")


def test_a_long_series_is_scored_with_progress_while_the_page_answers(
    opened: Opened, tmp_path: Path, picture: Picture
) -> None:
    short = machine(600, 3)
    path = tmp_path / "long.csv"
    times = LONG // 600
    rows = np.tile(short.test, (times, 1))
    lines = [",".join("" if v != v else f"{v:.6g}" for v in row) for row in rows.tolist()]
    path.write_text("\n".join([",".join(short.dimensions), *lines]) + "\n")
    page = provided(opened, path)
    page.get_by_role("button", name=f"Score {LONG:,} points").click()
    progress = page.get_by_role("progressbar", name="Points that are scored")
    expect(progress).to_have_attribute("max", str(LONG))
    page.get_by_label("False-alarm budget, false incidents per entity and day").fill("300")
    expect(page.get_by_text("10 false incidents per entity and day")).to_be_visible()
    page.get_by_role("button", name="Expected anomalies").click()
    expect(page.get_by_text("1 % of the points of this series")).to_be_visible()
    expect(progress).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused at")).to_be_visible()
    picture(page, "provide-long")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Ended after")).to_be_visible()
    assert int(measured(page, "marked").replace(",", "")) > 0


def test_a_file_can_be_chosen_by_keyboard_and_the_view_says_what_it_is_for(
    opened: Opened, picture: Picture
) -> None:
    page = opened("#/provide")
    expect(page.get_by_text("Nothing is kept by the service")).to_be_visible()
    chooser = page.locator(".drop input[type=file]")
    chooser.focus()
    expect(chooser).to_be_focused()
    with page.expect_file_chooser():
        chooser.press("Enter")
    picture(page, "provide-empty")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 390, "height": 844}}),
    ],
)
def test_it_can_be_read_in_the_dark_and_on_a_phone(
    name: str, more: dict[str, Any], opened: Opened, tmp_path: Path, picture: Picture
) -> None:
    page = provided(opened, csv_of(machine(1_000, 4), tmp_path), **more)
    scored(page)
    is_wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(is_wide)
    page.get_by_role("button", name="Whole series").scroll_into_view_if_needed()
    picture(page, f"provide-{name}")
