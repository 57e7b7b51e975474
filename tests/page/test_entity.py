"""The view of one entity: what is seen of it, what is asked of people, what can be taken away."""

import csv
import io
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page import fleets
from tests.page.conftest import PATIENCE_MS, Opened
from tests.system.processes import Service, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
Picture = Callable[[Page, str], None]
PHONE = {"width": 390, "height": 844}
NODE = "node-02"
SEEN_TEN_TIMES = """() => {
  for (let at = 0; at < 10; at++) document.dispatchEvent(new Event("visibilitychange"));
}"""


def kept(site: Service, entity: str = NODE, *, rows: int = 1) -> dict:  # type: ignore[type-arg]
    answer = httpx2.get(f"{site.url}/v1/entities/{quote(entity)}", params={"rows": rows})
    return dict(answer.raise_for_status().json())


def strike(site: Service, *, points: int = 4, entity: str = NODE) -> None:
    """More points of an entity, with a cache that is hit ever less and pages that fault."""
    known = kept(site, entity)
    names, newest = known["dimensions"], known["window"][-1]
    sent = []
    for step in range(1, points + 1):
        values = list(newest["values"])
        values[names.index("cache_hit_ratio")] -= 0.06 * step
        values[names.index("page_faults")] *= 1 + 0.5 * step
        at = newest["timestamp_ms"] + 60_000 * step
        sent.append({"entity": entity, "timestamp_ms": at, "values": values})
    fleets.post(site, sent)


def incidents_of(site: Service, entity: str = NODE, *, limit: int = 50) -> list[dict]:  # type: ignore[type-arg]
    asked: dict[str, str | int] = {"entity": entity, "limit": limit}
    answer = httpx2.get(f"{site.url}/v1/incidents", params=asked)
    return list(answer.raise_for_status().json()["incidents"])


def told(page: Page) -> Locator:
    return page.get_by_role("region", name="Incidents").get_by_role("listitem")


def heat(page: Page) -> Locator:
    return page.get_by_role("application")


def shown_in(page: Page) -> Locator:
    """From when to when, and how many points."""
    return page.locator(".shown")


def posted(site: Service, *, points: int = 300) -> None:
    fleets.posted(site, until=points, entities=3)


def test_an_open_incident_is_said_in_words_and_drawn(
    opened: Opened, site: Service, picture: Picture
) -> None:
    posted(site)
    strike(site)
    page = opened(f"#/entity/{NODE}")
    expect(page.get_by_text("In incident since")).to_contain_text("cache hit ratio fell")
    expect(page.get_by_text("In incident since")).to_contain_text("times its usual band")
    expect(told(page).first).to_contain_text("open")
    expect(page.get_by_text("simulated-fleet/")).to_be_visible()
    expect(heat(page)).to_be_visible()
    expect(page.locator("canvas")).to_have_count(7)  # two charts, legend, map, three dimensions
    page.wait_for_timeout(1_500)  # for the expected lines, which are computed anew
    picture(page, "entity")
    page.get_by_role("region", name="Values").scroll_into_view_if_needed()
    picture(page, "entity-values")


def test_dark_and_small_screens_show_the_same(
    opened: Opened, site: Service, picture: Picture
) -> None:
    posted(site)
    strike(site)
    dark = opened(f"#/entity/{NODE}", color_scheme="dark")
    expect(heat(dark)).to_be_visible()
    dark.wait_for_timeout(1_500)
    picture(dark, "entity-dark")
    phone = opened(f"#/entity/{NODE}", viewport=PHONE, has_touch=True)
    expect(heat(phone)).to_be_visible()
    wide = phone.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "a phone must not scroll sideways"
    phone.wait_for_timeout(1_500)
    picture(phone, "entity-phone")
    heat(phone).scroll_into_view_if_needed()
    picture(phone, "entity-phone-map")


