"""Pages and the documentation are free of what axe-core finds, with all that opens, by day and by night."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gateway_process import RunningGateway
from tests.ui_pages import ADMIN_KEY, paths_of, sign_in

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

VERSION = "4.14.1"
# Not tracked, and kept from one run to the next.
CACHE = Path(__file__).parent / "node_modules"

RUN = """
const done = arguments[1];
const options = {resultTypes: ["violations"], ...(arguments[0] === "dark" ? {runOnly: ["color-contrast"]} : {})};
axe.run({exclude: [["svg *"]]}, options).then(
  (found) => done(found.violations.flatMap((rule) => rule.nodes.map((node) => [
    rule.impact, rule.id, node.target.join(" "), node.any.map((check) => check.message).join("; ")]))),
  (problem) => done([["critical", String(problem)]]));
"""
# Its other pages have the same parts, up to ten times as many.
DOCUMENTATION = ("/docs", "/docs/keys", "/docs/audit")
OPEN_ALL = "for (const each of document.querySelectorAll('details')) each.open = true"


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    script = CACHE / f"axe-core-{VERSION}.js"
    if not script.is_file():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed")
        CACHE.mkdir(exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"axe-core@{VERSION}"], cwd=CACHE, capture_output=True, timeout=60
        )
        if packed.returncode:
            pytest.skip("npm could not load axe-core")
        archive = CACHE / f"axe-core-{VERSION}.tgz"
        with tarfile.open(archive) as files:
            content = files.extractfile("package/axe.min.js")
            assert content is not None
            script.write_bytes(content.read())
        archive.unlink()
    return script.read_text()


def set_scheme(browser: WebDriver, scheme: str) -> None:
    """Show pages by day or by night, without colours that are on their way."""
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in wanted.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_axe_finds_nothing_on_any_page(browser: WebDriver, demo_pages: RunningGateway, axe: str) -> None:
    found = {}
    for at, path in enumerate(["/ui/sign-in", "/ui/nowhere", *paths_of(demo_pages), *DOCUMENTATION]):
        if at == 2:
            sign_in(browser, demo_pages, ADMIN_KEY)
        set_scheme(browser, "light")
        browser.get(demo_pages.url + path)
        browser.execute_script(axe)
        browser.execute_script(OPEN_ALL)
        found[path] = browser.execute_async_script(RUN, "light")
        # Only colours change by night.
        set_scheme(browser, "dark")
        found[path] += browser.execute_async_script(RUN, "dark")
    assert not any(found.values()), json.dumps(found, indent=1)
