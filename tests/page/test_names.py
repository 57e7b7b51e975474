"""Names and addresses as nobody hopes for them: markup, slashes, steps back, a bare percent."""

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.conftest import Opened
from tests.page.fleets import fleet, post, rows
from tests.page.test_fleet import PHONE
from tests.system.processes import ROOT, Service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
MARKUP = '<img src=x onerror="document.title=1">'
BACK = "../default"
SLOW = "a point every five minutes"
NAMES = [MARKUP, "a/b//c", "it's 100%", "50%25 off", "a?b#c", "ünï-日本", "x" * 200, BACK]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One entity of every name; that of markup has become odd."""
    settings = {"default_bundle": "simulated-fleet", "durability": "everysec"}
    with Service(ROOT / "exported_models", tmp_path_factory.mktemp("site"), **settings) as service:
        machine = fleet(entities=1)[0]
        points = rows(machine, 0, 120)
        for name in NAMES:
            post(service, [point | {"entity": name} for point in points])
        odd = rows(machine, 120, 130)
        for point in odd:
            assert isinstance(point["values"], list)
            point["values"] = [10 * value for value in point["values"]]
        post(service, [point | {"entity": MARKUP} for point in odd])
        last_ms = int(str(odd[-1]["timestamp_ms"]))
        slow = [
            point | {"entity": SLOW, "timestamp_ms": last_ms - 300_000 * (11 - at)}
            for at, point in enumerate(points[:12])
        ]
        post(service, slow)
        yield service


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_every_name_leads_to_its_entity(opened: Opened) -> None:
    page = opened("#/fleet")
    for name in NAMES:
        page.get_by_role("table").get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.get_by_text("points to warm up")).to_be_visible()
        expect(page).to_have_title(f"{name} · Gaugewatch")
        assert _fits(page)
        page.go_back()


def test_a_long_name_fits_a_phone(opened: Opened) -> None:
    page = opened(f"#/entity/{NAMES[6]}", viewport=PHONE)
    expect(page.get_by_text("points to warm up")).to_be_visible()
    assert _fits(page)


def test_a_name_that_steps_back_leads_nowhere_else(opened: Opened, site: Service) -> None:
    """What is said of such an entity must not be said of all of them."""
    page = opened(f"#/entity/{BACK}")
    page.get_by_role("button", name="Mute", exact=True).click()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    other = httpx2.get(f"{site.url}/v1/policies/effective", params={"entity": NAMES[1]}).json()
    assert not other["policy"].get("muted_until_ms")
    own = httpx2.get(f"{site.url}/v1/policies/effective", params={"entity": BACK}).json()
    assert own["own"]["muted_until_ms"] > 0


def test_a_percent_sign_that_somebody_typed_breaks_nothing(opened: Opened) -> None:
    page = opened("#/entity/it's 100%?dimensions=50%25")
    expect(page.get_by_role("heading", level=1)).to_have_text("it's 100%")
    expect(page.get_by_text("points to warm up")).to_be_visible()


@pytest.mark.parametrize("place", ["constructor", "__proto__", "nowhere"])
def test_a_view_that_there_is_not_leads_back(opened: Opened, place: str) -> None:
    page = opened(f"#/{place}")
    expect(page.get_by_role("heading", name="Nothing is here")).to_be_visible()
    expect(page).to_have_title("Gaugewatch")


@pytest.mark.parametrize("end", ["Infinity", "99999999999999999999"])
def test_a_time_that_no_calendar_has_is_left_out(opened: Opened, end: str) -> None:
    page = opened(f"#/entity/{NAMES[1]}?from=1700000000000&to={end}")
    expect(page.get_by_text("points to warm up")).to_be_visible()
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")


def test_an_odd_entity_without_an_incident_says_why(opened: Opened) -> None:
    page = opened(f"#/entity/{MARKUP.replace('/', '%2F')}")
    expect(page.get_by_text("No incident opens, because no bundle was trained on")).to_be_visible()


def test_a_view_begins_at_its_top_with_the_focus_in_it(opened: Opened) -> None:
    page = opened("#/fleet", viewport=PHONE)
    page.get_by_role("link", name="a?b#c", exact=True).last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("a?b#c")
    expect(page.locator("#main")).to_be_focused()
    assert page.evaluate("scrollY") == 0


def test_titles_name_the_view(opened: Opened) -> None:
    page = opened("#/promise")
    expect(page).to_have_title("Alarm promise · Gaugewatch")
    page.get_by_role("link", name="Fleet", exact=True).click()
    expect(page).to_have_title("Fleet · Gaugewatch")


def test_a_fleet_that_is_not_the_newest_says_so(opened: Opened) -> None:
    page = opened("#/fleet", refused=503)
    expect(page.get_by_role("table")).to_be_visible()
    problem = {"detail": "the store does not answer", "code": "store_unavailable"}
    page.route("**/v1/fleet?*", lambda route: route.fulfill(status=503, json=problem))
    expect(page.get_by_text("the store does not answer")).to_be_visible()
    page.unroute_all()
    expect(page.get_by_text("the store does not answer")).to_be_hidden()


def test_a_fleet_that_is_not_answered_is_not_the_newest_either(opened: Opened) -> None:
    page = opened("#/fleet")
    expect(page.get_by_role("table")).to_be_visible()
    page.route("**/v1/fleet?*", lambda route: None)  # as over a line that died
    expect(page.get_by_text("Not the newest: the service has not answered yet")).to_be_visible()


def test_a_view_that_cannot_be_loaded_says_so_and_is_tried_again(opened: Opened) -> None:
    page = opened("#/fleet", is_away=True)
    page.route("**/views/promise.js", lambda route: route.abort())
    page.get_by_role("link", name="Alarm promise").click()
    expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Alarm promise")).to_be_visible()


def test_a_point_stands_in_the_map_until_the_next_is_due(opened: Opened, site: Service) -> None:
    page = opened()
    page.goto("about:blank")

    def slower(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        for model in body["models"]:
            model["period_seconds"] = 300
        route.fulfill(response=answer, json=body)

    page.route("**/v1/fleet?*", slower)
    page.goto(f"{site.url}/#/fleet?q={SLOW}")
    page.get_by_label("Severity by entity and time").focus()
    for _ in range(12):
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_text(f"{SLOW}, until").last).to_contain_text("nats")
