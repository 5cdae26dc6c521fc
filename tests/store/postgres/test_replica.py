"""Queries ask the replica, and nothing else does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.store import open_store
from gateway.store.base import Store
from tests.postgres_server import PostgresServer
from tests.store.random_data import LATER_US
from tests.store.samples import FACTS, exchange, feedback, requests_of


@pytest.fixture
def urls(postgres_server: PostgresServer) -> Iterator[tuple[str, str]]:
    """A database, and one that stands for a replica of it that has heard of nothing yet."""
    with postgres_server.database() as url, postgres_server.database() as replica_url:
        yield url, replica_url


@pytest.fixture
async def store(urls: tuple[str, str]) -> AsyncIterator[Store]:
    store = await open_store(urls[0], read_url=urls[1])
    yield store
    await store.close()


async def test_queries_are_answered_by_the_replica(store: Store) -> None:
    await store.append([exchange("r", "t")])
    await store.put_feedback([feedback("f", "t")])
    assert await requests_of(store) == []
    assert await store.find_feedback(NO_FILTER, Sort(), Page(9), None) == []
    assert await store.usage(MetricsQuery(0, END_OF_TIME_US)) == {}


async def test_what_writing_takes_is_looked_up_in_the_database_itself(store: Store) -> None:
    [seq] = await store.append([exchange("r", "t")])
    await store.put_feedback([feedback("f", "t")])
    assert list(await store.resolve(["t"], None)) == ["t"]
    assert [entry.trace_id for entry in await store.feedback_by_ids(["f"])] == ["t"]
    assert [found for found, _ in await store.uninterpreted(9)] == [seq]
    assert await store.payload(seq) is not None
    assert (await store.store_totals()).requests == 1
    assert len((await store.find_user_scope("nobody", None)).request_seqs) == 0


async def test_sums_are_made_of_what_is_in_the_database_itself(store: Store, urls: tuple[str, str]) -> None:
    [seq] = await store.append([exchange("r", "t")])
    await store.annotate([(seq, FACTS)], LATER_US)
    assert await store.roll_up(LATER_US) > 0
    plain = await open_store(urls[0])
    try:
        [sums] = (await plain.usage(MetricsQuery(0, END_OF_TIME_US))).values()
        assert sums.requests == 1
    finally:
        await plain.close()


async def test_what_is_too_old_is_found_in_the_database_itself(store: Store) -> None:
    await store.append([exchange("r", "t")])
    assert (await store.expire(END_OF_TIME_US)).requests == 1
