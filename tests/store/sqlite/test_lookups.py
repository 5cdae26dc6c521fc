"""Lookups share connections: none waits for a reply to another, none is lost with another."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.base import leave_encoded
from gateway.store.read_pool import LOOKUP_CONNECTIONS, ReadPool
from gateway.store.sqlite.connection import SqliteReadConnection, connect_writer

_SOME_SECONDS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT max(i) FROM n"
)


def pool_of(path: Path) -> ReadPool:
    return ReadPool(lambda: SqliteReadConnection(path, leave_encoded), None)


async def ask(pool: ReadPool, number: int) -> int:
    found: int = (await pool.fetch_one("SELECT x FROM t WHERE x = ?", (number,)))[0]
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    connection = connect_writer(tmp_path / "gateway.db")
    connection.execute("CREATE TABLE t (x)")
    connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(100)])
    connection.close()
    return tmp_path / "gateway.db"


@pytest.fixture
async def pool(path: Path) -> AsyncIterator[ReadPool]:
    pool = pool_of(path)
    yield pool
    await pool.close()


async def test_many_at_once_are_all_answered(pool: ReadPool) -> None:
    assert await asyncio.gather(*(ask(pool, number) for number in range(100))) == list(range(100))


async def test_one_that_fails_takes_no_neighbour_with_it(pool: ReadPool) -> None:
    results = await asyncio.gather(
        ask(pool, 1), pool.fetch_all("SELECT nothing FROM t"), ask(pool, 2), return_exceptions=True
    )
    assert [type(result) for result in results] == [int, sqlite3.OperationalError, int]


async def test_a_slow_one_does_not_hold_up_those_that_come_after_it(pool: ReadPool) -> None:
    slow = asyncio.create_task(pool.fetch_one(_SOME_SECONDS))
    await asyncio.sleep(0.01)
    assert await asyncio.gather(*(ask(pool, number) for number in range(5))) == list(range(5))
    assert not slow.done()
    assert await slow == (3_000_000,)


async def test_a_commit_that_was_acknowledged_is_seen(pool: ReadPool, path: Path) -> None:
    connection = connect_writer(path)
    for number in range(100, 120):
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        assert await asyncio.gather(*(ask(pool, number) for _ in range(LOOKUP_CONNECTIONS + 1)))
    connection.close()


async def test_who_gives_up_waiting_leaves_the_others_their_results(pool: ReadPool) -> None:
    impatient, patient = asyncio.create_task(ask(pool, 1)), asyncio.create_task(ask(pool, 2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 2
    assert await ask(pool, 3) == 3


async def test_a_file_that_cannot_be_opened_is_an_error_for_all_who_asked(tmp_path: Path) -> None:
    pool = pool_of(tmp_path / "nowhere.db")
    results = await asyncio.gather(*(ask(pool, 1) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    await pool.close()


async def test_one_under_way_when_the_store_is_closed_is_answered(pool: ReadPool) -> None:
    slow = asyncio.create_task(pool.fetch_one(_SOME_SECONDS))
    await asyncio.sleep(0.01)
    await pool.close()
    assert await slow == (3_000_000,)
    with pytest.raises(StoreUnavailable, match="closed"):
        await ask(pool, 1)


def test_a_process_that_did_not_close_its_store_ends(path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from tests.store.sqlite.test_lookups import ask, pool_of
async def leave():
    global pool
    pool = pool_of(Path({str(path)!r}))
    await ask(pool, 1)
asyncio.run(leave())
"""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert time.monotonic() - began < 30
