"""Queries end when they take too long or their caller leaves, and quick ones do not wait for slow ones."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Overloaded, QueryTimeout, StoreUnavailable
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store import open_store, read_pool
from gateway.store.dialect import AsyncConnection
from gateway.store.sqlite.connection import BodyTexts
from tests.store.samples import exchange, requests_of
from tests.store.test_body_search import found, says

Read = Callable[[Callable[[AsyncConnection], Awaitable[Any]]], Coroutine[Any, Any, Any]]

LONG_SECONDS = 600.0
SLOW, QUICK = read_pool.SLOW_CONNECTIONS, read_pool.QUICK_CONNECTIONS

_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


async def endless(connection: AsyncConnection) -> None:
    """A query whose answer never comes, in a snapshot."""
    await connection.begin_snapshot()
    await connection.fetch_all(f"{_NUMBERS} SELECT count(*) FROM n WHERE i < 0")


@asynccontextmanager
async def opened(url: str, seconds: float | None) -> AsyncIterator[Any]:
    store = await open_store(url, query_seconds=seconds)
    try:
        yield store
    finally:
        await store.close()


async def meet(read: Read, connections: int) -> None:
    """Return once so many queries run at the same time, which they only do if all these connections are free."""
    barrier = asyncio.Barrier(connections)

    async def wait(connection: AsyncConnection) -> None:
        await connection.fetch_all("SELECT count(*) FROM requests")
        await barrier.wait()

    async with asyncio.timeout(30):
        await asyncio.gather(*(read(wait) for _ in range(connections)))


def costly(store: Any) -> Read:
    return lambda work: store._replica.query(work, is_costly=True)


async def all_slow_taken(store: Any) -> Sequence[asyncio.Task[None]]:
    """Keep the connections for slow queries busy with endless ones."""
    entered = asyncio.Semaphore(0)

    async def begin(connection: AsyncConnection) -> None:
        entered.release()
        await endless(connection)

    tasks = [asyncio.create_task(costly(store)(begin)) for _ in range(SLOW)]
    for _ in tasks:
        await entered.acquire()
    return tasks


async def cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_that_takes_too_long_is_refused_and_leaves_its_connection_to_others(
    store_url: str,
) -> None:
    async with opened(store_url, 0.1) as store:
        results = await asyncio.gather(*(costly(store)(endless) for _ in range(SLOW)), return_exceptions=True)
        assert [type(result) for result in results] == [QueryTimeout] * SLOW
        assert "0.1 seconds" in str(results[0])
    async with opened(store_url, LONG_SECONDS) as store:
        await meet(costly(store), SLOW)


async def test_after_a_timeout_the_same_connection_answers(store_url: str) -> None:
    async with opened(store_url, 0.2) as store:
        await store.append([exchange("1")])
        for _ in range(2 * SLOW):
            with pytest.raises(QueryTimeout):
                await costly(store)(endless)
        for _ in range(2 * SLOW):
            assert await store.count_requests(NO_FILTER, Page(), None) == 1


async def test_forty_whose_callers_leave_free_all_connections(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        taken = await all_slow_taken(store)
        waiting = [asyncio.create_task(costly(store)(endless)) for _ in range(40 - SLOW)]
        await asyncio.sleep(0)
        await cancel([*taken, *waiting])
        await meet(costly(store), SLOW)


async def test_one_that_is_cancelled_twice_frees_its_connection(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        taken = await all_slow_taken(store)
        for task in taken:
            task.cancel()
        await asyncio.sleep(0)
        await cancel(taken)
        await meet(costly(store), SLOW)


async def test_lists_are_answered_while_searches_take_all_connections_that_they_may(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        await store.append([exchange("1")])
        taken = await all_slow_taken(store)
        assert len(await store.find_requests(NO_FILTER, Sort(), Page(), None)) == 1
        await meet(store._replica.query, QUICK)
        await cancel(taken)


async def test_lookups_are_answered_while_queries_take_all_connections(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        [seq] = await store.append([exchange("1")])
        taken = await all_slow_taken(store)
        quick = [asyncio.create_task(store._replica.query(endless)) for _ in range(QUICK)]
        await asyncio.sleep(0.01)
        assert await store.payload(seq) is not None
        await cancel([*taken, *quick])


async def test_payloads_are_read_within_the_time_limit_but_in_the_background(store_url: str) -> None:
    async with opened(store_url, 1e-9) as store:
        [seq] = await store.append([exchange("1")])
        with pytest.raises(QueryTimeout):
            await store.payloads([seq])
        assert set(await store.payloads([seq], in_background=True)) == {seq}


async def test_one_that_finds_no_free_connection_is_asked_to_retry(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_pool, "MAX_WAIT_SECONDS", 0.01)
    async with opened(store_url, LONG_SECONDS) as store:
        taken = await all_slow_taken(store)
        with pytest.raises(Overloaded):
            await costly(store)(endless)
        await cancel(taken)


async def test_without_a_limit_one_waits_as_long_as_it_takes(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: AsyncConnection) -> str:
        return "answer"

    monkeypatch.setattr(read_pool, "MAX_WAIT_SECONDS", 0.01)
    async with opened(store_url, None) as store:
        taken = await all_slow_taken(store)
        waiting = asyncio.create_task(costly(store)(answer))
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        await cancel(taken)
        assert await waiting == "answer"


async def test_one_that_is_not_as_quick_as_expected_starts_again_on_a_slow_connection(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_pool, "QUICK_SECONDS", 0.05)
    async with opened(store_url, LONG_SECONDS) as store:
        begun = asyncio.Semaphore(0)

        async def begin(connection: AsyncConnection) -> None:
            begun.release()
            await endless(connection)

        task = asyncio.create_task(store._replica.query(begin))
        for _ in ("on a quick connection", "on a slow one"):
            await begun.acquire()
        await meet(lambda work: store._replica._run(store._replica._quick, work, None, None), QUICK)
        await cancel([task])


async def test_closing_ends_what_is_under_way(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        taken = await all_slow_taken(store)
        background = asyncio.create_task(store._primary.read(endless))
        await asyncio.sleep(0)
    results = await asyncio.gather(*taken, background, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * (SLOW + 1)


async def test_after_closing_everything_is_refused(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        pass
    for read in (store.payload(1), requests_of(store), store.store_totals()):
        with pytest.raises(StoreUnavailable, match="closed"):
            await read


async def test_once_connections_are_open_no_query_opens_anything(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        await store.open_all()
        before = len(os.listdir("/proc/self/fd")), threading.active_count()
        await meet(costly(store), SLOW)
        await meet(store._replica.query, QUICK)
        await store.payload(1)
        assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


async def test_statements_of_one_query_see_one_snapshot(store_url: str) -> None:
    async with opened(store_url, LONG_SECONDS) as store:
        await store.append([exchange("before")])

        async def count_twice(connection: AsyncConnection) -> list[int]:
            await connection.begin_snapshot()
            [first] = await connection.fetch_one("SELECT count(*) FROM requests")
            await store.append([exchange("meanwhile")])
            [second] = await connection.fetch_one("SELECT count(*) FROM requests")
            return [first, second]

        assert await store._replica.query(count_twice) == [1, 1]
        assert len(await requests_of(store)) == 2


async def test_a_search_ends_among_the_bodies_of_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, interrupted, decoded = threading.Event(), threading.Event(), []

    def decode(body: bytes, headers: object) -> bytes:
        decoded.append(body)
        entered.set()
        assert interrupted.wait(30)
        return body

    class NoticedTexts(BodyTexts):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "is_interrupted" and value:
                interrupted.set()

    monkeypatch.setattr("gateway.store.sqlite.connection.BodyTexts", NoticedTexts)
    store: Any = await open_store(f"sqlite:///{tmp_path}/gateway.db", decode, query_seconds=LONG_SECONDS)
    await store.append([exchange(str(number), request_body=b"x", response_body=b"x") for number in range(5)])
    search = asyncio.create_task(found(store, says("needle")))
    await asyncio.to_thread(entered.wait)
    await cancel([search])
    await meet(costly(store), SLOW)
    await store.close()
    assert len(decoded) == 1
