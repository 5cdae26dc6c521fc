"""People at work on the pages, in a real browser: by keyboard, by mouse, and without JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.browser import find
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.ui_pages import ADMIN_KEY, READER_KEY, REVIEWER_KEY, TENANT_KEY, ask_api, sign_in

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

ALL = "/ui/feedback?rating=bad&from=all"


def query_of(browser: WebDriver) -> dict[str, str]:
    """The parameters in the address bar."""
    return {name: values[0] for name, values in parse_qs(urlsplit(browser.current_url).query).items()}


def path_of(browser: WebDriver) -> str:
    return urlsplit(browser.current_url).path


def press(browser: WebDriver, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def set_width(browser: WebDriver, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def follow(browser: WebDriver, element: Any) -> None:
    """Click what leads to another page, and wait for that."""
    browser.execute_script("window.left = false")
    element.click()
    wait_for_page(browser)


def wait_for_page(browser: WebDriver) -> None:
    eventually(
        lambda: browser.execute_script(
            "return window.left === undefined && document.readyState == 'complete'"
        )
    )


def submit(browser: WebDriver, *keys: str) -> None:
    """Press keys of which the last one leads to another page."""
    browser.execute_script("window.left = false")
    press(browser, *keys)
    wait_for_page(browser)


def given_by(gateway: RunningGateway, author: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask_api(gateway, f"/api/v1/feedback?author={author}")["data"]
    return found


def is_there(browser: WebDriver, selector: str) -> bool:
    """Tell at once whether the page has such an element."""
    found: bool = browser.execute_script("return document.querySelector(arguments[0]) !== null", selector)
    return found


def test_a_reviewer_works_by_keyboard_alone(browser: WebDriver, demo_pages: RunningGateway) -> None:
    keys = pytest.importorskip("selenium.webdriver").Keys
    set_width(browser, 1400)
    browser.get(f"{demo_pages.url}{ALL}")
    assert path_of(browser) == "/ui/sign-in"
    assert browser.switch_to.active_element.get_attribute("id") == "key"
    submit(browser, REVIEWER_KEY, keys.ENTER)
    assert (path_of(browser), query_of(browser)) == ("/ui/feedback", {"rating": "bad", "from": "all"})

    first = find(browser, "[data-item][aria-current=true]").get_attribute("href")
    items = browser.find_elements("css selector", "[data-item]")
    at = next(at for at, item in enumerate(items) if item.get_attribute("href") == first)
    # What waits for its request cannot be reviewed.
    steps = next(
        step for step, item in enumerate(items[at + 1 :], 1) if "waits for its request" not in item.text
    )
    following = items[at + steps].get_attribute("href")
    press(browser, *("j" * steps))
    second = eventually(lambda: browser.current_url == following and query_of(browser)["item"])
    assert second not in first
    eventually(lambda: find(browser, "#detail input[name=return_to]").get_attribute("value").find(second) > 0)
    request_id = find(browser, "#detail input[name=request_id]").get_attribute("value")

    press(browser, "l")
    submit(browser, "by keyboard", keys.ENTER)
    assert query_of(browser)["item"] == second
    press(browser, "c")
    submit(browser, "a comment", keys.TAB, keys.ENTER)
    press(browser, "b")
    submit(browser, keys.CONTROL + "a", "a better answer", keys.TAB, keys.ENTER)
    wanted = {("by keyboard", None, None), (None, "a comment", None), (None, None, "a better answer")}
    names = ("label", "comment", "edited_text")
    # Other tests may have written as her too.
    eventually(
        lambda: (
            wanted
            <= {
                tuple(each[name] for name in names)
                for each in given_by(demo_pages, "rita")
                if each["request_id"] == request_id
            }
        )
    )
    shown = find(browser, "#detail").text
    assert "by keyboard" in shown
    assert "a comment" in shown

    submit(browser, "e")
    reviews = {each["request_id"]: each for each in ask_api(demo_pages, "/api/v1/reviews")["data"]}
    review = reviews[request_id]
    assert (review["reviewer"], review["state"]) == ("rita", "reviewed")
    submit(browser, "n")
    assert path_of(browser).startswith("/ui/requests/")
    assert "yours until" in find(browser, "form.review").text

    press(browser, "?")
    assert find(browser, "dialog[open]")
    press(browser, keys.ESCAPE)
    assert not is_there(browser, "dialog[open]")
    for key, place in (
        ("c", "compare"),
        ("o", "overview"),
        ("s", "sessions"),
        ("u", "users"),
        ("r", "requests"),
    ):
        submit(browser, "g", key)
        assert path_of(browser) == f"/ui/{place}"
    press(browser, "/")
    submit(browser, "the", keys.ENTER)
    assert query_of(browser)["q"] == "the"
    hits = [each.get_attribute("href") for each in browser.find_elements("css selector", "[data-item]")]
    press(browser, "j", "j", "j", "k")
    submit(browser, "o")
    assert browser.current_url == hits[1]
    browser.back()
    assert query_of(browser)["q"] == "the"
    assert not [each for each in browser.get_log("browser") if each["level"] == "SEVERE"]  # type: ignore[attr-defined]


def change_filters(browser: WebDriver) -> None:
    """Use each part of the sentence, on the page of feedback."""

    def phrase() -> str:
        text: str = find(browser, ".sentence").text
        return text

    def open_word(text: str) -> Any:
        words = browser.find_elements("css selector", ".sentence details > summary")
        [word] = [each for each in words if text in each.text]
        word.click()
        return word.find_element("xpath", "..")

    open_word("score is below 0").find_element("css selector", "option:not([selected])").click()
    changed = open_box(browser)
    follow(browser, changed.find_element("css selector", "button"))
    assert query_of(browser)["rating"] != "bad"
    open_word("score is")
    follow(browser, open_box(browser).find_element("link text", "Remove"))
    assert "rating" not in query_of(browser)
    box = open_word("add filter")
    box.find_element("css selector", "[name=value]").send_keys("no-such-model")
    follow(browser, box.find_element("css selector", "button"))
    assert "model is no-such-model" in phrase()
    assert "No feedback match" in find(browser, ".empty").text
    open_word("model is").find_element("css selector", "a.button").click()
    open_word("all time")
    follow(browser, open_box(browser).find_element("link text", "last 7 days"))
    assert query_of(browser) == {"from": "7d"}
    browser.back()
    assert query_of(browser) == {"from": "all"}


def open_box(browser: WebDriver) -> Any:
    return find(browser, ".sentence details[open]")


def read_and_judge(browser: WebDriver, gateway: RunningGateway, author: str) -> None:
    """Walk through the list of feedback to a request, and judge it."""
    items = browser.find_elements("css selector", "a[data-item]")
    assert len(items) == 25
    follow(browser, find(browser, "a[rel=next]"))
    assert "cursor" in query_of(browser)
    follow(browser, find(browser, "#detail [data-open]"))
    for tab in ("timeline", "raw", "headers", "feedback"):
        follow(browser, find(browser, f".tabs a[href$='tab={tab}']"))
        assert find(browser, ".tabs [aria-current]").text.lower().startswith(tab)
    follow(browser, find(browser, ".give button[value=down]"))
    follow(browser, find(browser, ".give button[value=up]"))
    [thumb] = [each for each in given_by(gateway, author) if each["kind"] == "thumb"]
    assert (thumb["value"], thumb["version"]) == (1, 2), "the second one replaces the first"


def test_javascript_is_not_needed(browser_without_javascript: WebDriver, demo_pages: RunningGateway) -> None:
    browser = browser_without_javascript
    set_width(browser, 1400)
    sign_in(browser, demo_pages, ADMIN_KEY)
    browser.get(f"{demo_pages.url}{ALL}")
    change_filters(browser)
    browser.get(f"{demo_pages.url}/ui/feedback?from=all")
    read_and_judge(browser, demo_pages, "ann")
    browser.get(f"{demo_pages.url}/ui/compare")
    follow(browser, find(browser, "table.arms td a"))
    assert query_of(browser)["model"]
    for page in ("overview", "requests?q=the", "sessions", "users", "reviews", "settings"):
        browser.get(f"{demo_pages.url}/ui/{page}")
        # What the driver itself calls the text takes it a second for a long list.
        assert len(find(browser, "main").get_property("innerText")) > 200, page
    find(browser, ".menu > summary").click()
    follow(browser, find(browser, ".menu form button"))
    assert path_of(browser) == "/ui/sign-in"


def test_an_admin_watches_makes_keys_and_erases(browser: WebDriver, demo_pages: RunningGateway) -> None:
    # Narrow pages have fewer columns.
    set_width(browser, 1400)
    sign_in(browser, demo_pages, ADMIN_KEY)
    call = {"model": "demo-live", "messages": [{"role": "user", "content": "Hello"}], "user": "live-user"}
    authorization = {"Authorization": f"Bearer {ADMIN_KEY}"}

    browser.get(f"{demo_pages.url}/ui/requests?from=all")
    follow(browser, browser.find_element("partial link text", "Live"))
    assert query_of(browser)["live"] == "on"
    # The list begins with the first request after it listens; until then there may be none.
    eventually(
        lambda: (
            httpx.post(f"{demo_pages.url}/v1/chat/completions", json=call, headers=authorization).is_success
            and is_there(browser, "tr.fresh")
        )
    )
    row = find(browser, "tr.fresh")
    assert {"demo-live", "live-user"} <= set(row.text.split())
    follow(browser, row.find_element("link text", "live-user"))
    assert path_of(browser) == "/ui/users/live-user"

    find(browser, "main details > summary").click()
    find(browser, "form[action$=erase] input[name=name]").send_keys("somebody else")
    follow(browser, find(browser, "form[action$=erase] button"))
    assert "repeat the user" in find(browser, "main").get_property("innerText")
    browser.back()
    if not is_there(browser, "details[open] form[action$=erase]"):
        find(browser, "main details > summary").click()
    field = find(browser, "form[action$=erase] input[name=name]")
    field.clear()
    field.send_keys("live-user")
    follow(browser, find(browser, "form[action$=erase] button"))
    assert path_of(browser) == "/ui/users"
    assert ask_api(demo_pages, "/api/v1/requests?user=live-user")["data"] == []

    browser.get(f"{demo_pages.url}/ui/settings")
    find(browser, "#keys details > summary").click()
    find(browser, "#keys [name=name]").send_keys("made on the page")
    follow(browser, find(browser, "#keys form[action$=keys] button"))
    key = find(browser, "#token").text
    asked = ask_api(demo_pages, "/api/v1/requests?limit=1", key)
    assert asked["data"]
    follow(browser, find(browser, "[aria-label='Revoke made on the page']"))
    assert not is_there(browser, "[aria-label='Revoke made on the page']")
    gone = httpx.get(f"{demo_pages.url}/api/v1/requests", headers={"Authorization": f"Bearer {key}"})
    assert gone.status_code == 401


def test_each_role_sees_what_it_may_do(browser: WebDriver, demo_pages: RunningGateway) -> None:
    controls = {
        "give": ".give button",
        "review": "[name=state]",
        "next": "[action$=next]",
        "make key": "#keys form[action$=keys]",
        "configuration": "#configuration",
        "providers": "#providers",
    }
    # The list of keys offers no more than the page does.
    told = {"key to review": "mark as reviewed", "key to give": "better answer"}
    seen = {}
    for key in (READER_KEY, REVIEWER_KEY, TENANT_KEY):
        sign_in(browser, demo_pages, key)
        found = set()
        for page in ("/ui/settings", ALL):
            browser.get(demo_pages.url + page)
            found |= {name for name, selector in controls.items() if is_there(browser, selector)}
            keys = browser.execute_script("return document.querySelector('#help').textContent")
            found |= {name for name, text in told.items() if text in keys}
        seen[key] = found
        assert is_there(browser, "[data-item]") == (key != TENANT_KEY)
    assert seen == {
        READER_KEY: {"providers"},
        REVIEWER_KEY: {"providers", "give", "review", "next", *told},
        TENANT_KEY: {"make key", "next", *told},
    }


def test_a_link_from_another_site_leads_to_the_page(browser: WebDriver, demo_pages: RunningGateway) -> None:
    sign_in(browser, demo_pages, READER_KEY)
    there = f"{demo_pages.url}/ui/users?from=all"
    browser.get("data:text/html,<title>elsewhere</title>")
    browser.execute_script("location.href = arguments[0]", there)
    eventually(lambda: browser.title.startswith("Users"))
    assert browser.current_url == there
