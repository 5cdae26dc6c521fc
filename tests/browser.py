"""A real browser for tests of pages: Chromium without a window, started once; each test has a tab of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
FOREIGN_HOST = "evil.test"
"""A name that leads to this machine, and to browsers is another site."""

FLAGS = (
    f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

FORGET: tuple[tuple[str, dict[str, str]], ...] = (
    ("Network.clearBrowserCookies", {}),
    ("Network.clearBrowserCache", {}),
    ("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"}),
)

JAVASCRIPT = "profile.managed_default_content_settings.javascript"
BLOCKED = 2


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """The browser that tests share. To start one takes as long as most of them."""
    driver = start_browser(tmp_path_factory.mktemp("chromium"), {})
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: WebDriver) -> WebDriver:
    """A browser that knows of no test before this one."""
    earlier = chromium.window_handles
    # What was emulated ends with its tab.
    chromium.switch_to.new_window("tab")
    tab = chromium.current_window_handle
    for handle in earlier:
        chromium.switch_to.window(handle)
        chromium.close()
    chromium.switch_to.window(tab)
    for command, parameters in FORGET:
        chromium.execute_cdp_cmd(command, parameters)
    chromium.get_log("browser")  # type: ignore[attr-defined]
    return chromium


@pytest.fixture
def browser_without_javascript(tmp_path: Path) -> Iterator[WebDriver]:
    """A browser that runs no scripts of pages."""
    driver = start_browser(tmp_path / "profile", {JAVASCRIPT: BLOCKED})
    yield driver
    driver.quit()


def find(browser: WebDriver, selector: str) -> Any:
    """Return the element, once it is there; a failure shows what the page says."""
    elements = browser.find_elements("css selector", selector)
    assert elements, (
        f"no {selector} on the page, which reads:\n{browser.find_element('tag name', 'main').text}"
    )
    return elements[0]


def start_browser(profile: Path, preferences: dict[str, object]) -> WebDriver:
    """Start a browser whose profile is in this folder."""
    if CHROMIUM is None or CHROMEDRIVER is None:
        pytest.skip("chromium and chromedriver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # With the driver named, selenium looks for none to download.
    driver: WebDriver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    driver.implicitly_wait(20)
    return driver
