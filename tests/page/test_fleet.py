"""The fleet view: what an operator sees from POST to mark, after sleep, and without a mouse."""

import os
import re
import signal
import time
from collections.abc import Callable

import httpx2
import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from redis import Redis

from benchmarks.browsers import drawing_processes
from service.simulator import SimulatedEntity
from tests.page import fleets
from tests.page.conftest import Opened
from tests.system.processes import Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
Picture = Callable[[Page, str], None]
PHONE = {"width": 390, "height": 844}
HIDE = """() => {
  Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
  window.requestAnimationFrame = () => 1;
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def row(page: Page, entity: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=entity, exact=True))


def told(page: Page) -> Locator:
    return page.get_by_role("region", name="Incidents").get_by_role("listitem")


def struck(machines: list[SimulatedEntity]) -> tuple[SimulatedEntity, int, tuple[str, ...]]:
    """A machine with a spike, the point it strikes at, and its culprits."""
    for machine in machines:
        for fault in machine.faults:
            if fault.kind == "spike":
                return machine, fault.start, fault.names
    raise AssertionError("expected a spike among the faults")


def test_nothing_yet_says_how_to_begin(opened: Opened, picture: Picture) -> None:
    page = opened()
    expect(page.get_by_role("heading", name="No points yet")).to_be_visible()
    expect(page.get_by_text("curl http://127.0.0.1")).to_be_visible()
    picture(page, "fleet-empty")


def test_a_fault_is_seen_from_post_to_mark_and_cause(
    opened: Opened, site: Service, picture: Picture
) -> None:
    machines = fleets.fleet()
    machine, start, culprits = struck(machines)
    fleets.post(site, fleets.together(machines, 0, start))
    page = opened("#/fleet?span=day")
    expect(row(page, machine.name)).to_contain_text("scored")
    before = told(page).count()
    fleets.post(site, fleets.together(machines, start, start + 3))
    expect(row(page, machine.name)).to_contain_text("in incident")
    expect(page.get_by_role("table", name="Entities").get_by_role("row").nth(1)).to_contain_text(
        "in incident"
    )
    until(lambda: told(page).count() > before, "an incident on the page")
    words = [name.replace("_", " ") for name in culprits]
    mine = told(page).filter(has_text=machine.name).first
    expect(mine).to_contain_text(re.compile("|".join(words)))
    expect(mine).to_contain_text("open")
    picture(page, "fleet")
    fleets.post(site, fleets.rows(machine, start + 3, len(machine.test)))
    expect(row(page, machine.name)).not_to_contain_text("in incident")
    expect(mine).to_contain_text("resolved")


def test_dark_and_small_screens_show_the_same(
    opened: Opened, site: Service, picture: Picture
) -> None:
    fleets.posted(site)
    page = opened("#/fleet?span=day", color_scheme="dark")
    expect(row(page, "node-08")).to_be_visible()
    expect(told(page).first).to_be_visible()
    dark = page.evaluate("() => getComputedStyle(document.body.parentElement).backgroundColor")
    picture(page, "fleet-dark")
    page.get_by_label("Theme").select_option("light")
    light = page.evaluate("() => getComputedStyle(document.body.parentElement).backgroundColor")
    assert dark != light
    phone = opened("#/fleet?span=day", viewport=PHONE, has_touch=True)
    expect(row(phone, "node-08")).to_be_visible()
    wide = phone.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "a phone must not scroll sideways"
    picture(phone, "fleet-phone")


def test_an_address_reopens_the_view(opened: Opened, site: Service) -> None:
    fleets.posted(site, until=120)
    page = opened("#/fleet")
    page.get_by_label("Find an entity").fill("node-0")
    page.get_by_label("Order", exact=True).select_option("name")
    page.get_by_role("button", name="6 hours").click()
    page.get_by_role("button", name=re.compile("scored")).click()
    address = page.evaluate("() => location.hash")
    assert {"q=node-0", "sort=name", "span=6h", "status=scored"} <= set(
        address.partition("?")[2].split("&")
    )
    again = opened(address)
    expect(again.get_by_label("Find an entity")).to_have_value("node-0")
    expect(again.get_by_role("button", name="6 hours")).to_have_attribute("aria-pressed", "true")
    again.get_by_label("Find an entity").fill("nobody")
    expect(again.get_by_text("No entity fits")).to_be_visible()


def test_what_people_say_of_an_incident_is_kept(opened: Opened, site: Service) -> None:
    fleets.posted(site)
    page = opened()
    mine = told(page).first
    mine.get_by_role("button", name="Acknowledge").click()
    mine.get_by_role("combobox").select_option("false")
    expect(mine.get_by_role("button", name="Acknowledged")).to_be_visible()
    kept = f"{site.url}/v1/incidents"
    until(
        lambda: httpx2.get(kept, params={"label": "false"}).json()["incidents"],
        "the label to be kept",
    )
    page.reload()
    expect(page.get_by_role("button", name="Acknowledged")).to_be_visible()
    page.get_by_role("button", name="Unlabelled").click()
    expect(page.get_by_role("button", name="Acknowledged")).to_have_count(0)


def test_an_incident_keeps_its_place_when_something_is_said_of_it(
    opened: Opened, site: Service
) -> None:
    fleets.posted(site)
    page = opened("#/fleet")
    expect(told(page).nth(2)).to_be_visible()
    told(page).last.get_by_role("button", name="Acknowledge").click()
    expect(told(page).last.get_by_role("button", name="Acknowledged")).to_be_visible()


def test_a_resolved_incident_says_what_it_was_and_leads_to_it(
    opened: Opened, site: Service
) -> None:
    fleets.posted(site)
    page = opened("#/fleet?span=day")
    mine = told(page).filter(has_text="resolved").last
    expect(mine.locator("p").first).to_contain_text(re.compile("rose|fell"))
    words = mine.locator("p").first.text_content()
    mine.get_by_role("link").click()
    chosen = page.locator("li.chosen")
    expect(chosen).to_contain_text("resolved")
    expect(page.get_by_role("application")).to_be_visible()
    expect(chosen.locator("p").first).to_contain_text(str(words).split()[0])


def test_what_lost_its_values_is_named_wherever_the_incident_is(
    opened: Opened, site: Service
) -> None:
    machine = fleets.fleet(entities=1, faults=1)[0]
    points = fleets.rows(machine, 0, 240)
    lost, faults = (machine.dimensions.index(name) for name in ("temperature_c", "page_faults"))
    for at, point in enumerate(points):
        assert isinstance(point["values"], list)
        if 40 <= at < 46:
            point["values"][faults] *= 4
        if 120 <= at < 180:
            point["values"][lost] = None
    fleets.post(site, points[:180])
    page = opened("#/fleet?span=day")
    words = "temperature c: no values"
    expect(row(page, machine.name)).to_contain_text(words)
    mine = told(page).filter(has_text=words)
    expect(mine).to_contain_text("open")
    fleets.post(site, points[180:])
    expect(mine).to_contain_text("resolved")
    mine.get_by_role("link").click()
    expect(page.locator("li.chosen")).to_contain_text(words)


def test_a_day_tells_its_dates(opened: Opened, site: Service) -> None:
    fleets.posted(site, until=120, entities=1)
    page = opened("#/fleet?span=day")
    ends = page.locator(".hours span")
    expect(ends.first).to_contain_text(re.compile(r"\w+ \d+, \d\d:\d\d|\w+ \d+$"))
    expect(ends.nth(1)).not_to_contain_text(",")


def test_the_keyboard_is_enough(opened: Opened, site: Service) -> None:
    fleets.posted(site)
    page = opened("#/fleet?sort=name&span=day")
    expect(row(page, "node-01")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    seen: list[str] = []
    for _ in range(60):
        seen.append(
            page.evaluate(
                "() => document.activeElement.ariaLabel || document.activeElement.textContent"
            )
        )
        if "Severity by entity and time" in seen[-1]:
            break
        page.keyboard.press("Tab")
    assert any("Find an entity" in one for one in seen)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".heat [aria-live]")).to_contain_text("node-02")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("#/entity/node-02"))


def test_an_entity_that_is_forgotten_under_the_pointer_breaks_nothing(
    opened: Opened, site: Service
) -> None:
    fleets.posted(site, until=120, entities=3)
    page = opened("#/fleet?sort=name")
    box = page.get_by_label("Severity by entity and time").bounding_box()
    assert box
    page.mouse.move(box["x"] + 50, box["y"] + box["height"] - 3)
    expect(page.locator(".hint")).to_contain_text("node-03")
    httpx2.delete(f"{site.url}/v1/entities/node-03").raise_for_status()
    expect(page.locator(".hint")).to_be_hidden()
    expect(row(page, "node-03")).to_be_hidden()
    expect(row(page, "node-02")).to_be_visible()


def test_incidents_that_could_not_be_read_are_asked_for_again(
    opened: Opened, site: Service
) -> None:
    fleets.posted(site)
    page = opened("#/promise", is_away=True)
    page.route("**/v1/incidents?*", lambda route: route.abort())
    page.reload()
    page.get_by_role("link", name="Fleet", exact=True).click()
    expect(row(page, "node-01")).to_be_visible()
    expect(page.get_by_text("None so far")).to_be_visible()
    page.unroute_all()
    expect(told(page).first).to_be_visible()


def test_what_opened_last_is_on_top_whatever_its_name(opened: Opened, site: Service) -> None:
    early, late = fleets.fleet(entities=2)
    strange = "db@5"
    policy = f"{site.url}/v1/policies/entities/{strange}"
    httpx2.put(policy, json={"alert_while_calibrating": True}).raise_for_status()
    first, last = fleets.rows(early, 0, 104), fleets.rows(late, 0, 300)
    blame(first[100:], early)
    blame(last[290:], late)
    fleets.post(site, first)
    fleets.post(site, [point | {"entity": strange} for point in last])
    page = opened("#/fleet")
    expect(row(page, early.name)).to_contain_text("in incident")
    expect(row(page, strange)).to_contain_text("in incident")
    expect(page.get_by_role("table", name="Entities").get_by_role("row").nth(1)).to_contain_text(
        strange
    )


def test_the_picture_follows_the_order_at_once(opened: Opened, site: Service) -> None:
    machines = fleets.fleet(entities=3)
    fleets.post(site, fleets.together(machines, 0, 104))
    last = fleets.rows(machines[2], 104, 108)
    blame(last, machines[2])
    fleets.post(site, last)
    page = opened("#/fleet")
    expect(row(page, machines[2].name)).to_contain_text("in incident")
    page.route("**/v1/fleet?*", lambda route: None)
    page.wait_for_timeout(1_200)  # one that was on its way has come
    picture = page.get_by_label("Severity by entity and time")
    before = picture.evaluate("(canvas) => canvas.toDataURL()")
    page.get_by_label("Order", exact=True).select_option("name")
    expect(page.get_by_role("table", name="Entities").get_by_role("row").nth(1)).to_contain_text(
        machines[0].name
    )
    page.wait_for_timeout(300)
    assert picture.evaluate("(canvas) => canvas.toDataURL()") != before


def test_the_focus_stays_on_the_name_it_was_on(opened: Opened, site: Service) -> None:
    machines = fleets.fleet(entities=3)
    fleets.post(site, fleets.together(machines, 0, 104))
    page = opened("#/fleet")
    first = page.get_by_role("table", name="Entities").get_by_role("row").nth(1)
    expect(first.get_by_role("link")).to_be_visible()
    last = machines[2] if machines[2].name not in first.inner_text() else machines[1]
    link = page.locator(".names a").first
    name = link.inner_text()
    link.focus()
    odd = fleets.rows(last, 104, 108)
    blame(odd, last)
    fleets.post(site, odd)
    expect(page.locator(".names a").first).to_have_text(last.name)
    assert page.evaluate("document.activeElement.textContent") == name


def test_old_incidents_that_nobody_labelled_are_found(opened: Opened, site: Service) -> None:
    machine = fleets.fleet(entities=1)[0]
    points = fleets.rows(machine, 0, 600)
    for at in range(20, 600, 9):
        blame(points[at : at + 1], machine)
    fleets.post(site, points)
    every = httpx2.get(f"{site.url}/v1/incidents", params={"limit": 100}).json()["incidents"]
    assert len(every) > 52, "more than the page asks for at first"
    for one in every[:-2]:
        note = f"{site.url}/v1/incidents/{one['incident']}/note"
        httpx2.put(note, json={"label": "false"}).raise_for_status()
    page = opened("#/fleet?label=none")
    expect(told(page)).to_have_count(2)


def test_ten_thousand_rows_are_not_ten_thousand_elements(opened: Opened, site: Service) -> None:
    values = fleets.fleet(entities=1)[0].test[0].tolist()
    now_ms = time.time_ns() // 1_000_000
    for first in range(0, 3_000, 1_000):
        names = [f"pod-{number:05d}" for number in range(first, first + 1_000)]
        fleets.post(
            site, [{"entity": name, "timestamp_ms": now_ms, "values": values} for name in names]
        )
    page = opened("#/fleet?sort=name")
    expect(page.get_by_text("3,000").first).to_be_visible()
    expect(row(page, "pod-00000")).to_contain_text("warming 1/")
    assert page.get_by_role("row").count() < 60
    rows = page.get_by_role("rowgroup", name="Entities in order")
    rows.evaluate("(element) => { element.scrollTop = element.scrollHeight; }")
    expect(row(page, "pod-02999")).to_be_visible()


def test_a_page_behind_others_counts_in_its_title_what_is_open(
    opened: Opened, site: Service
) -> None:
    """A browser draws no frames for a page that is hidden."""
    machines = fleets.fleet()
    machine, start, _ = struck(machines)
    fleets.post(site, fleets.rows(machine, 0, start))
    page = opened("#/fleet")
    expect(row(page, machine.name)).to_be_visible()
    before = page.title()
    page.evaluate(HIDE)
    fleets.post(site, fleets.rows(machine, start, start + 3))
    expect(page).to_have_title(re.compile(r"^\(1\) Fleet"))
    assert before == "Fleet \u00b7 Gaugewatch"


def test_a_page_that_slept_goes_on_without_a_gap(opened: Opened, site: Service) -> None:
    """Its process is stopped, as a laptop's lid does, while a fault strikes."""
    machines = fleets.fleet()
    machine, start, _ = struck(machines)
    fleets.post(site, fleets.rows(machine, 0, start))
    page = opened("#/fleet?span=day")
    expect(row(page, machine.name)).to_be_visible()
    before = told(page).count()
    drawing = drawing_processes()
    for process in drawing:
        os.kill(process, signal.SIGSTOP)
    try:
        fleets.post(site, fleets.rows(machine, start, start + 3))
    finally:
        for process in drawing:
            os.kill(process, signal.SIGCONT)
    until(lambda: told(page).count() > before, "the incident that opened meanwhile")
    expect(row(page, machine.name)).to_contain_text("in incident")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_service_that_comes_back_is_found_again(opened: Opened, site: Service) -> None:
    machines = fleets.fleet()
    machine, start, _ = struck(machines)
    fleets.post(site, fleets.rows(machine, 0, start))
    page = opened("#/fleet?span=day", is_away=True)
    expect(row(page, machine.name)).to_be_visible()
    before = told(page).count()
    site.terminate()
    site.process.wait()
    expect(page.get_by_role("status").first).to_contain_text("reconnecting")
    site.start()
    expect(page.get_by_role("status").first).to_contain_text("live")
    fleets.post(site, fleets.rows(machine, start, start + 3))
    until(lambda: told(page).count() > before, "an incident after the restart")
    expect(row(page, machine.name)).to_contain_text("in incident")


