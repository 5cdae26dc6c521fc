"""The widget and the React component on pages of another origin, in a real browser, with the examples' server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.browser import find
from tests.conftest import StartGateway
from tests.examples.running import EXAMPLES
from tests.gateway_fixtures import closed_port
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

KEY = "gw-asks-only-0123456789"
SECRET = "a-secret-of-at-least-32-characters"
REACT = EXAMPLES / "react"
ENTRIES = (
    "SELECT kind, score, label, comment, original_text, edited_text, version FROM feedback"
    " WHERE joined_at_us IS NOT NULL AND author = 'feedback token' ORDER BY seq"
)


def config(*origins: str) -> dict[str, Any]:
    """A gateway whose only key asks, and whose tokens give feedback from pages of these origins."""
    keys = [{"name": "asks", "key": KEY, "role": "proxy"}]
    return {"keys": keys, "feedback": {"tokens": {"keys": [SECRET], "allow_origins": list(origins)}}}


@contextmanager
def serving(gateway: RunningGateway, port: int, folder: str) -> Iterator[str]:
    environment = {**os.environ, "GATEWAY_URL": gateway.url, "GATEWAY_KEY": KEY, "PORT": str(port)}
    command = [sys.executable, "widget/serve.py", folder]
    with subprocess.Popen(
        command, cwd=EXAMPLES, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().removeprefix("open ").strip()
        finally:
            process.terminate()


def ask(browser: WebDriver, page: str, kind: str | None = None) -> None:
    """Ask, and choose by what element feedback is given."""
    browser.get(page)
    if kind is not None:
        find(browser, f"#type [value={kind}]").click()
    # The page shows its last answer again, which is not the one to wait for.
    browser.execute_script("document.getElementById('answer')?.replaceChildren()")
    find(browser, "#question").send_keys("Is this safe?")
    find(browser, "form button").click()
    assert "Is this safe?" in eventually(lambda: find(browser, "#answer").text)


class Widget:
    """The widget on the page, by what a reader perceives of it."""

    def __init__(self, browser: WebDriver) -> None:
        self._browser = browser

    def all(self, selector: str) -> list[WebElement]:
        root = find(self._browser, "gateway-feedback:defined").shadow_root
        found = root.find_elements("css selector", selector)
        # Radio buttons are drawn as stars, and transparent themselves.
        return [each for each in found if each.is_displayed() or each.tag_name == "input"]

    def named(self, name: str) -> WebElement:
        controls = "button, summary, textarea, input"
        return eventually(lambda: [each for each in self.all(controls) if each.accessible_name == name])[0]

    def pressed(self) -> list[str]:
        return [each.accessible_name for each in self.all("[aria-pressed=true]")]

    def says(self, words: str) -> bool:
        eventually(lambda: any(words in each.text for each in self.all("[role=status]")))
        return True


def entries(gateway: RunningGateway) -> list[tuple[object, ...]]:
    return [tuple(entry) for entry in query(gateway.database, ENTRIES)]


def test_feedback_is_given_changed_and_found_again(browser: WebDriver, start_gateway: StartGateway) -> None:
    port = closed_port()
    gateway = start_gateway(config(f"http://127.0.0.1:{port}"), arguments=("--demo",))
    widget = Widget(browser)
    with serving(gateway, port, "widget") as page:
        ask(browser, page)
        widget.named("👍 Good").click()
        assert widget.says("your feedback is saved")
        assert entries(gateway) == [("thumb", 1, None, None, None, None, 1)]
        widget.named("👎 Bad").click()
        widget.named("too long").click()
        widget.named("Anything to add?").send_keys("Half of it\n<b>would</b> do")
        widget.named("Send").click()
        given = ("thumb", -1, "too long", "Half of it\n<b>would</b> do", None, None)
        eventually(lambda: entries(gateway)[-1][:-1] == given)
        assert len(entries(gateway)) == 1

        browser.refresh()
        eventually(lambda: widget.pressed() == ["👎 Bad", "too long"])
        assert widget.named("Anything to add?").get_property("value") == given[3]
        widget.named("👍 Good").click()
        eventually(lambda: entries(gateway)[0][:-1] == ("thumb", 1, *given[2:]))

        ask(browser, page, "edit")
        widget.named("Improve this answer").click()
        better = widget.named("Improve this answer")
        area = next(each for each in widget.all("textarea"))
        original = str(area.get_property("value"))
        assert "Is this safe?" in original
        area.clear()
        area.send_keys("Yes.")
        widget.named("Send").click()
        assert widget.says("your feedback is saved")
        assert entries(gateway)[1] == ("edit", None, None, None, original, "Yes.", 1)
        assert better.is_displayed()
        browser.refresh()
        eventually(lambda: [each.text for each in widget.all("pre")] == ["Yes."])
        # Neither the browser's policy for the page nor a missing origin was in the way.
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]  # type: ignore[attr-defined]


def test_a_keyboard_is_enough_and_every_control_is_named_and_large(
    browser: WebDriver, start_gateway: StartGateway
) -> None:
    keys = pytest.importorskip("selenium.webdriver").Keys
    port = closed_port()
    gateway = start_gateway(config(f"http://127.0.0.1:{port}"), arguments=("--demo",))
    widget = Widget(browser)

    def press(*pressed: str) -> None:
        for key in pressed:
            browser.switch_to.active_element.send_keys(key)

    with serving(gateway, port, "widget") as page:
        ask(browser, page, "stars")
        widget.named("1 of 5 stars")
        press(keys.TAB, keys.SPACE, keys.ARROW_RIGHT, keys.ARROW_RIGHT, keys.ARROW_RIGHT)
        eventually(lambda: [entry[:2] for entry in entries(gateway)] == [("rating", 0.5)])
        press(keys.TAB, keys.ENTER, keys.TAB, keys.TAB, keys.TAB, "By hand", keys.TAB, keys.ENTER)
        eventually(lambda: entries(gateway)[0][:4] == ("rating", 0.5, "wrong", "By hand"))
        assert widget.says("your feedback is saved")
        [group] = widget.all("[role=radiogroup]")
        assert group.accessible_name == "How was this answer?"
        for control in widget.all("button, label"):
            assert min(control.size["height"], control.size["width"]) >= 44
        browser.refresh()
        eventually(lambda: widget.named("4 of 5 stars").is_selected())


def test_a_page_of_an_origin_that_is_not_allowed_says_so_and_may_try_again(
    browser: WebDriver, start_gateway: StartGateway
) -> None:
    port = closed_port()
    gateway = start_gateway(config("https://app.example.com"), arguments=("--demo",))
    widget = Widget(browser)
    with serving(gateway, port, "widget") as page:
        ask(browser, page, "reasons")
        widget.named("wrong").click()
        assert widget.says("This page may not send feedback.")
        assert entries(gateway) == []
        gateway.write_config(config(f"http://127.0.0.1:{port}"))
        gateway.signal(signal.SIGHUP)
        eventually(lambda: "configuration reloaded" in gateway.log())
        widget.named("Try again").click()
        assert widget.says("your feedback is saved")
        assert [entry[:3] for entry in entries(gateway)] == [("custom", None, "wrong")]

        for nowhere in (f"http://127.0.0.1:{closed_port()}", "not a URL"):
            move = "document.querySelector('gateway-feedback').setAttribute('gateway', arguments[0])"
            browser.execute_script(move, nowhere)
            widget.named("wrong").click()
            assert widget.says("Your feedback was not sent.")
        assert "Uncaught" not in str(browser.get_log("browser"))  # type: ignore[attr-defined]


@pytest.mark.skipif(
    not (REACT / "node_modules").is_dir(), reason="run `npm ci` in examples/react to install React"
)
def test_the_react_component_gives_feedback_and_changes_it(
    browser: WebDriver, start_gateway: StartGateway
) -> None:
    subprocess.run(["npm", "run", "build"], cwd=REACT, check=True, capture_output=True)
    port = closed_port()
    gateway = start_gateway(config(f"http://127.0.0.1:{port}"), arguments=("--demo",))
    with serving(gateway, port, "react/public") as page:
        ask(browser, page)
        for position, score in ((1, 1), (2, -1)):
            find(browser, f".feedback-buttons button:nth-child({position})").click()
            find(browser, f".feedback-buttons button:nth-child({position})[aria-pressed=true]")
            assert [entry[:2] for entry in entries(gateway)] == [("thumb", score)]
        assert find(browser, "[role=status]").text == "Thank you for your feedback."


def test_pages_never_hold_the_key(start_gateway: StartGateway) -> None:
    gateway = start_gateway(config(), arguments=("--demo",))
    with serving(gateway, 0, "widget") as page:
        shown = [httpx.get(page), httpx.get(f"{page}page.js"), httpx.post(f"{page}ask", content=b"Hello?")]
        assert [reply.status_code for reply in shown] == [200] * 3
        assert KEY not in "".join(reply.text + str(reply.headers) for reply in shown)
        assert httpx.get(f"{page}serve.py").status_code == 404
