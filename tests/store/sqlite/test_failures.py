"""A file that stops working: callers are told why, nothing half-done stays, and it heals by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange
from gateway.models.feedback import Receipt
from gateway.store.locks import lock_database
from gateway.store.sqlite.connection import connect_writer, migrate_schema
from gateway.store.sqlite.store import SqliteStore
from tests.storage_faults import overwrite_page
from tests.store.samples import exchange, feedback, request_of, requests_of
from tests.store.test_journal_files import file_size_limit


class Failing:
    """A store whose file can be filled up or locked by somebody else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = connect_writer(path)
        migrate_schema(self.connection, path)
        self.connection.execute("PRAGMA busy_timeout = 50")
        self.store = SqliteStore(self.connection, lock_database(path), path)

    async def leave_pages(self, count: int) -> None:
        """Let the file grow by this many pages and no more."""
        used = self.connection.execute("PRAGMA page_count").fetchone()[0]
        self.connection.execute(f"PRAGMA max_page_count = {used + count}")

    async def create_partitions(self) -> None:
        self.connection.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
async def failing(tmp_path: Path) -> AsyncIterator[Failing]:
    failing = Failing(tmp_path / "gateway.db")
    yield failing
    await failing.store.close()


def large(request_id: str = "large") -> Exchange:
    noise = b"".join(
        hash((request_id, number)).to_bytes(8, "little", signed=True) for number in range(30_000)
    )
    return exchange(request_id, request_body=noise, request_size=len(noise))


async def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(failing: Failing) -> None:
    store = failing.store
    await store.append([exchange("before")])
    await failing.leave_pages(8)
    writes = [store.append([exchange("a")]), store.append([large()]), store.append([exchange("b")])]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, StoreUnavailable, list]
    assert "the disk is full" in str(outcomes[1])
    assert [record.request_id for record in await requests_of(store)] == ["before", "a", "b"]


async def test_a_disk_with_room_for_small_rows_only_is_not_healthy_until_it_has_more(
    failing: Failing,
) -> None:
    store = failing.store
    await failing.leave_pages(8)
    with pytest.raises(StoreUnavailable):
        await store.append([large()])
    for _ in range(2):
        health = await store.check()
        assert not health.is_writable
        assert "the disk is full" in str(health.reason)
    await failing.create_partitions()
    assert (await store.check()).is_writable
    [seq] = await store.append([large()])
    assert (await request_of(store, seq)).request_id == "large"


async def test_feedback_that_does_not_fit_leaves_no_part_behind(failing: Failing) -> None:
    store = failing.store
    await failing.leave_pages(8)
    entries = [feedback("small"), feedback("large", raw='"' + "x" * 300_000 + '"')]
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        await store.put_feedback(entries, Receipt("s", "k", "d", ("small", "large")))
    assert await store.feedback_by_ids(["small", "large"]) == []
    assert await store.receipt("s", "k") is None


async def test_a_file_system_that_refuses_to_grow_the_file_is_reported_and_heals(failing: Failing) -> None:
    store = failing.store
    await store.append([exchange("before")])
    with file_size_limit(512 * 1024):
        with pytest.raises(StoreUnavailable, match="reading or writing the disk failed"):
            await store.append([large(str(number)) for number in range(10)])
        assert not (await store.check()).is_writable
    assert (await store.check()).is_writable
    await store.append([exchange("after")])
    assert [record.request_id for record in await requests_of(store)] == ["before", "after"]


async def test_another_process_that_keeps_the_lock_is_named_as_the_reason(failing: Failing) -> None:
    store = failing.store
    other = sqlite3.connect(failing.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another process has kept it locked"):
        await store.append([exchange()])
    health = await store.check()
    assert (health.is_writable, "locked" in str(health.reason)) == (False, True)
    assert await requests_of(store) == [], "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    await store.append([exchange("after")])
    assert (await store.check()).is_writable


async def test_a_reader_that_takes_its_time_holds_up_no_writer(failing: Failing) -> None:
    store = failing.store
    await store.append([exchange("before")])
    analyst = sqlite3.connect(failing.path, isolation_level=None)
    analyst.execute("BEGIN")
    assert analyst.execute("SELECT count(*) FROM requests").fetchone() == (1,)
    await store.append([exchange("meanwhile")])
    assert analyst.execute("SELECT count(*) FROM requests").fetchone() == (1,)
    analyst.execute("COMMIT")
    assert analyst.execute("SELECT count(*) FROM requests").fetchone() == (2,)
    analyst.close()


async def test_a_damaged_page_is_reported_to_the_reader(failing: Failing) -> None:
    store = failing.store
    await store.append([exchange(str(number)) for number in range(500)])
    failing.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    root = failing.connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'requests'"
    ).fetchone()[0]
    overwrite_page(failing.path, root)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await requests_of(store)


async def test_a_file_that_was_removed_under_the_store_is_not_healthy(failing: Failing) -> None:
    _remove(failing.path)
    health = await failing.store.check()
    assert not health.is_writable
    assert "removed or replaced" in str(health.reason)


async def test_nothing_is_committed_to_a_file_that_nobody_will_find(failing: Failing) -> None:
    _remove(failing.path)
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await failing.store.append([exchange()])
    with pytest.raises(StoreUnavailable, match="removed or replaced"):
        await failing.store.put_feedback([feedback()])


def _remove(path: Path) -> None:
    path.unlink()
