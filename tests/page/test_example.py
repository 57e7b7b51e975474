"""A series at hand: watched while it is scored, measured, and decided anew by a slider."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.conftest import Opened, shipped
from tests.system.processes import Service, until

Picture = Callable[[Page, str], None]
ADDRESS = "#/example/simulated-fleet/node-03"
PIXELS = "(canvas) => canvas.toDataURL()"
BUDGET = "False-alarm budget, false incidents per entity and day"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with shipped(tmp_path_factory.mktemp("site")) as service:
        yield service


def watched(page: Page) -> None:
    expect(page.get_by_text("points scored in")).to_be_visible(timeout=60_000)


def measured(page: Page, name: str) -> str:
    return page.locator(f"[data-measure={name}] b").inner_text()


def marks(page: Page) -> int:
    return int(measured(page, "marked").replace(",", ""))


def detected(site: Service, entity: str = "node-03") -> dict[str, Any]:
    """What the service says of the same example in one request."""
    series = httpx2.get(f"{site.url}/v1/examples/simulated-fleet/{entity}", timeout=60).json()
    answer = httpx2.post(
        f"{site.url}/v1/detect",
        params={"bundle": "simulated-fleet", "entity": entity},
        json=series,
        timeout=60,
    )
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def test_a_newcomer_picks_a_series_and_watches_it_being_scored(
    opened: Opened, site: Service, picture: Picture
) -> None:
    page = opened("#/example")
    expect(page.get_by_text("a series that it was not trained on")).to_be_visible()
    chosen = page.get_by_role("link", name="node-03", exact=True)
    expect(chosen).to_be_visible()
    picture(page, "example-list")
    chosen.click()
    expect(page.get_by_role("progressbar", name="Points that are scored")).to_be_visible()
    expect(page.get_by_role("img", name="Score of node-03")).to_be_visible()
    picture(page, "example-growing")
    watched(page)
    answer = detected(site)
    measures = answer["measures"]
    assert marks(page) == answer["anomalies"]
    assert measured(page, "incidents") == str(len(answer["incidents"]))
    assert measured(page, "events_found") == f"{measures['events_found']} of {measures['events']}"
    assert measured(page, "false_incidents") == str(measures["false_incidents"])
    for name in ("precision", "recall", "f1", "composite_f1"):
        share = measures[name]
        assert measured(page, name) == f"{100 * share:.{1 if share < 0.1 else 0}f} %"
    picture(page, "example-scored")


def test_the_slider_moves_marks_and_measures_and_the_address_keeps_it(opened: Opened) -> None:
    page = opened(ADDRESS)
    watched(page)
    before = marks(page)
    slider = page.get_by_label(BUDGET)
    slider.fill("400")
    expect(page.get_by_text("100 false incidents per entity and day")).to_be_visible()
    most = marks(page)
    slider.fill("0")
    least = marks(page)
    assert least < before < most
    slider.press("ArrowRight")
    expect(page.get_by_text("0.0102 false incidents per entity and day")).to_be_visible()
    assert "budget=0.0102" in page.url
    page.get_by_role("button", name="As deployed").click()
    expect(page.locator("[data-measure=marked] b")).to_have_text(str(before))
    assert "budget" not in page.url


def test_every_press_of_a_key_moves_the_slider(opened: Opened) -> None:
    page = opened(f"{ADDRESS}?budget=1")
    slider = page.get_by_label(BUDGET)
    slider.focus()
    start = int(slider.input_value())
    for step in range(1, 31):
        slider.press("ArrowRight")
        expect(slider).to_have_value(str(start + step))


def test_expected_anomalies_mark_their_share(opened: Opened) -> None:
    page = opened(f"{ADDRESS}?percentile=1")
    watched(page)
    scored = page.locator("[data-measure=marked] span").inner_text()
    count = int(scored.split()[2].replace(",", ""))
    expect(page.locator("[data-measure=marked] b")).to_have_text(str(-(-count // 100)))


def test_an_incident_leads_to_its_stretch_and_its_causes(opened: Opened, picture: Picture) -> None:
    page = opened(f"{ADDRESS}?budget=20")
    watched(page)
    page.locator(".found-list button").first.click()
    expect(page.get_by_text("of the blame").first).to_be_visible()
    assert "incident=" in page.url
    shown = page.get_by_role("img", name="Score of node-03").get_attribute("aria-label")
    picture(page, "example-incident")
    page.get_by_role("button", name="Whole series").click()
    whole = page.get_by_role("img", name="Score of node-03").get_attribute("aria-label")
    assert shown != whole
    assert "from=" not in page.url


def test_what_was_done_to_a_series_is_told_with_what_became_of_it(opened: Opened) -> None:
    page = opened(f"{ADDRESS}?percentile=10")
    watched(page)
    known = page.locator(
        "section", has=page.get_by_role("heading", name="What is known to be wrong")
    )
    expect(known.get_by_text("found", exact=True).first).to_be_visible()


def test_scoring_can_be_held_and_ended(opened: Opened) -> None:
    page = opened(ADDRESS)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused at")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Ended after")).to_be_visible()
    page.get_by_role("button", name="Score again").click()
    watched(page)


def test_a_stretch_that_is_not_scored_yet_has_its_axis(opened: Opened) -> None:
    page = opened(f"{ADDRESS}?to=2000")
    expect(page.get_by_role("img", name="Score of node-03")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("Paused at")).to_be_visible()
    page.wait_for_timeout(1_500)  # the piece that was on its way has come
    axis = page.locator(".scored .chart canvas").first
    before = axis.evaluate(PIXELS)
    page.get_by_role("button", name="Whole series").click()
    until(lambda: axis.evaluate(PIXELS) != before, "the axis of the whole series")


def test_what_is_still_being_scored_is_not_called_not_found(opened: Opened) -> None:
    """The first piece of 200 points ends within the first fault of this machine."""
    page = opened("#/example")
    pieces: list[Route] = []

    def first_alone(route: Route) -> None:
        pieces.append(route)
        if len(pieces) == 1:
            route.continue_()

    page.context.route("**/v1/detect?*", first_alone)
    page.get_by_role("link", name="node-07", exact=True).click()
    faults = page.get_by_role("table", name="What was done to the series").get_by_role("row")
    expect(faults.nth(1)).to_contain_text("not found so far")
    expect(faults.nth(2)).to_contain_text("not scored yet")


def test_an_example_that_is_not_there_says_so(opened: Opened) -> None:
    page = opened("#/example/simulated-fleet/nobody")
    expect(page.get_by_role("alert")).to_contain_text("There is no example simulated-fleet/nobody")
    expect(page.get_by_role("link", name="node-01", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 390, "height": 844}}),
    ],
)
def test_it_can_be_read_in_the_dark_and_on_a_phone(
    name: str, more: dict[str, Any], opened: Opened, picture: Picture
) -> None:
    page = opened(f"{ADDRESS}?budget=20", **more)
    watched(page)
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    picture(page, f"example-{name}")
