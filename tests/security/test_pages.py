"""Pages in a real browser: what strangers wrote is shown as text, and no other site acts through a browser."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest

from gateway.models.ids import new_id
from tests.browser import FOREIGN_HOST, find
from tests.conftest import StartGateway
from tests.gateway_fixtures import READ_KEY
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query
from tests.openapi_paths import without_endless
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

SECRET = "a-secret-of-at-least-32-characters"
MARK = "document.title='owned'"
HOSTILE = [
    f"<script>{MARK}</script>",
    f"'><img src=x onerror={MARK}>",
    f"</textarea><svg onload={MARK}>",
    f"</title><script>{MARK}</script>",
    f"{{{{ 7*7 }}}}{{% raw %}}<b onmouseover={MARK}>",
    f'" autofocus onfocus="{MARK}',
]
"""What would run, or be rendered, where text is pasted into HTML."""

COUNT_MARKUP = (
    "return document.querySelectorAll("
    "'script:not([src^=\"/\"]), img, [onload], [onfocus], [onerror], [onmouseover]').length"
)
"""Counts what only strangers would have put there; scripts of tests run all the same."""

PAGES = [
    "/docs", "/docs?q={hostile}", "/docs/{hostile}", "/f/{token}", "/f/{token}?v={hostile}", "/f/{hostile}",
    "/f/x/{hostile}", "/ui/{hostile}",
]  # fmt: skip


@pytest.fixture
def demo(start_gateway: StartGateway, upstream: UpstreamProcess) -> RunningGateway:
    """An open gateway that gives out tokens."""
    providers = {"up": {"base_url": f"{upstream.url}/v1"}}
    return start_gateway({"providers": providers, "feedback": {"tokens": {"keys": [SECRET]}}})


def ask(gateway: RunningGateway, upstream: UpstreamProcess, hostile: str) -> str:
    """Make a request that says this wherever it says anything; return the feedback token of its answer."""
    reply = {"id": hostile, "model": hostile, "choices": [{"message": {"content": hostile}}]}
    upstream.default(*answer(json.dumps(reply).encode()))
    metadata = json.dumps({"_user": hostile, "_prompt": hostile, hostile: hostile})
    # An id that looks like a template is refused.
    named = hostile.replace("{{", "{")
    fields = (
        f"x-portkey-trace-id: {named}",
        f"Helicone-Request-Id: {named}",
        f"x-portkey-metadata: {metadata}",
    )
    body = json.dumps({"model": hostile, "content": hostile}).encode()
    raw = request(b"POST", b"/v1/chat/completions", *(field.encode() for field in fields), body=body)
    return call(gateway.port, raw).value(b"x-gateway-feedback-token").decode()


def test_nothing_that_strangers_wrote_runs_or_becomes_markup_in_any_page(
    browser: WebDriver, demo: RunningGateway, upstream: UpstreamProcess
) -> None:
    for hostile in HOSTILE:
        token = ask(demo, upstream, hostile)
        vote = {"trace_id": hostile, "value": 1, "metadata": {hostile: hostile}}
        httpx.post(f"{demo.url}/v1/feedback", json=vote).raise_for_status()
        for page in PAGES:
            browser.get(demo.url + page.format(token=token, hostile=quote(hostile, safe="")))
            assert browser.title != "owned", page
            assert browser.execute_script(COUNT_MARKUP) == 0, page


def test_a_comment_that_comes_back_in_the_form_is_text_there(
    browser: WebDriver, demo: RunningGateway, upstream: UpstreamProcess
) -> None:
    token = ask(demo, upstream, "plain")
    for hostile in HOSTILE:
        browser.get(f"{demo.url}/f/{token}")
        # A form that lacks its vote comes back with its comment; a browser would not send it by itself.
        browser.execute_script("for (const e of document.querySelectorAll('[required]')) e.required = false")
        find(browser, "textarea").send_keys(hostile)
        find(browser, "button").click()
        assert find(browser, "[role=alert]")
        assert find(browser, "textarea").get_attribute("value") == hostile
        assert browser.title != "owned"


def test_every_page_forbids_foreign_scripts_and_frames(
    demo: RunningGateway, upstream: UpstreamProcess
) -> None:
    token = ask(demo, upstream, "plain")
    for path in ("/docs", "/docs/feedback", f"/f/{token}", "/f/no-token", "/f/x/y"):
        reply = httpx.get(demo.url + path)
        assert reply.headers["content-type"].startswith("text/html"), path
        policy = dict(
            part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["base-uri"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == ("same-origin" if "/docs" in path else "no-referrer")


def test_what_strangers_wrote_is_never_sent_as_a_page(
    demo: RunningGateway, upstream: UpstreamProcess
) -> None:
    ask(demo, upstream, HOSTILE[0])
    [row] = httpx.get(f"{demo.url}/api/v1/requests?limit=1").json()["data"]
    path = f"/api/v1/requests/{row['request_id'].replace('/', '%2F')}"
    for target in ("/api/v1/requests", path, f"{path}?raw=request", f"{path}?raw=response", "/api/v1/feedback",
                   "/api/v1/<script>", "/v1/logs/<script>", "/v1/request/<script>", "/api/feedback/<script>",
                   "/nobody/<script>", "/metrics", "/readyz"):  # fmt: skip
        reply = call(demo.port, request(b"GET", target.encode()))
        assert not reply.value(b"content-type").startswith(b"text/html"), target


@contextlib.contextmanager
def site(script: str) -> Iterator[str]:
    """A site of somebody else, whose only page runs this."""
    page = f"<!doctype html><title>waiting</title><script type=module>{script}</script>".encode()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://{FOREIGN_HOST}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


ATTACKS = """
const url = "%s", body = '{"trace_id": "stolen", "value": 1, "feedback": {"rating": 1}, "rating": true}';
const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
for (const path of ["/v1/feedback", "/api/feedback", "/v1/request/r/feedback", "/v1/chat/completions", "/v1/logs"])
  for (const type of types)
    for (const mode of ["no-cors", "cors"])
      await fetch(url + path, {method: "POST", mode, credentials: "include", headers: {"Content-Type": type}, body})
        .catch(() => 0);
