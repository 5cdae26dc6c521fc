"""Questions end when they take too long or nobody waits for them, and quick ones do not wait for slow ones."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Overloaded, QueryTimeout, StoreUnavailable
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store import open_store, readers
from gateway.store.dialect import Connection
from gateway.store.sqlite.connection import SqliteSnapshotSource
from tests.store.samples import exchange
from tests.store.test_body_search import found, says

Ask = Callable[[Callable[[Connection], Any]], Coroutine[Any, Any, Any]]

LONG_SECONDS = 600.0
SLOW, QUICK = 3, 2
"""How many readers there are of each kind."""

_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


def endless(connection: Connection) -> None:
    """A question whose answer never comes, and which has another statement open meanwhile."""
    for _ in connection.walk(f"{_NUMBERS} SELECT i FROM n"):
        connection.execute(f"{_NUMBERS} SELECT count(*) FROM n WHERE i < 0").fetchone()


@asynccontextmanager
async def asking(url: str, seconds: float | None) -> AsyncIterator[Any]:
    store = await open_store(url, question_seconds=seconds)
    try:
        yield store
    finally:
        await store.close()


async def meet(ask: Ask, readers: int) -> None:
    """Return once so many readers work at the same time, which they only do if all of them are free."""
    barrier = threading.Barrier(readers, timeout=30)

    def wait(connection: Connection) -> None:
        connection.execute("SELECT count(*) FROM requests").fetchone()
        barrier.wait()

    await asyncio.gather(*(ask(wait) for _ in range(readers)))


def costly(store: Any) -> Ask:
    return lambda work: store._query_pools.ask(work, is_costly=True)


async def all_slow_taken(store: Any) -> Sequence[asyncio.Task[None]]:
    """Keep the readers for slow questions busy with endless ones."""
    entered = threading.Semaphore(0)

    def begin(connection: Connection) -> None:
        entered.release()
        endless(connection)

    tasks = [asyncio.create_task(costly(store)(begin)) for _ in range(SLOW)]
    for _ in tasks:
        await asyncio.to_thread(entered.acquire)
    return tasks


async def cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_that_takes_too_long_is_refused_and_leaves_its_reader_to_others(store_url: str) -> None:
    async with asking(store_url, 0.1) as store:
        results = await asyncio.gather(*(costly(store)(endless) for _ in range(SLOW)), return_exceptions=True)
        assert [type(result) for result in results] == [QueryTimeout] * SLOW
        assert "0.1 seconds" in str(results[0])
    async with asking(store_url, LONG_SECONDS) as store:
        await meet(costly(store), SLOW)


async def test_forty_that_nobody_waits_for_any_more_leave_all_readers_free(store_url: str) -> None:
    async with asking(store_url, LONG_SECONDS) as store:
        taken = await all_slow_taken(store)
        waiting = [asyncio.create_task(costly(store)(endless)) for _ in range(40 - SLOW)]
        await asyncio.sleep(0)
        await cancel([*taken, *waiting])
        await meet(costly(store), SLOW)


async def test_lists_are_answered_while_searches_take_all_readers_that_they_may(store_url: str) -> None:
    async with asking(store_url, LONG_SECONDS) as store:
        await store.append([exchange("1")])
        taken = await all_slow_taken(store)
        assert len(await store.find_requests(NO_FILTER, Sort(), Page(), None)) == 1
        await meet(store._query_pools.ask, QUICK)
        await cancel(taken)


async def test_one_for_which_no_reader_has_time_is_told_to_come_again(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "PATIENCE_SECONDS", 0.01)
    async with asking(store_url, LONG_SECONDS) as store:
        taken = await all_slow_taken(store)
        with pytest.raises(Overloaded):
            await costly(store)(endless)
        await cancel(taken)


async def test_without_a_limit_one_waits_as_long_as_it_takes(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "PATIENCE_SECONDS", 0.01)
    async with asking(store_url, None) as store:
        taken = await all_slow_taken(store)
        waiting = asyncio.create_task(costly(store)(lambda _: "answer"))
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        await cancel(taken)
        assert await waiting == "answer"


async def test_one_that_is_not_as_quick_as_it_looked_makes_room_for_those_that_are(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "QUICK_SECONDS", 0.05)
    async with asking(store_url, LONG_SECONDS) as store:
        begun = threading.Semaphore(0)

        def begin(connection: Connection) -> None:
            begun.release()
            endless(connection)

        task = asyncio.create_task(store._query_pools.ask(begin))
        for _ in ("by a quick reader", "by a slow one"):
            await asyncio.to_thread(begun.acquire)
        await meet(store._query_pools._quick.read, QUICK)
        await cancel([task])


async def test_closing_ends_what_is_under_way(store_url: str) -> None:
    async with asking(store_url, LONG_SECONDS) as store:
        taken = await all_slow_taken(store)
        background = asyncio.create_task(store._primary.read(endless))
        await asyncio.sleep(0)
    results = await asyncio.gather(*taken, background, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * (SLOW + 1)


async def test_once_readers_are_open_no_question_opens_anything(store_url: str) -> None:
    async with asking(store_url, LONG_SECONDS) as store:
        await store.open_all()
        before = len(os.listdir("/proc/self/fd")), threading.active_count()
        await meet(costly(store), SLOW)
        await meet(store._query_pools.ask, QUICK)
        await meet(store._lookups.read, 1)
        assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


async def test_a_search_ends_among_the_bodies_of_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, interrupted, decoded = threading.Event(), threading.Event(), []

    def decode(body: bytes, headers: object) -> bytes:
        decoded.append(body)
        entered.set()
        assert interrupted.wait(30)
        return body

    def interrupt(self: SqliteSnapshotSource, connection: Connection) -> None:
        original(self, connection)
        interrupted.set()

    original = SqliteSnapshotSource.interrupt
    monkeypatch.setattr(SqliteSnapshotSource, "interrupt", interrupt)
    store: Any = await open_store(f"sqlite:///{tmp_path}/gateway.db", decode, question_seconds=LONG_SECONDS)
    await store.append([exchange(str(number), request_body=b"x", response_body=b"x") for number in range(5)])
    search = asyncio.create_task(found(store, says("needle")))
    await asyncio.to_thread(entered.wait)
    await cancel([search])  # type: ignore[list-item]
    await meet(costly(store), SLOW)
    await store.close()
    assert len(decoded) == 1
