"""The page for votes in a real browser, as whoever was sent a link would use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import find
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import query, wait_until_stored

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

VOTES = "SELECT value, comment, version, request_id FROM feedback"
SECRET = "a-secret-of-at-least-32-characters"

WIDTHS = {"desktop": (1280, 800), "phone": (360, 740)}


@pytest.fixture
def demo(start_gateway: StartGateway) -> RunningGateway:
    """A gateway that gives out tokens."""
    return start_gateway({"feedback": {"tokens": {"keys": [SECRET]}}}, arguments=("--demo",))


@pytest.fixture
def link(demo: RunningGateway) -> str:
    """The link to the page for an answer that was just given."""
    question = {"model": "demo-chat", "messages": [{"role": "user", "content": "A private question"}]}
    answer = httpx.post(f"{demo.url}/v1/chat/completions", json=question).raise_for_status()
    # Pages wait for it no longer than a second, which a busy machine may need to start the ingester.
    wait_until_stored(demo.database)
    return f"{demo.url}/f/{answer.headers['x-gateway-feedback-token']}"


def votes(demo: RunningGateway) -> list[tuple[object, ...]]:
    """Value, comment and version of what was voted, all of it on the request."""
    found = query(demo.database, VOTES)
    assert all(entry["request_id"] for entry in found)
    return [tuple(entry)[:3] for entry in found]


def vote_by_mouse(browser: WebDriver, link: str, demo: RunningGateway) -> None:
    browser.get(link)
    assert "private" not in browser.page_source
    assert "Answered on" in find(browser, "p").text
    find(browser, "label[for=down]").click()
    find(browser, "textarea").send_keys("Too long.\nAnd <i>wrong</i>.")
    assert votes(demo) == []
    find(browser, "button").click()
    assert find(browser, "[role=status] p").text == "Your feedback is saved: Bad, with your comment:"
    assert find(browser, "blockquote").text == "Too long.\nAnd <i>wrong</i>."
    assert votes(demo) == [(-1, "Too long.\nAnd <i>wrong</i>.", 1)]

    find(browser, "a").click()
    assert find(browser, "#down").is_selected()
    find(browser, "label[for=up]").click()
    find(browser, "button").click()
    assert find(browser, "[role=status] p").text == "Your feedback is saved: Good, with your comment:"
    assert votes(demo) == [(1, "Too long.\nAnd <i>wrong</i>.", 2)]

    find(browser, "a").click()
    find(browser, "textarea").clear()
    find(browser, "button").click()
    # Waits for the next page, as a click may return before the form is sent.
    assert find(browser, "[role=status]").text == "Your feedback is saved: Good."
    assert votes(demo) == [(1, None, 3)]
    assert not browser.get_log("browser")  # type: ignore[attr-defined]


def test_a_reader_gives_feedback_and_changes_it(browser: WebDriver, link: str, demo: RunningGateway) -> None:
    vote_by_mouse(browser, link, demo)


def test_javascript_is_not_needed(
    browser_without_javascript: WebDriver, link: str, demo: RunningGateway
) -> None:
    vote_by_mouse(browser_without_javascript, link, demo)


def test_a_keyboard_is_enough(browser: WebDriver, link: str, demo: RunningGateway) -> None:
    keys = pytest.importorskip("selenium.webdriver").Keys

    def press(*pressed: str) -> None:
        for key in pressed:
            browser.switch_to.active_element.send_keys(key)

    browser.get(link)
    find(browser, "body").send_keys(keys.TAB)
    press(keys.ARROW_DOWN, keys.TAB, "By hand", keys.TAB, keys.ENTER)
    assert "saved: Bad, with your comment:" in find(browser, "[role=status]").text
    assert votes(demo) == [(-1, "By hand", 1)]


def test_a_link_that_chooses_a_thumb_leaves_the_feedback_to_the_reader(
    browser: WebDriver, link: str, demo: RunningGateway
) -> None:
    browser.get(f"{link}?v=up")
    assert find(browser, "#up").is_selected()
    assert votes(demo) == []
    find(browser, "button").click()
    assert find(browser, "[role=status]").text == "Your feedback is saved: Good."
    assert votes(demo) == [(1, None, 1)]


def test_feedback_must_be_chosen_before_anything_is_sent(
    browser: WebDriver, link: str, demo: RunningGateway
) -> None:
    browser.get(link)
    find(browser, "button").click()
    assert browser.find_elements("css selector", "input:invalid")
    assert find(browser, "h1").text == "How was this answer?"
    assert votes(demo) == []


@pytest.mark.parametrize(("width", "height"), WIDTHS.values(), ids=list(WIDTHS))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_a_desk_by_day_and_night(
    browser: WebDriver, link: str, width: int, height: int, scheme: str
) -> None:
    emulate = browser.execute_cdp_cmd
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    emulate("Emulation.setDeviceMetricsOverride", size)
    emulate("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(link)
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    assert browser.execute_script("return document.documentElement.scrollHeight") <= height
    for touched in ("label[for=up]", "label[for=down]", "button"):
        assert find(browser, touched).size["height"] >= 44, "too small for a thumb"
    ground = browser.execute_script("return getComputedStyle(document.querySelector('main')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(24, 28, 32)"}[scheme]


def test_every_field_has_a_name_that_is_read_out(browser: WebDriver, link: str) -> None:
    browser.get(link)
    named = [find(browser, field).accessible_name for field in ("#up", "#down", "textarea", "button")]
    assert named == ["Good", "Bad", "Anything to add? (optional)", "Send"]
    assert find(browser, "fieldset").accessible_name == "Your feedback"