let read = 0;
for (const path of ["/api/v1/requests", "/api/v1/feedback", "/metrics", "/v1/logs/exports"])
  await fetch(url + path, {credentials: "include"}).then(() => read++).catch(() => 0);
document.title = "done " + read;
"""


def attack(browser: WebDriver, gateway: RunningGateway) -> int:
    """Have a page of another site try what it can; return how much it could read."""
    with site(ATTACKS % gateway.url) as address:
        browser.get(address)
        eventually(lambda: browser.title.startswith("done"))
    return int(browser.title.removeprefix("done "))


def written_in(gateway: RunningGateway) -> int:
    """How many votes and requests there are."""
    sql = "SELECT (SELECT count(*) FROM feedback) + (SELECT count(*) FROM requests)"
    count: int = query(gateway.database, sql)[0][0]
    return count


def test_a_page_of_another_site_changes_nothing_and_reads_nothing_through_a_browser(
    browser: WebDriver, demo: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    assert attack(browser, demo) == 0
    assert upstream.take() == []
    assert written_in(demo) == 0


def test_where_nobody_checks_the_same_page_would_change_something(
    browser: WebDriver, start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    """What the test before this one tries does come through a browser, if the gateway lets it."""
    providers = {"up": {"base_url": f"{upstream.url}/v1"}}
    unchecked = start_gateway({"server": {"auth": "off"}, "providers": providers})
    assert attack(browser, unchecked) == 0, "no CORS fields, so it can send but not read"
    assert written_in(unchecked) > 0


def test_no_own_path_says_that_other_sites_may_read_it(demo: RunningGateway) -> None:
    document = without_endless(httpx.get(f"{demo.url}/openapi.json").json())
    origin = {"Origin": "http://localhost:3000"}
    asked = {
        **origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    # The widget is public: pages of other origins load it.
    paths = [*(document["paths"].keys() - {"/widget.js"}), "/v1/chat/completions", "/", "/nobody"]
    assert len(paths) > 40
    with httpx.Client(base_url=demo.url) as client:
        for path in paths:
            for method, headers in (("GET", origin), ("POST", origin), ("OPTIONS", asked)):
                told = client.request(method, path, headers=headers).headers
                assert not [name for name in told if name.startswith("access-control-")], (method, path)


# What clients ask before they have a key, and answers nothing of anybody.
OPEN_PATHS = (
    "/healthz", "/readyz", "/openapi.json", "/widget.js", "/langfuse/api/public/health", "/langsmith/info",
)  # fmt: skip


def test_no_own_path_sets_a_cookie_or_takes_one_for_a_key(guarded: RunningGateway) -> None:
    cookies = {"Cookie": f"x-portkey-api-key={READ_KEY}; session={READ_KEY}"}
    with httpx.Client(base_url=guarded.url) as client:
        for path, operations in client.get("/openapi.json").json()["paths"].items():
            is_open = path in OPEN_PATHS or path.startswith(("/f/", "/langsmith/feedback/tokens/"))
            for method in operations:
                reply = client.request(method, re.sub(r"{\w+}", new_id(), path), headers=cookies)
                assert "set-cookie" not in reply.headers, path
                assert is_open or reply.status_code in (401, 403), (method, path)