def test_points_that_come_are_added_and_those_that_the_service_drops_stay(
    opened: Opened, site: Service
) -> None:
    machines = fleets.posted(site, until=300, entities=2)
    page = opened(f"#/entity/{NODE}")
    count = len(kept(site, rows=1_000)["window"])
    expect(shown_in(page)).to_contain_text(f", {count} points")
    fleets.post(site, fleets.rows(machines[1], 300, 305))
    expect(shown_in(page)).to_contain_text(f", {count + 5} points")
    fleets.post(site, fleets.rows(machines[1], 305, 345))  # more at once than are asked for
    expect(shown_in(page)).to_contain_text(f", {count + 45} points")


def test_a_page_that_is_left_and_seen_again_asks_no_more_than_before(
    opened: Opened, site: Service
) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}")
    expect(heat(page)).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(SEEN_TEN_TIMES)
    page.wait_for_timeout(2_000)
    asked.clear()
    page.wait_for_timeout(5_000)
    assert sum("/v1/entities/" in url for url in asked) <= 5, "once a second"


def test_pointing_tells_value_expected_band_and_share(opened: Opened, site: Service) -> None:
    posted(site)
    strike(site)
    page = opened(f"#/entity/{NODE}?dimensions=cache_hit_ratio")
    expect(page.get_by_text("In incident since")).to_be_visible()
    name = page.locator(".blame-names").get_by_text("cache hit ratio").first
    box, row = heat(page).bounding_box(), name.bounding_box()
    assert box is not None
    assert row is not None
    heat(page).hover(position={"x": box["width"] - 2, "y": row["y"] - box["y"] + 8})
    hint = page.locator(".hint")
    expect(hint).to_contain_text("expected")
    expect(hint).to_contain_text("% of a severity of")
    newest = page.locator(".pointed").inner_text()
    page.locator(".chart").first.hover(position={"x": 300, "y": 40})
    expect(page.locator(".cursor-line")).to_be_visible()
    expect(page.locator(".pointed")).not_to_have_text(newest)


def test_expected_values_of_dimensions_that_are_no_cause_are_computed_anew(
    opened: Opened, site: Service
) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}")
    page.get_by_role("button", name="All 24 dimensions").click()
    heat(page).focus()
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")
    page.keyboard.press("PageDown")

    def is_computed() -> bool:
        page.keyboard.press("ArrowDown")
        text = page.locator(".blame-map p").inner_text()
        return "no part in the blame" in text and "expected" in text

    until(is_computed, "an expected value of a dimension that is no cause")


def test_a_value_far_beyond_all_others_is_told_briefly(opened: Opened, site: Service) -> None:
    machine = fleets.fleet(entities=1)[0]
    points = fleets.rows(machine, 0, 60)
    assert isinstance(points[-1]["values"], list)
    points[-1]["values"][0] = 1e29
    fleets.post(site, points)
    page = opened(f"#/entity/{machine.name}")
    expect(page.locator(".pointed")).to_contain_text(
        re.compile(r"\d\.\d\de\+\d\d times its usual band")
    )


def test_keys_move_through_the_map_and_choose_a_dimension(opened: Opened, site: Service) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}?dimensions=fan_rpm")
    heat(page).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".blame-map p")).to_contain_text(":")
    first = page.locator(".blame-names button").first
    page.keyboard.press("Enter")
    expect(first).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Show values of").select_option("threads")
    assert "threads" in page.url
    expect(page.get_by_role("region", name="Values").locator(".plot")).to_have_count(3)
    page.get_by_role("button", name="Hide fan rpm").click()
    expect(page.get_by_role("region", name="Values").locator(".plot")).to_have_count(2)
    assert "fan_rpm" not in page.url


def test_dragging_chooses_a_time_that_the_address_reopens(opened: Opened, site: Service) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}")
    box = page.locator(".chart").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 420, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_url("**from=*")
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "false")
    shown = shown_in(page).inner_text()
    again = opened(f"#{page.url.partition('#')[2]}")
    expect(shown_in(again)).to_have_text(shown)
    page.get_by_role("button", name="Wider").click()
    expect(shown_in(page)).not_to_have_text(shown)
    page.get_by_role("button", name="Live").click()
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
    assert "from=" not in page.url


