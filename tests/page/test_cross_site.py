"""A page of another origin in the same browser: it can change nothing, read nothing, frame nothing.

Such a page is served by a small server of its own, on another port of the loopback: another origin
of the same site, which is the most that a browser lets a stranger have.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import PATIENCE_MS
from tests.page.fleets import fleet, rows
from tests.page.test_models import Picture
from tests.system.processes import ROOT, Service

KEY = "a-key-of-this-test-0123456789"
BUNDLE = "simulated-fleet"
KEPT = "node-01"


class Stranger(BaseHTTPRequestHandler):
    """An empty page for whoever asks, without any policy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>stranger</title><body></body>")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    """The origin of the other page."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module", params=["", KEY], ids=["without keys", "with keys"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The service with one entity, which nobody may take away."""
    settings = {"default_bundle": BUNDLE, "durability": "everysec", "api_keys": request.param}
    with Service(ROOT / "exported_models", tmp_path_factory.mktemp("site"), **settings) as service:
        points = rows(fleet(entities=1, points=600)[0], 0, 40)
        sent = httpx2.post(
            f"{service.url}/v1/points", json={"points": points}, headers=own(service)
        )
        sent.raise_for_status()
        yield service


def own(site: Service) -> dict[str, str]:
    """Headers of a program that has the key, where there is one."""
    is_open = httpx2.get(f"{site.url}/v1/models").status_code == 200
    return {} if is_open else {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def page(browser: Browser, site: Service, stranger: str) -> Iterator[Page]:
    """The page of the stranger, in a browser in which the operator's page is open, key and all."""
    context = browser.new_context()
    operator = context.new_page()
    operator.set_default_timeout(PATIENCE_MS)
    operator.goto(f"{site.url}/#/models")
    if own(site):
        operator.evaluate("key => sessionStorage.setItem('gaugewatch.key', key)", KEY)
        operator.reload()
    expect(operator.get_by_role("article", name=BUNDLE)).to_be_visible()
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    opened.goto(stranger)
    yield opened
    expect(operator.get_by_role("article", name=BUNDLE)).to_be_visible()
    context.close()
    assert known(site) == ([KEPT], {})  # whatever was tried


def known(site: Service) -> tuple[list[str], dict[str, object]]:
    """What could have been changed: entities that are kept, and policies."""
    headers = own(site)
    entities = httpx2.get(f"{site.url}/v1/entities", headers=headers).json()["entities"]
    policies = httpx2.get(f"{site.url}/v1/policies", headers=headers).json()["policies"]
    return entities, {name: said for name, said in policies.items() if said}


BODY = '{"points":[{"entity":"planted","timestamp_ms":1750000000000,"values":{}}]}'
TRY = """async ([url, options]) => {
  try {
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(15000) });
    return [answer.type, answer.status, await answer.text()];
  } catch (error) {
    return ["refused", 0, ""];
  }
}"""


def tried(page: Page, url: str, **options: object) -> tuple[str, str]:
    """What `fetch` of a stranger came to, and all that it could read."""
    kind, _, text = page.evaluate(TRY, [url, options])
    return kind, text


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", "application/x-ndjson"])
@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin"])
@pytest.mark.parametrize("credentials", ["omit", "include"])
def test_a_stranger_posts_no_points(
    page: Page, site: Service, media_type: str, mode: str, credentials: str
) -> None:
    found = tried(
        page,
        f"{site.url}/v1/points",
        method="POST",
        body=BODY,
        mode=mode,
        credentials=credentials,
        headers={"content-type": media_type},
    )
    assert found in (("refused", ""), ("opaque", ""))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/policies", '{"default":{"open_count":3}}'),
        ("PUT", f"/v1/policies/entities/{KEPT}", '{"muted_until_ms":4000000000000}'),
        ("PUT", "/v1/assignments", '{"entities":{"node-01":"smd-machine-1-6"}}'),
        ("DELETE", f"/v1/entities/{KEPT}", None),
        ("POST", f"/v1/models/{BUNDLE}/rollback", None),
        ("POST", "/v1/detect?bundle=simulated-fleet", "cpu_user\n1\n"),
    ],
)
def test_a_stranger_changes_nothing(
    page: Page, site: Service, method: str, path: str, body: str | None
) -> None:
    for mode in ("cors", "no-cors"):
        found = tried(page, site.url + path, method=method, body=body, mode=mode)
        assert found in (("refused", ""), ("opaque", ""))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models",
        f"/v1/entities/{KEPT}",
        "/v1/policies",
        "/openapi.json",
        "/metrics",
        "/",
        "/livez",
    ],
)
def test_a_stranger_reads_nothing(page: Page, site: Service, path: str) -> None:
    for mode in ("cors", "no-cors"):
        found = tried(page, site.url + path, mode=mode, credentials="include")
        assert found in (("refused", ""), ("opaque", ""))


def test_a_key_that_a_stranger_knows_opens_nothing_from_its_page(page: Page, site: Service) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    for method, path in (("POST", "/v1/points"), ("DELETE", f"/v1/entities/{KEPT}")):
        body = BODY if method == "POST" else None
        found = tried(page, site.url + path, method=method, body=body, headers=headers)
        assert found == ("refused", "")


SOCKET = """async ([url, offered]) => new Promise((settle) => {
  const told = [], socket = new WebSocket(url, offered);
  socket.onopen = () => told.push("open");
  socket.onmessage = (message) => told.push(message.data);
  socket.onclose = () => settle(told);
})"""


