"""Versions of prompts: a column made of the metadata, of rows from before it too, on both engines."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from gateway.models.filters import Comparison, Op, Page, Sort
from gateway.models.metrics import END_OF_TIME_US, GroupKey, MetricsQuery
from gateway.store import open_store
from gateway.store.base import Store
from gateway.store.migrate import Migration, read_migrations
from tests.postgres_server import PostgresServer
from tests.store.random_data import LATER_US
from tests.store.samples import exchange

VERSIONS = ["v2", "", 7, 1.5, True, None, {"n": 1}, "it's"]
STORED = ["v2", None, "7", "1.5", None, None, None, "it's"]
INSERT = """
INSERT INTO requests (seq, request_id, trace_id, provider, endpoint, method, path, started_at_us, ended_at_us,
    outcome, is_stream, attempt, metadata, request_size, response_size, payloads)
VALUES ({0}, 'r', 't', 'p', 'e', 'POST', '/', 1, 9, 'complete', false, 0, {0}, 0, 0, 'off')
"""


def insert_rows(url: str, rows: Iterable[tuple[int, str]]) -> None:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.executemany(INSERT.format("?"), rows)
        connection.commit()
        connection.close()
        return
    import psycopg

    with psycopg.connect(url) as server, server.cursor() as cursor:
        cursor.executemany(INSERT.format("%s"), list(rows))


async def versions_in(store: Store) -> list[str | None]:
    records = await store.find_requests(
        Comparison("provider", Op.NE, None), Sort("seq", descending=False), Page(), None
    )
    return [record.prompt_version for record in records]


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where there is a database of each kind without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.new_database("template1")
    yield url
    server.drop(url)


async def test_versions_that_were_only_metadata_become_a_column(
    bare_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before_versions(package: str) -> list[Migration]:
        migrations = read_migrations(package)
        [added] = [found.number for found in migrations if "prompt_versions" in found.name]
        return [found for found in migrations if found.number < added]

    with monkeypatch.context() as patch:
        patch.setattr("gateway.store.migrate.read_migrations", before_versions)
        await (await open_store(bare_url)).close()
    insert_rows(bare_url, enumerate((json.dumps({"_prompt_version": version}) for version in VERSIONS), 1001))
    store = await open_store(bare_url)
    assert await versions_in(store) == STORED
    await store.close()


async def test_versions_are_stored_found_and_counted(store: Store) -> None:
    await store.append([exchange(metadata={"_prompt_version": version}) for version in VERSIONS])
    assert await versions_in(store) == STORED
    await store.roll_up(LATER_US)
    found = await store.usage(MetricsQuery(0, END_OF_TIME_US, group_by="prompt_version"))
    assert {group: sums.requests for group, sums in found.items()} == {
        GroupKey(value=None): 4,
        **{GroupKey(value=version): 1 for version in ("v2", "7", "1.5", "it's")},
    }
    only = await store.usage(MetricsQuery(0, END_OF_TIME_US, where=Comparison("prompt_version", Op.EQ, "7")))
    assert only[GroupKey()].requests == 1


async def test_a_property_that_is_set_later_becomes_the_column(store: Store) -> None:
    await store.append([exchange("r", metadata={"_prompt_version": "1"})])
    assert await store.set_property("r", "_Prompt_Version", "2", None) == 1
    assert await versions_in(store) == ["2"]