def test_a_link_holds_what_is_shown(opened: Opened, site: Service) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("() => navigator.clipboard.readText()")
    shown = shown_in(page).inner_text()
    names = page.locator(".plot-name .strong").all_inner_texts()
    strike(site)  # what comes later is not in it
    again = opened(f"#{link.partition('#')[2]}")
    expect(shown_in(again)).to_contain_text(shown.partition(",")[0])
    assert again.locator(".plot-name .strong").all_inner_texts() == names


def test_an_incident_is_found_acknowledged_labelled_and_remarked(
    opened: Opened, site: Service, picture: Picture
) -> None:
    posted(site)
    strike(site)
    incident = incidents_of(site)[0]["incident"]
    page = opened(f"#/entity/{NODE}?incident={quote(incident)}")
    mine = told(page).first
    expect(mine).to_have_attribute("aria-current", "true")
    mine.get_by_role("button", name="Acknowledge").click()
    expect(mine.get_by_role("button", name="Acknowledged")).to_be_visible()
    mine.get_by_role("button", name="False").click()
    expect(mine.get_by_role("button", name="False")).to_have_attribute("aria-pressed", "true")
    mine.get_by_role("button", name="Remark").click()
    page.get_by_label("What was it?").fill("a deployment")
    page.get_by_label("Your name").fill("ann")
    page.get_by_role("button", name="Keep").click()
    expect(mine).to_contain_text("a deployment")
    note = {"is_acknowledged": True, "label": "false", "by": "ann", "text": "a deployment"}
    assert incidents_of(site)[0]["note"] == note
    picture(page, "entity-labelled")
    mine.get_by_role("button", name="False").click()
    expect(mine.get_by_role("button", name="False")).to_have_attribute("aria-pressed", "false")
    assert "label" not in incidents_of(site)[0]["note"]


def test_a_label_is_taken_back_and_that_of_somebody_else_is_seen(
    opened: Opened, site: Service
) -> None:
    posted(site)
    strike(site)
    note = f"{site.url}/v1/incidents/{incidents_of(site)[0]['incident']}/note"
    httpx2.put(note, json={"label": "true"}).raise_for_status()
    page = opened("#/fleet")
    expect(told(page).first.get_by_role("combobox")).to_have_value("true")
    httpx2.put(note, json={"label": "false"}).raise_for_status()
    page.get_by_role("link", name=NODE, exact=True).last.click()
    said = told(page).first.get_by_role("button", name="False")
    expect(said).to_have_attribute("aria-pressed", "true")
    said.click()
    expect(said).to_have_attribute("aria-pressed", "false")
    assert "label" not in incidents_of(site)[0]["note"]
    again = opened(f"#/entity/{NODE}")
    expect(told(again).first.get_by_role("button", name="False")).to_be_visible()
    httpx2.put(note, json={"label": "true"}).raise_for_status()
    again.reload()
    true = told(again).first.get_by_role("button", name="True")
    expect(true).to_have_attribute("aria-pressed", "true")
    true.click()
    expect(true).to_have_attribute("aria-pressed", "false")


def test_the_focus_is_where_it_was_when_a_question_is_over(opened: Opened, site: Service) -> None:
    posted(site)
    strike(site)
    page = opened(f"#/entity/{NODE}")
    for name in ("Remark", "New normal"):
        asking = told(page).first.get_by_role("button", name=name)
        asking.focus()
        for leave in (partial(page.keyboard.press, "Escape"), cancel(page)):
            page.keyboard.press("Enter")
            expect(page.get_by_role("dialog")).to_be_visible()
            leave()
            expect(page.get_by_role("dialog")).to_be_hidden()
            expect(asking).to_be_focused()


def cancel(page: Page) -> Callable[[], None]:
    return lambda: page.get_by_role("button", name="Cancel").press("Enter")