def test_a_stranger_opens_no_socket(page: Page, site: Service) -> None:
    url = site.url.replace("http:", "ws:") + "/v1/alerts?after=earliest"
    for offered in ([], ["gaugewatch.v1"], ["gaugewatch.v1", f"gaugewatch.key.{KEY}"]):
        assert page.evaluate(SOCKET, [url, offered]) == []


EVENTS = """async (url) => new Promise((settle) => {
  const told = [], source = new EventSource(url, { withCredentials: true });
  for (const kind of ["open", "alert", "gap", "heartbeat", "message"])
    source.addEventListener(kind, () => told.push(kind));
  source.onerror = () => { source.close(); settle(told); };
})"""


def test_a_stranger_hears_no_events(page: Page, site: Service) -> None:
    assert page.evaluate(EVENTS, f"{site.url}/v1/alerts?after=earliest") == []


FORM = """([url, type, name, value]) => {
  const form = document.createElement("form");
  Object.assign(form, { action: url, method: "post", enctype: type });
  const field = Object.assign(document.createElement("textarea"), { name, value });
  form.append(field);
  document.body.append(form);
  form.submit();
}"""


@pytest.mark.parametrize(
    "encoding", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_form_of_a_stranger_is_refused(page: Page, site: Service, encoding: str) -> None:
    """With `text/plain` a form can send JSON: its name is one half, its value the other."""
    half = BODY.index(":1750")
    with page.expect_navigation(url=f"{site.url}/**"):
        page.evaluate(FORM, [f"{site.url}/v1/points", encoding, BODY[:half], BODY[half:]])
    expect(page.locator("body")).to_contain_text("origin_refused")


@pytest.mark.parametrize("path", ["/", "/docs", "/#/models"])
def test_a_stranger_frames_no_page(page: Page, site: Service, path: str) -> None:
    page.evaluate(
        """async (url) => {
          const frame = Object.assign(document.createElement("iframe"), { src: url });
          const loaded = new Promise((settle) => (frame.onload = settle));
          document.body.append(frame);
          await loaded;
        }""",
        site.url + path,
    )
    assert not any(frame.url.startswith(site.url) for frame in page.frames)


def test_a_stranger_that_opens_the_page_in_a_window_has_no_hold_on_it(
    page: Page, site: Service
) -> None:
    with page.context.expect_page() as opening:
        page.evaluate("url => { window.held = window.open(url) }", f"{site.url}/#/models")
    opening.value.wait_for_load_state()
    assert page.evaluate("window.held.closed")  # cut off by the policy of openers
    assert opening.value.evaluate("window.opener === null")


SCRIPT = """async (url) => new Promise((settle) => {
  const script = Object.assign(document.createElement("script"), { src: url, type: "module" });
  script.onload = () => settle("loaded");
  script.onerror = () => settle("refused");
  document.body.append(script);
})"""


def test_files_of_the_page_run_nowhere_else(page: Page, site: Service) -> None:
    assert page.evaluate(SCRIPT, f"{site.url}/static/lib/api.js") == "refused"


# the key, on our own page


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Service]:
    settings = {"default_bundle": BUNDLE, "durability": "everysec", "api_keys": KEY}
    with Service(ROOT / "exported_models", tmp_path, **settings) as service:
        yield service


def test_the_page_asks_for_the_key_and_keeps_it_in_its_tab(
    browser: Browser, locked: Service, picture: Picture
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    page.goto(f"{locked.url}/#/models")
    form = page.get_by_role("textbox", name="Key")
    expect(form).to_be_visible()
    expect(form).to_have_attribute("type", "password")
    expect(page.get_by_role("article")).to_have_count(0)
    picture(page, "key-light")
    form.fill("not-the-key-0123456789")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is not known here")).to_be_visible()
    picture(page, "key-wrong-light")
    page.get_by_role("textbox", name="Key").fill(f" {KEY} ")
    page.get_by_role("button", name="Enter").click()
    expect(page.get_by_role("article", name=BUNDLE)).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()  # the socket, too
    assert page.url == f"{locked.url}/#/models"
    assert not any(KEY in address for address in addresses)
    assert not page.evaluate("document.cookie")
    assert page.evaluate("Object.values({ ...localStorage })") == []
    page.reload()
    expect(page.get_by_role("article", name=BUNDLE)).to_be_visible()
    other = context.new_page()
    other.goto(f"{locked.url}/#/models")
    expect(other.get_by_role("textbox", name="Key")).to_be_visible()
    context.close()


def test_the_api_is_tried_out_with_the_key_of_the_tab(
    browser: Browser, locked: Service, picture: Picture
) -> None:
    told: list[str] = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{locked.url}/docs")
        expect(page.get_by_role("link", name="Enter it on the page")).to_be_visible()
        page.evaluate("key => sessionStorage.setItem('gaugewatch.key', key)", KEY)
        page.on("console", lambda one: told.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto(f"{locked.url}/docs")
        expect(page.get_by_text("/v1/points").first).to_be_visible()
        is_dark = page.evaluate("document.documentElement.classList.contains('dark-mode')")
        assert is_dark == (scheme == "dark")
        picture(page, f"docs-{scheme}")
        page.locator("#operations-models-models_v1_models_get").click()
        page.get_by_role("button", name="Try it out").click()
        page.get_by_role("button", name="Execute").click()
        answer = page.locator("#operations-models-models_v1_models_get .live-responses-table")
        expect(answer).to_contain_text("200")
        expect(answer).to_contain_text("simulated-fleet")
        answer.scroll_into_view_if_needed()
        picture(page, f"docs-tried-{scheme}")
        context.close()
    assert told == []
