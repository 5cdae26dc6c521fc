"""Checkpoints beside the writer: they are made, they bound the log, and a writer does without them if it must."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.store.sqlite import store as checkpointer_module
from gateway.store.sqlite import store as writer_module
from gateway.store.sqlite.connection import connect_writer
from gateway.store.sqlite.store import SqliteWriter

PAGE_BYTES = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.db"
    connection = connect_writer(path)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    return path


async def insert(writer: SqliteWriter, rows: int, size_bytes: int = 0) -> None:
    """Write rows of a page each, one commit after the other."""
    for _ in range(rows):
        await writer.write(
            lambda connection: connection.execute("INSERT INTO t VALUES (zeroblob(?))", (PAGE_BYTES,)),
            size_bytes=size_bytes,
        )


async def eventually(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.01)


def rows_beside_the_log(path: Path) -> int:
    """How many rows are in the database itself, whatever is in its log."""
    connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    try:
        count: int = connection.execute("SELECT count(*) FROM t").fetchone()[0]
        return count
    except sqlite3.DatabaseError:
        # It is being copied there at this moment, which nothing keeps from being seen here.
        return 0
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("rows", "size_bytes"), [(checkpointer_module.COMMITS, 0), (2, checkpointer_module.ROW_BYTES)]
)
async def test_what_was_committed_is_copied_into_the_database_without_any_further_commit(
    path: Path, rows: int, size_bytes: int
) -> None:
    writer = SqliteWriter(connect_writer(path), path)
    try:
        await insert(writer, rows, size_bytes)
        await eventually(lambda: rows_beside_the_log(path) > 0)
    finally:
        await writer.close()


@pytest.mark.parametrize("commits", [1, checkpointer_module.COMMITS])
async def test_a_busy_writers_log_begins_anew_even_if_a_checkpoint_is_always_due(
    path: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    monkeypatch.setattr(writer_module, "LOG_PAGES", 200)
    monkeypatch.setattr(checkpointer_module, "LOG_PAGES", 200)
    monkeypatch.setattr(checkpointer_module, "COMMITS", commits)
    writer = SqliteWriter(connect_writer(path), path)
    rows = 0
    try:
        while rows < 1500 or path.with_name("gateway.db-wal").stat().st_size > rows * PAGE_BYTES // 2:
            await insert(writer, 500)
            rows += 500
            assert rows < 50_000
    finally:
        await writer.close()
    assert rows_beside_the_log(path) == rows


async def test_a_writer_goes_on_where_no_checkpoints_can_be_made_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = connect_writer(path)
    monkeypatch.setattr(checkpointer_module, "connect_writer", lambda _: connect_writer(path / "nowhere"))
    writer = SqliteWriter(connection, path)
    await insert(writer, checkpointer_module.COMMITS + 1)
    await eventually(lambda: "no checkpoints are made beside commits" in capsys.readouterr().out)
    await insert(writer, checkpointer_module.COMMITS)
    await writer.close()
    assert rows_beside_the_log(path) == 2 * checkpointer_module.COMMITS + 1