def test_new_normal_says_what_it_does_and_ends_the_incident(
    opened: Opened, site: Service, picture: Picture
) -> None:
    posted(site)
    strike(site)
    page = opened(f"#/entity/{NODE}")
    told(page).first.get_by_role("button", name="New normal").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("learns its normal again")
    picture(page, "entity-new-normal")
    dialog.get_by_role("button", name="Cancel").click()
    assert incidents_of(site)[0]["is_open"]
    told(page).first.get_by_role("button", name="New normal").click()
    dialog.get_by_role("button", name="It is normal from now on").click()
    expect(told(page).first).to_contain_text("new normal")
    expect(page.get_by_text("In incident since")).to_have_count(0)
    assert not incidents_of(site)[0]["is_open"]


def test_mute_keeps_what_else_is_said_of_the_entity(opened: Opened, site: Service) -> None:
    posted(site)
    one = f"{site.url}/v1/policies/entities/{NODE}"
    httpx2.put(one, json={"open_count": 2, "open_window": 3}).raise_for_status()
    page = opened(f"#/entity/{NODE}")
    page.get_by_label("Mute for how long").select_option("for 4 hours")
    page.get_by_role("button", name="Mute", exact=True).click()
    expect(page.get_by_text("muted until")).to_be_visible()
    url = f"{site.url}/v1/policies/effective"
    own = httpx2.get(url, params={"entity": NODE}).json()["own"]
    assert (own["open_count"], own["open_window"]) == (2, 3)
    assert 3.9 * 3_600_000 < own["muted_until_ms"] - 1000 * time.time() < 4.1 * 3_600_000
    page.get_by_role("button", name="Unmute").click()
    expect(page.get_by_role("button", name="Mute", exact=True)).to_be_visible()
    own = httpx2.get(url, params={"entity": NODE}).json()["own"]
    assert own == {"open_count": 2, "open_window": 3}


def test_the_table_that_is_downloaded_is_read_by_detect(
    opened: Opened, site: Service, tmp_path: Path
) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}")
    with page.expect_download(timeout=PATIENCE_MS) as waiting:
        page.get_by_role("button", name="Download CSV").click()
    waiting.value.save_as(tmp_path / "node.csv")
    assert waiting.value.suggested_filename == f"{NODE}.csv"
    page.close()  # it asks for expected values, and one series is worked on at once
    text = (tmp_path / "node.csv").read_text()
    rows, known = list(csv.DictReader(io.StringIO(text))), kept(site, rows=1_000)
    assert [float(row["cpu_user"]) for row in rows] == [row["values"][0] for row in known["window"]]
    assert rows[-1]["cause_1"] == known["window"][-1]["causes"][0]["dimension"]
    answer = httpx2.post(
        f"{site.url}/v1/detect",
        params={"entity": NODE, "bundle": "simulated-fleet"},
        content=text.encode(),
        headers={"Content-Type": "text/csv"},
        timeout=60,
    )
    assert answer.raise_for_status().json()["points"] == len(rows)


def test_the_file_of_an_incident_is_handed_over(
    opened: Opened, site: Service, tmp_path: Path
) -> None:
    posted(site)
    strike(site)
    page = opened(f"#/entity/{NODE}")
    with page.expect_download(timeout=PATIENCE_MS) as waiting:
        told(page).first.get_by_role("button", name="Incident file").click()
    assert waiting.value.suggested_filename == f"{incidents_of(site)[0]['incident']}.npz"
    waiting.value.save_as(tmp_path / "incident.npz")
    with np.load(tmp_path / "incident.npz", allow_pickle=False) as file:
        assert file.files


def test_a_time_that_is_no_longer_kept_says_so(opened: Opened, site: Service) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}?from=1700000000000&to=1700000900000")
    expect(page.get_by_text("No point of this time is kept")).to_be_visible()
    page.get_by_role("button", name="Show what is kept").click()
    expect(heat(page)).to_be_visible()


