"""The page with thumbs, used in a real browser as a visitor would."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import find
from tests.demo_gateway import GATEWAY_KEY, read_trace
from tests.examples.running import EXAMPLES, environment
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[str]:
    """Serve the page with the example's own server; yields its URL."""
    with subprocess.Popen(
        [sys.executable, "thumbs/serve.py"],
        cwd=EXAMPLES,
        env={**environment, "PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().removeprefix("open ").strip()
        finally:
            process.terminate()


@pytest.fixture
def page(demo: RunningGateway) -> Iterator[str]:
    """The page's URL."""
    with serving(environment(demo)) as url:
        yield url


def test_a_visitors_thumb_reaches_the_answers_trace(
    browser: WebDriver, page: str, demo: RunningGateway
) -> None:
    browser.get(page)
    find(browser, "#question").send_keys("Is <b>this</b> safe?")
    find(browser, "#ask button").click()
    assert "Is <b>this</b> safe?" in find(browser, ".answer").text

    find(browser, 'button[aria-label="Good answer"]').click()
    find(browser, 'button[aria-label="Good answer"][aria-pressed="true"]')
    [[trace_id]] = query(demo.database, "SELECT trace_id FROM feedback ORDER BY seq DESC LIMIT 1")
    [entry] = read_trace(demo, trace_id)["feedback"]
    assert (entry["value"], entry["version"]) == (10, 1)
    assert entry["joined_at"] is not None

    find(browser, 'button[aria-label="Bad answer"]').click()
    find(browser, 'button[aria-label="Bad answer"][aria-pressed="true"]')
    find(browser, 'button[aria-label="Good answer"][aria-pressed="false"]')
    [changed] = read_trace(demo, trace_id)["feedback"]
    assert changed["feedback_id"] == entry["feedback_id"]
    assert (changed["value"], changed["version"]) == (-10, 2)
    assert not browser.get_log("browser")  # type: ignore[attr-defined]


def test_a_visitor_is_told_when_the_gateway_cannot_be_reached(
    browser: WebDriver, demo: RunningGateway
) -> None:
    with serving({**environment(demo), "GATEWAY_URL": f"http://127.0.0.1:{closed_port()}"}) as page:
        browser.get(page)
        find(browser, "#question").send_keys("Anybody?")
        find(browser, "#ask button").click()
        assert "502" in eventually(lambda: find(browser, "#problem").text)


def test_the_page_forwards_nothing_but_chat_and_feedback_and_never_shows_the_key(page: str) -> None:
    for path in ("/", "/thumbs.js", "/thumbs.css"):
        reply = httpx.get(page.rstrip("/") + path).raise_for_status()
        assert GATEWAY_KEY not in reply.text + str(reply.headers)
        assert reply.headers["content-security-policy"].startswith("default-src 'self'")
    assert httpx.get(f"{page}serve.py").status_code == httpx.codes.NOT_FOUND
    assert httpx.post(f"{page}v1/embeddings", json={}).status_code == httpx.codes.FORBIDDEN
    assert httpx.get(f"{page}api/v1/requests").status_code == httpx.codes.NOT_FOUND
