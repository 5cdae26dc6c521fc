"""Every page: what it loads and how much, from an empty cache."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.gateway_process import RunningGateway
from tests.ui_pages import ADMIN_KEY, PageSource, paths_of, signed_in, weigh_page

MAX_FILES = 12
MAX_BYTES, MAX_BYTES_WITH_CHARTS = 60_000, 250_000


@pytest.fixture(scope="module")
def admin(demo_pages: RunningGateway) -> Iterator[httpx.Client]:
    with signed_in(demo_pages, ADMIN_KEY) as client:
        yield client


def test_pages_are_light_and_load_nothing_from_elsewhere(
    demo_pages: RunningGateway, admin: httpx.Client
) -> None:
    for path in [*paths_of(demo_pages), "/ui/sign-in", "/docs"]:
        weight = weigh_page(admin, path)
        assert weight.origins == {admin.base_url.netloc.decode()}, path
        assert len(weight.bytes_of) <= MAX_FILES, path
        assert weight.total <= (MAX_BYTES_WITH_CHARTS if path == "/ui/overview" else MAX_BYTES), path


def test_pages_have_no_script_and_no_style_inside(demo_pages: RunningGateway, admin: httpx.Client) -> None:
    for path in [*paths_of(demo_pages), "/ui/sign-in", "/docs"]:
        source = PageSource.read(str(admin.base_url), admin.get(path).text)
        assert source.inline == [], path
        leads = [link for link in source.links if not link.startswith(("/", "?", "#", "http", "mailto:"))]
        assert leads == [], path