def test_an_old_incident_is_drawn_from_what_is_kept_with_it(
    opened: Opened, site: Service, picture: Picture
) -> None:
    posted(site, points=600)
    first_kept = kept(site, rows=1_000)["window"][0]["timestamp_ms"]
    (*_, oldest) = incidents_of(site)
    assert oldest["alert"]["timestamp_ms"] < first_kept
    page = opened(f"#/entity/{NODE}")
    told(page).last.get_by_role("button").first.click()
    expect(heat(page)).to_be_visible()
    expect(told(page).last.locator("p").first).to_contain_text(re.compile("rose|fell"))
    path = f"{site.url}/v1/incidents/{quote(oldest['incident'], safe='')}/rows"
    window = httpx2.get(path).json()["window"]
    around = 10 * 60_000  # as much time on both sides as it lasted, and ten points at least
    inside = [row for row in window if oldest["opened_ms"] - around <= row["timestamp_ms"]]
    expect(shown_in(page)).to_contain_text(f", {len(inside)} points")
    picture(page, "entity-old-incident")
    again = opened(page.evaluate("() => location.hash"))
    expect(shown_in(again)).to_contain_text(f", {len(inside)} points")
    again.get_by_role("button", name="Live").click()
    expect(shown_in(again)).not_to_contain_text(f", {len(inside)} points")


def test_more_incidents_than_the_fleet_knows_are_told_in_words(
    opened: Opened, site: Service
) -> None:
    machine = fleets.fleet(entities=1)[0]
    points = fleets.rows(machine, 0, 600)
    hits, faults = (machine.dimensions.index(name) for name in ("cache_hit_ratio", "page_faults"))
    for point in points[20::9]:
        assert isinstance(point["values"], list)
        point["values"][hits] -= 0.15
        point["values"][faults] *= 2
    fleets.post(site, points)
    count = len(incidents_of(site, machine.name, limit=100))
    assert count > 50, "as many as the page asks for at first"
    page = opened(f"#/entity/{machine.name}")
    page.get_by_role("button", name=f"All {count}").click()
    expect(told(page)).to_have_count(count)
    for words in told(page).locator("p:first-of-type").all_text_contents():
        assert "rose" in words or "fell" in words, words
    fleet = opened("#/fleet")
    expect(told(fleet)).to_have_count(40)
    fleet.get_by_role("button", name="All 50").click()
    expect(told(fleet)).to_have_count(50)


def test_an_old_incident_whose_points_are_gone_says_why(opened: Opened, site: Service) -> None:
    posted(site, points=600)
    page = opened(
        f"#/entity/{NODE}?incident={NODE}%401700000000000&from=1700000000000&to=1700000900000",
        refused=404,
    )
    expect(page.get_by_text("No point of this time is kept")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("no incident of this name is kept")


def test_an_entity_that_warms_up_says_how_far_it_is(
    opened: Opened, site: Service, picture: Picture
) -> None:
    machine = fleets.fleet(entities=1)[0]
    fleets.post(site, fleets.rows(machine, 0, 3))
    page = opened(f"#/entity/{machine.name}")
    expect(page.get_by_text("Warming up: 3 of 5 points")).to_be_visible()
    picture(page, "entity-warming")


def test_a_name_that_nobody_knows_leads_back(
    opened: Opened, site: Service, picture: Picture
) -> None:
    page = opened("#/entity/nobody%2Fhere", refused=404)
    expect(page.get_by_role("heading", name="Nothing is known of nobody/here")).to_be_visible()
    expect(page.get_by_role("link", name="Back to the fleet")).to_have_attribute("href", "#/fleet")
    picture(page, "entity-unknown")


def test_a_forgotten_entity_stays_on_the_page_with_a_word_until_it_comes_back(
    opened: Opened, site: Service
) -> None:
    posted(site)
    page = opened(f"#/entity/{NODE}", refused=404)
    expect(heat(page)).to_be_visible()
    httpx2.delete(f"{site.url}/v1/entities/{NODE}").raise_for_status()
    gone = page.get_by_text("has forgotten this entity")
    expect(gone).to_be_visible()
    expect(heat(page)).to_be_visible()
    fleets.posted(site, until=60, entities=3)  # it comes back
    expect(gone).to_be_hidden()
    expect(shown_in(page)).to_contain_text("60 points")
