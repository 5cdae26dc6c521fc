"""Days of payloads have partitions of their own, which go as a whole."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from gateway.errors import StoreUnavailable
from gateway.models.metrics import DAY_US
from gateway.models.request import ExpiredCounts
from gateway.store import open_store
from gateway.store.base import Store
from tests.postgres_server import PostgresServer
from tests.store.samples import exchange, requests_of

TODAY_US = 1_700_000_000_000_000 // DAY_US * DAY_US
"""2023-11-14."""


def partitions(server: PostgresServer, postgres_url: str) -> dict[str, int]:
    """How many payloads are in each partition."""
    found = server.query(
        postgres_url,
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'payloads'::regclass",
    )
    return {
        name: server.query(postgres_url, f"SELECT count(*) FROM {name}")[0][0] for (name,) in sorted(found)
    }


async def test_there_is_room_for_a_day_before_it_begins(
    store: Store, postgres_url: str, postgres_server: PostgresServer
) -> None:
    for _ in range(2):
        await store.create_partitions(TODAY_US + 5)
    await store.append(
        [
            exchange("yesterday", started_at_us=TODAY_US - 1),
            exchange("first", started_at_us=TODAY_US),
            exchange("last", started_at_us=TODAY_US + DAY_US - 1),
            exchange("tomorrow", started_at_us=TODAY_US + DAY_US),
        ]
    )
    assert partitions(postgres_server, postgres_url) == {
        "payloads_20231114": 2,
        "payloads_20231115": 1,
        "payloads_20231116": 0,
        "payloads_rest": 1,
    }
    for record in await requests_of(store):
        assert await store.payload(record.seq) is not None


async def test_partitions_keep_bodies_as_the_rest_does(
    store: Store, postgres_url: str, postgres_server: PostgresServer
) -> None:
    await store.create_partitions(TODAY_US)
    settings = postgres_server.query(
        postgres_url,
        "SELECT DISTINCT attname, attstorage::text, attcompression::text FROM pg_attribute"
        " WHERE attrelid::regclass::text LIKE 'payloads%' AND attnum > 0 AND attname LIKE '%\\_body'"
        " OR attrelid::regclass::text LIKE 'payloads%' AND attname LIKE '%\\_text'",
    )
    assert len({name for name, *_ in settings}) == len(settings) == 4


async def test_a_day_that_is_too_old_is_dropped_as_a_whole(
    store: Store, postgres_url: str, postgres_server: PostgresServer
) -> None:
    await store.append([exchange("rest", started_at_us=TODAY_US - 1)])
    await store.create_partitions(TODAY_US)
    await store.append([exchange(f"r{day}", started_at_us=TODAY_US + day * DAY_US) for day in range(3)])
    assert await store.expire(TODAY_US + 2 * DAY_US) == ExpiredCounts(3, 0)
    assert partitions(postgres_server, postgres_url) == {"payloads_20231116": 1, "payloads_rest": 0}
    [kept] = await requests_of(store)
    assert (kept.request_id, await store.payload(kept.seq) is None) == ("r2", False)


async def test_a_day_that_came_unprepared_for_stays_with_the_rest(
    store: Store, postgres_url: str, postgres_server: PostgresServer
) -> None:
    await store.append([exchange("early", started_at_us=TODAY_US)])
    await store.create_partitions(TODAY_US)
    await store.append([exchange("late", started_at_us=TODAY_US + 1)])
    found = partitions(postgres_server, postgres_url)
    assert (found["payloads_rest"], "payloads_20231114" in found) == (2, False)
    assert await store.expire(TODAY_US + DAY_US) == ExpiredCounts(2, 0)
    assert partitions(postgres_server, postgres_url)["payloads_rest"] == 0


async def test_nodes_that_make_room_at_once_do_not_get_into_each_other_s_way(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    stores = [await open_store(postgres_url) for _ in range(4)]
    await asyncio.gather(*(store.create_partitions(TODAY_US) for store in stores))
    await asyncio.gather(*(store.close() for store in stores))
    assert len(partitions(postgres_server, postgres_url)) == 4


async def test_who_reads_for_long_is_not_waited_for_for_long_and_days_go_the_next_time(
    store: Store, postgres_url: str
) -> None:
    await store.create_partitions(TODAY_US)
    await store.append([exchange("r", started_at_us=TODAY_US)])
    with psycopg.connect(postgres_url) as reader:
        reader.execute("SELECT count(*) FROM payloads")
        with pytest.raises(StoreUnavailable):
            await store.expire(TODAY_US + DAY_US)
        await store.append([exchange("s", started_at_us=TODAY_US + DAY_US)])
    assert await store.expire(TODAY_US + DAY_US) == ExpiredCounts(1, 0)
