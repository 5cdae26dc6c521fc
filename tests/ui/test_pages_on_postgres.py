"""Pages on PostgreSQL read as on SQLite, whatever link one follows, and their forms work."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from gateway.cli.demo_data import fill_demo_data
from gateway.config import load_config
from gateway.store import open_store
from gateway.store.transfer import StoreMigration
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.postgres_server import PostgresServer
from tests.ui_pages import ADMIN_KEY, KEYS, READER_KEY, form_token, signed_in

# Fewer than fill one page of a list, so that each has a next one.
REQUESTS = 120
# In the order of links; the first thirty are of every kind.
MOST_PAGES = 30
# What depends on the process, the store or the moment.
_CHANGING = (
    (re.compile(r'name="form_token" value="[^"]*"'), ""),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "URL"),
    # Left out where counting takes long.
    (re.compile(r'<span class="counted">[^<]*</span>'), ""),
    # Made with the key of each store.
    (re.compile(r"\bp-[0-9a-f]{20}\b"), "PSEUDONYM"),
    (re.compile(r'name="row" value="\d+"|\bcursor=[\w.-]+'), ""),
    # Of the moment at which a page was made.
    (re.compile(r"\bfrom=\d{4}-\d\d-\d\dT[\d%A:]+Z"), ""),
    # Of drawn sums the last digits depend on the order of rows.
    (re.compile(r"(\.\d{6})\d+"), r"\1"),
    (re.compile(r"\d[\d,.]*( .?)?( ms| min| s|s ago|m ago|h ago| ago)\b"), ""),
)
_LINK = re.compile(r'href="(/ui/[^"#]+)"')
# Links that change nothing but the list itself, and what a process says of itself.
_OWN = ("/ui/static/", "/ui/settings", "/ui/feedback.csv", "/ui/requests.csv")


@pytest.fixture(scope="module")
def gateways(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> Iterator[tuple[RunningGateway, RunningGateway]]:
    """The same rows in both stores, each behind a gateway."""
    folders = [tmp_path_factory.mktemp(name) for name in ("sqlite", "postgres")]
    with postgres_server.database() as url:
        storage = [{}, {"url": url}]
        first, second = (
            RunningGateway(folder, {"keys": KEYS, "storage": store}, arguments=("--demo",))
            for folder, store in zip(folders, storage, strict=True)
        )
        asyncio.run(fill(first.config_file, f"sqlite:///{first.database}", url))
        with first, second:
            yield first, second


async def fill(config: Path, source_url: str, target_url: str) -> None:
    flags = {"providers.demo": {"base_url": "http://127.0.0.1:1/v1"}, "default_provider": "demo"}
    await fill_demo_data(load_config(config, {}, flags), REQUESTS)
    source, target = await open_store(source_url), await open_store(target_url)
    await StoreMigration(source, target, lambda progress: None).run()
    await source.close()
    await target.close()


def kind_of(link: str) -> str:
    """What links of pages are alike in: their path without ids, and the names of their parameters."""
    path, _, query = link.partition("?")
    return f"{'/'.join(path.split('/')[:3])} {len(path.split('/'))} {re.sub('=[^&]*', '', query)}"


def stable(page: str) -> list[str]:
    for pattern, instead in _CHANGING:
        page = pattern.sub(instead, page)
    return page.splitlines()


def read_whole(client: httpx.Client, link: str) -> httpx.Response:
    """Read a page, again if there was no time to look through all rows."""

    def read() -> httpx.Response | None:
        reply = client.get(link)
        return None if "Looked back to" in reply.text else reply

    found = eventually(read)
    assert found is not None
    return found


def test_every_page_reads_as_on_sqlite(gateways: tuple[RunningGateway, RunningGateway]) -> None:
    differing = {}
    with signed_in(gateways[0], READER_KEY) as on_sqlite, signed_in(gateways[1], READER_KEY) as on_postgres:
        waiting, known = ["/ui/feedback?from=all"], {kind_of("/ui/feedback?from=all")}
        while waiting:
            link = waiting.pop(0)
            expected, shown = read_whole(on_sqlite, link), read_whole(on_postgres, link)
            assert (shown.status_code, expected.status_code) in ((200, 200), (302, 302)), link
            lines = stable(expected.text), stable(shown.text)
            if lines[0] != lines[1]:
                differing[link] = "\n".join(difflib.unified_diff(*lines, lineterm="", n=0))
            for found in map(unescape, _LINK.findall(expected.text)):
                is_new = kind_of(found) not in known and len(known) < MOST_PAGES
                if is_new and "cursor=" not in found and not found.startswith(_OWN):
                    known.add(kind_of(found))
                    waiting.append(found)
    assert len(known) == MOST_PAGES
    assert not differing, "\n\n".join(f"{link}\n{diff}" for link, diff in differing.items())


def test_forms_and_further_pages_work(gateways: tuple[RunningGateway, RunningGateway]) -> None:
    with signed_in(gateways[1], ADMIN_KEY) as admin:

        def send(path: str, **fields: str) -> httpx.Response:
            token = form_token(admin, "/ui/settings")
            reply = admin.post(path, data={"form_token": token, **fields})
            assert reply.status_code == 303, reply.text
            return reply

        for path in ("/ui/requests?from=all", "/ui/feedback?from=all", "/ui/requests?q=the&from=all"):
            page = admin.get(path).text
            following = re.search(r'rel="next" href="([^"]+)"', page)
            if following is not None:
                assert admin.get(unescape(following[1])).status_code == 200, path
        taken = send("/ui/reviews/next", **{"from": "all"}).headers["Location"]
        page = admin.get(taken).text
        ids = dict(re.findall(r'name="(request_id|trace_id|row)" value="([^"]+)"', page))
        send("/ui/reviews", **ids, state="reviewed", note="read on PostgreSQL")
        send("/ui/feedback", **ids, give="comment", text="kept on PostgreSQL")
        shown = admin.get(taken).text
        assert "read on PostgreSQL" in shown
        assert "kept on PostgreSQL" in shown
        user = re.search(r'href="(/ui/users/([^"]+))"', shown)
        assert user is not None
        send(f"{user[1]}/erase", name=user[2])
        assert admin.get(user[1]).status_code == 404
