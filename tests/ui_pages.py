"""The web pages as tests read them: a gateway full of demo data, people who sign in, and what a page loads.

Fixtures to be imported by the conftest of each folder that uses them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock
from urllib.parse import quote, urljoin, urlsplit

import httpx
import pytest

from gateway.cli.demo_data import fill_demo_data
from gateway.config import load_config
from gateway.ui.routes import ui_api
from gateway.web.endpoint import Endpoint
from tests.browser import find
from tests.gateway_process import RunningGateway

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

DEMO_REQUESTS = 600

ADMIN_KEY, READER_KEY = "gw-ann-0123456789", "gw-reader-0123456789"
REVIEWER_KEY, TENANT_KEY = "gw-rita-0123456789", "gw-north-0123456789"
KEYS = [
    {"name": "ann", "key": ADMIN_KEY, "role": "admin"},
    {"name": "reader", "key": READER_KEY, "role": "read"},
    {"name": "rita", "key": REVIEWER_KEY, "role": "review"},
    {"name": "north", "key": TENANT_KEY, "role": "admin", "tenant": "north"},
]

_FORM_TOKEN = re.compile(r'name="form_token" value="([^"]+)"')
_IMPORT = re.compile(r'\bimport\b[^;"]*"(\./[^"]+)"')


@pytest.fixture(scope="session")
def demo_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with keys of each role, and a week of demo data."""
    gateway = RunningGateway(
        tmp_path_factory.mktemp("pages"), {"keys": KEYS}, arguments=("--demo", "--demo-data")
    )
    # Fewer than the command makes by itself; it finds them there.
    flags = {"providers.demo": {"base_url": "http://127.0.0.1:1/v1"}, "default_provider": "demo"}
    asyncio.run(fill_demo_data(load_config(gateway.config_file, {}, flags), DEMO_REQUESTS))
    with gateway:
        yield gateway


@contextmanager
def signed_in(gateway: RunningGateway, key: str) -> Iterator[httpx.Client]:
    """A client that has signed in with this key, as browsers do."""
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        reply = client.post("/ui/sign-in", data={"form_token": form_token(client, "/ui/sign-in"), "key": key})
        assert reply.status_code == 303, reply.text
        yield client


def sign_in(browser: WebDriver, gateway: RunningGateway, key: str) -> None:
    """Sign in on the page, as the person who has this key."""
    browser.delete_all_cookies()
    browser.get(f"{gateway.url}/ui/sign-in?next=/ui/settings")
    find(browser, "#key").send_keys(key)
    find(browser, "form button").click()
    assert find(browser, "header.bar")


def form_token(client: httpx.Client, path: str) -> str:
    """Return the token of the forms of a page."""
    found = _FORM_TOKEN.search(client.get(path).raise_for_status().text)
    assert found, f"no form on {path}"
    return found[1]


def page_endpoints(method: str) -> list[Endpoint]:
    """All endpoints below `/ui` with this method."""
    return [each for each in ui_api(*[Mock()] * 11).endpoints if each.method == method and each.path != "/"]


def ask_api(gateway: RunningGateway, path: str, key: str = ADMIN_KEY) -> Any:
    """Return what the API answers, which takes no sign-in of a page."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(gateway.url + path, headers=headers, trust_env=False).raise_for_status().json()


def paths_of(gateway: RunningGateway) -> list[str]:
    """Return an address of each page."""

    def first(path: str) -> Any:
        return ask_api(gateway, path)["data"][0]

    asked = first("/api/v1/requests?limit=1&has_feedback=true")
    request = f"/ui/requests/{quote(asked['request_id'], safe='')}"
    paths = [
        "/ui/feedback?rating=bad&from=7d",
        "/ui/feedback?from=all&comment=zzzz",
        "/ui/compare?by=prompt_version",
        "/ui/experiments",
        "/ui/overview",
        "/ui/alerts",
        "/ui/alerts/new",
        "/ui/exports",
        "/ui/exports/new?rating=bad&from=7d",
        "/ui/requests",
        "/ui/requests?live=on",
        "/ui/requests?q=the",
        *(f"{request}?tab={tab}" for tab in ("conversation", "timeline", "raw", "headers", "feedback")),
        f"/ui/traces/{quote(asked['trace_id'], safe='')}",
        "/ui/sessions",
        "/ui/users",
        "/ui/reviews",
        "/ui/settings",
    ]
    session, user = first("/api/v1/sessions?limit=1"), first("/api/v1/users?limit=1")
    return [
        *paths,
        f"/ui/sessions/{quote(session['session'], safe='')}",
        f"/ui/users/{quote(user['user'], safe='')}",
    ]


@dataclass
class PageSource(HTMLParser):
    """Tags of a page: what it loads, and what is written inside it."""

    url: str
    loaded: list[str] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def read(cls, url: str, html: str) -> PageSource:
        source = cls(url)
        source.feed(html)
        return source

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.inline += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(f"<{tag}>")
        loads = given.get("src") or (given.get("href") if tag in ("link", "image", "use") else None)
        if loads and not loads.startswith(("data:", "#")):
            self.loaded.append(urljoin(self.url, loads))
        elif tag in ("a", "form") and (leads := given.get("href") or given.get("action")):
            self.links.append(leads)


@dataclass(frozen=True)
class PageWeight:
    """What a browser with an empty cache loads for a page, in compressed bytes by address."""

    bytes_of: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.bytes_of.values())

    @property
    def origins(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.bytes_of}


def weigh_page(client: httpx.Client, path: str) -> PageWeight:
    """Load a page with all its files, and the modules that those import."""
    weights: dict[str, int] = {}
    waiting = [urljoin(str(client.base_url), path)]
    while waiting:
        url = waiting.pop()
        if url in weights:
            continue
        reply = client.get(url, headers={"Accept-Encoding": "gzip"}).raise_for_status()
        weights[url] = reply.num_bytes_downloaded
        if reply.headers["content-type"].startswith("text/html"):
            waiting += PageSource.read(url, reply.text).loaded
        elif "javascript" in reply.headers["content-type"]:
            waiting += [urljoin(url, name) for name in _IMPORT.findall(reply.text)]
    return PageWeight(weights)
