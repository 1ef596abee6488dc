"""Pages in a real browser and the server of `helios-job up`: it refuses a foreign page and accepts a link's page.

Needs Debian's chromium.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from prefect.settings import PREFECT_API_AUTH_STRING

from farm.server.credentials import ServerAccess, client_headers
from testbed.http_server import Answer, answering
from tests.browser.test_ui import CHROMIUM, PATIENCE_MS

pytestmark = [
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium"),
    pytest.mark.timeout(900),
]
ATTACK = """async url => {
    const got = {};
    const attempt = async (name, path, options) => {
        try {
            const answer = await fetch(url + path, options);
            got[name] = answer.type === "opaque" ? "" : await answer.text();
        } catch { got[name] = ""; }
    };
    const json = body => ({ method: "POST", headers: { "content-type": "application/json" }, body });
    await attempt("flow", "/api/flows/", json('{"name": "attack"}'));
    await attempt("no-cors", "/api/flows/", { method: "POST", mode: "no-cors", body: '{"name": "attack-no-cors"}' });
    await attempt("kept", "/api/flows/", { ...json('{"name": "attack-kept"}'), credentials: "include" });
    await attempt("read", "/api/flows/filter", json("{}"));
    await attempt("health", "/api/health");
    await attempt("page", "/helios/open");
    await attempt("link", "/helios/new-link", { method: "POST" });
    got.socket = await new Promise(done => {
        const socket = new WebSocket(url.replace("http", "ws") + "/api/events/out", ["prefect"]);
        socket.onopen = () => done("open");
        socket.onerror = () => done("");
    });
    return got;
}"""
FRAME = """url => new Promise(done => {
    const frame = document.createElement("iframe");
    frame.onload = () => done(frame.contentWindow.length);
    frame.src = url;
    document.body.append(frame);
})"""


@pytest.fixture
def access(prefect_api: str) -> ServerAccess:
    """The address and the credential of the tests' server."""
    return ServerAccess(prefect_api, str(PREFECT_API_AUTH_STRING.value()))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium, in which each test has a profile of its own."""
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


def _flow_names(access: ServerAccess) -> set[str]:
    found: list[dict[str, Any]] = httpx.post(
        f"{access.url}/flows/filter", json={}, headers=client_headers(), timeout=60
    ).raise_for_status().json()  # fmt: skip
    return {flow["name"] for flow in found}


def test_a_foreign_page(access: ServerAccess, browser: Browser) -> None:
    """In a browser that has the credential, a page of another port can't write to the server, read it or frame it."""

    def page_of_theirs(_method: str, _path: str, _headers: dict[str, str], _body: bytes) -> Answer:
        return 200, {"content-type": "text/html"}, b"<!doctype html><title>theirs</title>"

    page = browser.new_context().new_page()
    page.goto(access.new_link())
    page.wait_for_url("**/dashboard**", timeout=PATIENCE_MS)
    with answering(page_of_theirs) as theirs:
        page.goto(theirs)
        got = page.evaluate(ATTACK, access.ui)
        assert len(got) == 8
        assert set(got.values()) == {""}
        page.evaluate(FRAME, f"{access.ui}/v2/dashboard")
        (frame,) = page.frames[1:]
        assert "127.0.0.1" not in frame.url  # the browser shows an error page instead
    assert not {name for name in _flow_names(access) if name.startswith("attack")}


def test_a_name_that_points_here(access: ServerAccess, browser: Browser) -> None:
    """A page whose own name was made to point to this machine (DNS rebinding) reads and writes nothing there."""
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP evil.test 127.0.0.1",
    ]
    theirs = f"http://evil.test:{access.port}"
    rebound = browser.browser_type.launch(executable_path=str(CHROMIUM), args=flags)
    try:
        page = rebound.new_page()
        answer = page.goto(f"{access.ui}/api/health")
        assert answer is not None
        assert answer.status == 200
        answer = page.goto(f"{theirs}/api/health")
        assert answer is not None
        assert answer.status == 400
        got = page.evaluate(ATTACK, theirs)  # from a page of that name: nothing but the server keeps it out
        assert got.pop("socket") == ""
        assert len(got) == 7
        assert all(text.startswith("Use this server as 127.0.0.1:") for text in got.values())
    finally:
        rebound.close()
    assert not {name for name in _flow_names(access) if name.startswith("attack")}


@pytest.mark.slow
def test_a_link_opens_both_uis_once(access: ServerAccess, browser: Browser) -> None:
    """Without a link Prefect asks for a password; with it both UIs load data; a used link helps no other browser."""
    made = httpx.post(f"{access.url}/flows/", json={"name": "shown-in-the-ui"}, headers=client_headers())
    made.raise_for_status()
    flow = made.json()["id"]
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(access.ui)
    page.wait_for_url("**/login**")
    link = access.new_link()
    page.goto(link)
    page.wait_for_url("**/v2/dashboard**")
    # The UI checks the credential as it starts, and forgets it if a new page interrupts that.
    expect(page.get_by_text("Dashboard").first).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{access.ui}/v2/flows/flow/{flow}")
    expect(page.get_by_text("shown-in-the-ui").first).to_be_visible(timeout=PATIENCE_MS)
    page.goto(f"{access.ui}/flows/flow/{flow}")
    expect(page.get_by_text("shown-in-the-ui").first).to_be_visible(timeout=PATIENCE_MS)
    page.goto(link)  # a browser that has the credential already goes on to the UI
    page.wait_for_url("**/v2/**")
    other = browser.new_context().new_page()
    other.goto(link)
    expect(other.get_by_text("This link does not work any more")).to_be_visible(timeout=PATIENCE_MS)
    expect(other.get_by_text("run helios-job up in another terminal")).to_be_visible()
    assert "token" not in other.url
    assert other.evaluate("localStorage.length") == 0
