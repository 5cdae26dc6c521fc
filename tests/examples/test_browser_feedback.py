"""The page that gives feedback itself, in a real browser, from another origin than the gateway's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tests.browser import find
from tests.conftest import StartGateway
from tests.examples.running import EXAMPLES
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

KEY = "gw-asks-only-0123456789"
SECRET = "a-secret-of-at-least-32-characters"
ENTRIES = "SELECT value, author, joined_at_us IS NOT NULL FROM feedback ORDER BY seq"


def config(*origins: str) -> dict[str, Any]:
    """A gateway whose only key asks, and whose tokens give feedback from pages of these origins."""
    keys = [{"name": "asks", "key": KEY, "role": "proxy"}]
    return {"keys": keys, "feedback": {"tokens": {"keys": [SECRET], "allow_origins": list(origins)}}}


@contextmanager
def serving(gateway: RunningGateway, port: int) -> Iterator[str]:
    """Serve the page with the example's own server; yields its URL."""
    environment = {**os.environ, "GATEWAY_URL": gateway.url, "GATEWAY_KEY": KEY, "PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "browser_feedback/serve.py"],
        cwd=EXAMPLES,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().removeprefix("open ").strip()
        finally:
            process.terminate()


def ask(browser: WebDriver, page: str) -> None:
    browser.get(page)
    find(browser, "#question").send_keys("Is this safe?")
    find(browser, "#ask button").click()
    assert "Is this safe?" in eventually(lambda: find(browser, "#text").text)


def entries(gateway: RunningGateway) -> list[tuple[object, ...]]:
    """Value, author and whether it was joined, of each entry."""
    return [tuple(entry) for entry in query(gateway.database, ENTRIES)]


def test_a_page_gives_feedback_with_the_token_of_an_answer_and_needs_no_key(
    browser: WebDriver, start_gateway: StartGateway
) -> None:
    port = closed_port()
    gateway = start_gateway(config(f"http://127.0.0.1:{port}"), arguments=("--demo",))
    with serving(gateway, port) as page:
        ask(browser, page)
        find(browser, 'button[aria-label="Good answer"]').click()
        eventually(lambda: find(browser, "#status").text == "Thank you!")
        assert entries(gateway) == [(10, "feedback token", True)]
        assert not browser.get_log("browser")  # type: ignore[attr-defined]

        find(browser, "#later").click()
        find(browser, "label[for=down]").click()
        find(browser, "form button").click()
        assert find(browser, "div[role=status]").text == "Your feedback is saved: Bad."
        assert entries(gateway)[1:] == [(-1, "feedback token", True)]


def test_a_page_of_an_origin_that_is_not_allowed_cannot_give_feedback(
    browser: WebDriver, start_gateway: StartGateway
) -> None:
    gateway = start_gateway(config("https://app.example.com"), arguments=("--demo",))
    with serving(gateway, 0) as page:
        ask(browser, page)
        find(browser, 'button[aria-label="Good answer"]').click()
        eventually(lambda: find(browser, "#status").text.startswith("That did not work"))
        assert "CORS policy" in str(browser.get_log("browser"))  # type: ignore[attr-defined]
    assert entries(gateway) == []


def test_the_page_never_holds_the_key(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config(), arguments=("--demo",))
    with serving(gateway, 0) as page:
        shown = [
            httpx.get(page),
            httpx.get(f"{page}feedback.js"),
            httpx.post(f"{page}ask", content=b"Hello?"),
        ]
        assert [reply.status_code for reply in shown] == [200] * 3
        assert KEY not in "".join(reply.text + str(reply.headers) for reply in shown)
        assert httpx.get(f"{page}serve.py").status_code == 404
        assert httpx.post(f"{page}v1/chat/completions", json={}).status_code == 400