def _connected(socket: WebSocketRoute) -> None:
    socket.connect_to_server()


def test_what_was_told_before_the_socket_could_be_opened_is_there(
    opened: Opened, site: Service
) -> None:
    machines = fleets.fleet()
    machine, start, _ = struck(machines)
    fleets.post(site, fleets.rows(machine, 0, start))
    page = opened("", is_away=True)
    page.goto("about:blank")
    page.route_web_socket("**/v1/alerts*", lambda socket: socket.close(code=1013))
    page.goto(f"{site.url}/#/fleet?span=day")
    expect(row(page, machine.name)).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("reconnecting")
    before = told(page).count()
    fleets.post(site, fleets.rows(machine, start, start + 3))
    expect(row(page, machine.name)).to_contain_text("in incident")
    page.route_web_socket("**/v1/alerts*", _connected)
    expect(page.get_by_role("status").first).to_contain_text("live")
    until(lambda: told(page).count() > before, "the incident of which the socket did not tell")


def test_alerts_that_are_no_longer_kept_leave_a_visible_gap(opened: Opened, site: Service) -> None:
    machines = fleets.fleet()
    machine, start, _ = struck(machines)
    fleets.post(site, fleets.rows(machine, 0, start))
    page = opened("#/fleet?span=day", is_away=True)
    expect(page.get_by_role("status").first).to_contain_text("live")
    page.context.set_offline(True)
    site.terminate()
    site.process.wait()
    expect(page.get_by_role("status").first).to_contain_text("reconnecting")
    site.start()
    fleets.post(site, fleets.rows(machine, start, start + 3))
    with Redis.from_url(site.redis_url) as store:
        logs = [name for name in store.scan_iter() if b"alerts" in name]
        assert store.delete(*logs) > 0
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_contain_text("no longer kept")
    expect(row(page, machine.name)).to_contain_text("in incident")
    page.get_by_role("button", name="Understood").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_old_incident_is_open_until_it_ends_however_many_came_after_it(
    opened: Opened, site: Service
) -> None:
    late, busy = fleets.fleet(entities=2)
    first, many = fleets.rows(late, 0, 200), fleets.rows(busy, 0, 600)
    blame(first[100:104], late)
    for point in range(120, 600, 8):
        blame(many[point : point + 1], busy)
    fleets.post(site, first[:104])
    fleets.post(site, many)
    page = opened("#/fleet?label=open", is_away=True)
    mine = told(page).filter(has_text=late.name)
    expect(mine).to_contain_text("open")
    page.context.set_offline(True)
    site.terminate()
    site.process.wait()
    site.start()
    fleets.post(site, first[104:])
    with Redis.from_url(site.redis_url) as store:
        assert store.delete(*[name for name in store.scan_iter() if b"alerts" in name]) > 0
    page.context.set_offline(False)
    expect(page.get_by_role("alert")).to_contain_text("no longer kept")
    expect(mine).to_have_count(0)


def blame(points: list[dict[str, object]], machine: SimulatedEntity) -> None:
    """Let a cache be hit less and pages fault more at these points."""
    hits, faults = (machine.dimensions.index(name) for name in ("cache_hit_ratio", "page_faults"))
    for point in points:
        assert isinstance(point["values"], list)
        point["values"][hits] -= 0.15
        point["values"][faults] *= 2
