"""Lookups: those that are asked for at once share a thread and a transaction, and nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.base import Decode, leave_encoded
from gateway.store.dialect import Connection
from gateway.store.readers import LookupPool
from gateway.store.sqlite import connection as snapshots_module
from gateway.store.sqlite.connection import (
    SqliteConnection,
    SqliteSnapshotSource,
    connect_reader,
    connect_writer,
)

THREADS = 2


class Traced:
    """Lookups, and the statements that they ran."""

    def __init__(self, path: Path) -> None:
        self.lookups = LookupPool(SqliteSnapshotSource(path, leave_encoded), THREADS)
        self.statements: list[str] = []

    def connect(self, path: Path, decode: Decode) -> SqliteConnection:
        connection = connect_reader(path, decode)
        connection.set_trace_callback(self.statements.append)
        return connection

    def ask(self, number: int) -> asyncio.Task[int]:
        return asyncio.create_task(self.lookups.read(lambda connection: select(connection, number)))


def select(connection: Connection, number: int) -> int:
    found: int = connection.execute("SELECT x FROM t WHERE x = ?", (number,)).fetchone()[0]
    return found


class Held:
    """A lookup that lasts until it is let go."""

    def __init__(self) -> None:
        self.entered, self.gate = threading.Event(), threading.Event()

    def __call__(self, _: Connection) -> None:
        self.entered.set()
        self.gate.wait()


async def hold(traced: Traced) -> tuple[asyncio.Task[None], Callable[[], None]]:
    """Keep one of the threads busy."""
    held = Held()
    task = asyncio.create_task(traced.lookups.read(held))
    await asyncio.to_thread(held.entered.wait)
    return task, held.gate.set


@pytest.fixture
async def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Traced]:
    path = tmp_path / "gateway.db"
    connection = connect_writer(path)
    connection.execute("CREATE TABLE t (x)")
    connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(100)])
    connection.close()
    traced = Traced(path)
    monkeypatch.setattr(snapshots_module, "connect_reader", traced.connect)
    yield traced
    await traced.lookups.close()


async def test_those_that_are_asked_for_at_once_share_a_transaction(traced: Traced) -> None:
    assert await asyncio.gather(*(traced.ask(number) for number in range(100))) == list(range(100))
    assert traced.statements.count("BEGIN") == traced.statements.count("COMMIT") == 1


async def test_one_that_fails_takes_no_neighbour_with_it(traced: Traced) -> None:
    def stumble(connection: Connection) -> None:
        connection.execute("SELECT nothing FROM t")

    results = await asyncio.gather(
        traced.ask(1), traced.lookups.read(stumble), traced.ask(2), return_exceptions=True
    )
    assert [type(result) for result in results] == [int, sqlite3.OperationalError, int]


async def test_a_slow_one_does_not_hold_up_those_that_come_after_it(traced: Traced) -> None:
    slow, let_go = await hold(traced)
    assert await traced.ask(1) == 1
    let_go()
    await slow


async def test_those_that_come_while_all_threads_are_busy_go_together_when_one_has_time(
    traced: Traced,
) -> None:
    held = [await hold(traced) for _ in range(THREADS)]
    asked = []
    for number in range(5):
        asked.append(traced.ask(number))
        await asyncio.sleep(0)
    held[0][1]()
    assert await asyncio.gather(*asked) == list(range(5))
    assert traced.statements.count("BEGIN") == THREADS + 1
    held[1][1]()
    await asyncio.gather(*(task for task, _ in held))


async def test_who_gives_up_waiting_leaves_the_others_their_results(traced: Traced) -> None:
    impatient, patient = traced.ask(1), traced.ask(2)
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 2


async def test_a_file_that_cannot_be_opened_is_an_error_for_all_who_asked(tmp_path: Path) -> None:
    lookups = LookupPool(SqliteSnapshotSource(tmp_path / "nowhere.db", leave_encoded), THREADS)
    reads = [lookups.read(lambda connection: select(connection, 1)) for _ in range(3)]
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    await lookups.close()


async def test_what_waits_when_the_store_is_closed_is_refused(traced: Traced) -> None:
    held = [await hold(traced) for _ in range(THREADS)]
    waiting = traced.ask(1)
    await asyncio.sleep(0)
    closing = asyncio.create_task(traced.lookups.close())
    with pytest.raises(StoreUnavailable, match="closed"):
        await waiting
    for task, let_go in held:
        let_go()
        await task
    await closing
    with pytest.raises(StoreUnavailable, match="closed"):
        await traced.ask(1)
