"""The writer: one commit for all who wait, and each job's failure its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.errors import Conflict, StoreUnavailable
from gateway.store import database as writer_module
from gateway.store.dialect import Connection
from gateway.store.locks import FileLock
from gateway.store.sqlite import store as sqlite_writer_module
from gateway.store.sqlite.connection import connect_writer
from gateway.store.sqlite.store import SqliteWriter
from tests.upstream.scripted_server import eventually


class Traced:
    """A writer on a table of one column, and the statements that it ran."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements: list[str] = []
        self.connection = connect_writer(path)
        self.connection.execute("CREATE TABLE t (x UNIQUE)")
        self.connection.execute("PRAGMA busy_timeout = 50")
        self.connection.set_trace_callback(self.statements.append)
        self.writer = SqliteWriter(self.connection, path)

    def stored(self) -> list[object]:
        reader = sqlite3.connect(self.path)
        rows = reader.execute("SELECT x FROM t ORDER BY rowid").fetchall()
        reader.close()
        return [row[0] for row in rows]

    async def insert(self, value: object, *, size_bytes: int = 0, is_synced: bool = False) -> int:
        def work(connection: Connection) -> int:
            number: int = connection.execute("INSERT INTO t VALUES (?) RETURNING rowid", (value,)).fetchone()[
                0
            ]
            return number

        return await self.writer.write(work, size_bytes=size_bytes, is_synced=is_synced)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Keep the writer's thread at one job meanwhile, so that others come to wait together."""
        entered, gate = threading.Event(), threading.Event()

        def hold(_: Connection) -> None:
            entered.set()
            gate.wait()

        holding = asyncio.create_task(self.writer.write(hold))
        await asyncio.to_thread(entered.wait)
        try:
            yield
        finally:
            gate.set()
            await holding


@pytest.fixture
async def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Traced]:
    monkeypatch.setattr(sqlite_writer_module, "BUSY_SECONDS", 0.3)
    traced = Traced(tmp_path / "gateway.db")
    yield traced
    await traced.writer.close()


async def insert_together(traced: Traced, values: Sequence[object]) -> list[int | BaseException]:
    async with traced.busy():
        writes = [asyncio.create_task(traced.insert(value)) for value in values]
        await asyncio.sleep(0)
    return await asyncio.gather(*writes, return_exceptions=True)


async def test_all_who_wait_share_one_commit(traced: Traced) -> None:
    results = await insert_together(traced, list(range(50)))
    assert results == list(range(1, 51))
    assert traced.statements.count("COMMIT") == 2
    assert traced.stored() == list(range(50))


async def test_a_batch_is_bounded_in_jobs(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_BATCH_JOBS", 10)
    await insert_together(traced, list(range(35)))
    assert traced.statements.count("COMMIT") == 5
    assert traced.stored() == list(range(35))


async def test_a_job_that_fails_takes_no_neighbour_with_it(traced: Traced) -> None:
    results = await insert_together(traced, ["a", "a", 2**70, "b"])
    assert [type(result) for result in results] == [int, sqlite3.IntegrityError, OverflowError, int]
    assert traced.stored() == ["a", "b"]


async def test_a_refusal_costs_its_neighbours_no_second_transaction(traced: Traced) -> None:
    def refuse(_: Connection) -> int:
        raise Conflict("no.")

    async with traced.busy():
        writes = [
            asyncio.create_task(traced.insert("a")),
            asyncio.create_task(traced.writer.write(refuse)),
            asyncio.create_task(traced.insert("b")),
        ]
        await asyncio.sleep(0)
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [int, Conflict, int]
    assert traced.statements.count("COMMIT") == 2
    assert "ROLLBACK" not in traced.statements


async def test_a_batch_is_synced_if_one_job_in_it_must_be(traced: Traced) -> None:
    await traced.insert("a")
    assert "PRAGMA synchronous = FULL" not in traced.statements
    await traced.insert("b", is_synced=True)
    full = traced.statements.index("PRAGMA synchronous = FULL")
    assert traced.statements[full + 1] == "BEGIN IMMEDIATE"
    await traced.insert("c")
    assert traced.statements.index("PRAGMA synchronous = NORMAL") > full


async def test_a_lazy_job_rides_along_with_the_next_batch(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "DEFERRED_SECONDS", 3600)
    lazy = asyncio.create_task(
        traced.writer.write_deferred(lambda connection: connection.execute("INSERT INTO t VALUES ('lazy')"))
    )
    await asyncio.sleep(0)
    await traced.insert("urgent")
    await lazy
    assert traced.statements.count("COMMIT") == 1
    assert traced.stored() == ["urgent", "lazy"]


async def test_a_lazy_job_alone_is_committed_soon(traced: Traced) -> None:
    for value in ("first", "second"):
        await traced.writer.write_deferred(
            lambda connection, value=value: connection.execute("INSERT INTO t VALUES (?)", (value,))  # type: ignore[misc]
        )
    assert traced.stored() == ["first", "second"]


async def test_closing_commits_lazy_jobs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "DEFERRED_SECONDS", 3600)
    traced = Traced(tmp_path / "gateway.db")
    lazy = asyncio.create_task(
        traced.writer.write_deferred(lambda connection: connection.execute("INSERT INTO t VALUES ('lazy')"))
    )
    await asyncio.sleep(0)
    await traced.writer.close()
    await lazy
    assert traced.stored() == ["lazy"]


async def test_a_full_queue_makes_writers_wait_and_drops_nothing(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED_BYTES", 100)
    async with traced.busy():
        writes = [asyncio.create_task(traced.insert(number, size_bytes=40)) for number in range(10)]
        await asyncio.sleep(0)
        assert traced.writer.queued_bytes == 80
    await asyncio.gather(*writes)
    assert sorted(traced.stored(), key=str) == list(range(10))
    assert traced.writer.queued_bytes == 0


async def test_a_job_larger_than_the_queue_is_taken_when_it_is_empty(
    traced: Traced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED_BYTES", 100)
    assert await traced.insert("large", size_bytes=1000) == 1


async def test_a_database_that_stays_locked_fails_all_who_wait_at_once(traced: Traced) -> None:
    other = sqlite3.connect(traced.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(traced.insert(number) for number in range(20)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 20
    assert "another process has kept it locked" in str(results[0])
    assert traced.statements.count("BEGIN IMMEDIATE") == 1
    other.execute("ROLLBACK")
    other.close()
    assert await traced.insert("after") == 1


async def test_what_comes_while_a_locked_database_is_waited_for_does_not_wait_as_long_again(
    traced: Traced,
) -> None:
    traced.connection.execute("PRAGMA busy_timeout = 300")
    other = sqlite3.connect(traced.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(traced.insert("first"))
    await eventually(lambda: "BEGIN IMMEDIATE" in traced.statements)
    results = await asyncio.gather(first, traced.insert("second"), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert traced.statements.count("BEGIN IMMEDIATE") == 1
    other.close()
    assert await traced.insert("after") == 1
    assert traced.writer.queued_bytes == 0


@pytest.fixture
def other(tmp_path: Path) -> Iterator[FileLock]:
    """Another process's turn."""
    lock = FileLock(tmp_path / "gateway.db.lock")
    yield lock
    lock.close()


async def test_all_that_comes_while_another_process_has_its_turn_is_written_in_the_next(
    traced: Traced, other: FileLock
) -> None:
    other.acquire()
    writes = [asyncio.create_task(traced.insert(number)) for number in range(5)]
    await asyncio.sleep(0.05)
    assert "BEGIN IMMEDIATE" not in traced.statements
    writes += [asyncio.create_task(traced.insert(number)) for number in range(5, 10)]
    await asyncio.sleep(0)
    other.release()
    await asyncio.gather(*writes)
    assert traced.statements.count("BEGIN IMMEDIATE") == 1
    assert traced.stored() == list(range(10))


async def test_the_turn_is_ended_with_the_transaction_also_if_that_fails(
    traced: Traced, other: FileLock
) -> None:
    await insert_together(traced, ["a", "a"])
    await asyncio.to_thread(other.acquire)


async def test_what_waits_for_its_turn_too_long_fails_and_is_not_done_later(
    traced: Traced, other: FileLock
) -> None:
    other.acquire()
    results = await asyncio.gather(*(traced.insert(number) for number in range(20)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * 20
    assert "another process has kept it locked" in str(results[0])
    other.release()
    assert await traced.insert("after") == 1
    assert traced.stored() == ["after"]
    assert traced.writer.queued_bytes == 0


async def test_closing_waits_no_longer_for_its_turn_than_a_write_does(
    traced: Traced, other: FileLock
) -> None:
    other.acquire()
    write = asyncio.create_task(traced.insert("a"))
    await asyncio.sleep(0)
    await traced.writer.close()
    with pytest.raises(StoreUnavailable, match="another process has kept it locked"):
        await write
    other.release()


async def test_a_disk_without_room_fails_the_job_that_needs_it(traced: Traced) -> None:
    pages = traced.connection.execute("PRAGMA page_count").fetchone()[0]
    traced.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    results = await insert_together(traced, ["a", "x" * 100_000, "b"])
    assert [type(result) for result in results] == [int, StoreUnavailable, int]
    assert "the disk is full" in str(results[1])
    assert traced.stored() == ["a", "b"]


async def test_a_mistake_in_a_statement_is_not_hidden(traced: Traced) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await traced.writer.write(lambda connection: connection.execute("SELECT * FROM nowhere"))
    assert await traced.insert("after") == 1
