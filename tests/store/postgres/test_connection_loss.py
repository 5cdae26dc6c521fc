"""Connections that are lost, at whatever moment: callers are told, nothing is there twice, and it heals."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from gateway.errors import Conflict, StoreUnavailable
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.request import Facts
from gateway.store import open_store, requests
from gateway.store.base import JournalPosition, Store, leave_encoded
from gateway.store.dialect import AsyncConnection
from gateway.store.postgres.connection import EXCLUSIVE, LOCK_SECONDS, SHARED, PostgresConnection
from gateway.store.postgres.dialect import TextPacker
from tests.log_reader import eventually
from tests.store.samples import exchange, feedback, requests_of

_END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def end_connections(url: str) -> None:
    """Let the server end every connection to a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_END_OTHERS)


async def test_what_comes_after_connections_were_ended_goes_by_new_ones(store: Store, url: str) -> None:
    await store.append([exchange("before")])
    await requests_of(store)
    end_connections(url)
    await store.append([exchange("after")])
    assert [record.request_id for record in await requests_of(store)] == ["before", "after"]
    assert (await store.check()).is_writable


async def test_lookups_after_connections_were_ended_go_by_new_ones(store: Store, url: str) -> None:
    [seq] = await store.append([exchange("before")])
    for _ in range(3):
        found = await asyncio.gather(*(store.payload(seq) for _ in range(5)))
        assert None not in found
        end_connections(url)


async def test_a_query_whose_connection_is_ended_is_refused_and_the_next_one_answered(
    store: Store, url: str
) -> None:
    async def sleep(connection: AsyncConnection) -> None:
        await connection.fetch_all("SELECT pg_sleep(60)")

    query = asyncio.create_task(store._replica.query(sleep))  # type: ignore[attr-defined]
    await asyncio.sleep(0.2)
    end_connections(url)
    with pytest.raises(StoreUnavailable, match="shut down"):
        await query
    assert await requests_of(store) == []


async def test_a_query_whose_caller_leaves_is_ended_on_the_server(store: Store, url: str) -> None:
    async def sleep(connection: AsyncConnection) -> None:
        await connection.fetch_all("SELECT pg_sleep(60)")

    query = asyncio.create_task(store._replica.query(sleep))  # type: ignore[attr-defined]
    await asyncio.to_thread(eventually, lambda: _is_anybody_sleeping(url))
    query.cancel()
    await asyncio.to_thread(eventually, lambda: not _is_anybody_sleeping(url))


def _is_anybody_sleeping(url: str) -> bool:
    sleeping = "state = 'active' AND query = 'SELECT pg_sleep(60)'"
    with psycopg.connect(url, autocommit=True) as connection:
        row: Any = connection.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE {sleeping}".encode()
        ).fetchone()
    return bool(row[0])


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_after_a_lost_commit_the_position_tells_whether_the_rows_are_there(
    url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store = await open_store(url)
    rows = [(exchange("a"), Facts()), (exchange("b"), Facts())]
    position = JournalPosition({}, {"gateway/0-1": 100})
    commit: Callable[[PostgresConnection], None] = PostgresConnection.commit

    def lose(connection: PostgresConnection) -> None:
        monkeypatch.setattr(PostgresConnection, "commit", commit)
        if moment == "after":
            commit(connection)
        end_connections(url)
        connection.execute("SELECT 1")

    monkeypatch.setattr(PostgresConnection, "commit", lose)
    with pytest.raises(StoreUnavailable, match="shut down"):
        await store.ingest(rows, position, 1)
    if moment == "before":
        assert await store.journal_positions() == {}
        await store.ingest(rows, position, 1)
    assert await store.journal_positions() == {"gateway/0-1": 100}
    with pytest.raises(Conflict, match="another process"):
        await store.ingest(rows, position, 1)
    assert [record.request_id for record in await requests_of(store)] == ["a", "b"]
    await store.close()


async def test_bringing_back_waits_for_a_commit_that_is_still_under_way(store: Store, url: str) -> None:
    slow = PostgresConnection(url)
    slow.begin(SHARED)
    requests.append_exchanges(slow, TextPacker(leave_encoded), [exchange("slow")])
    bringing_back = asyncio.create_task(store.append_missing([(exchange("slow"), None)], 1))
    await asyncio.to_thread(eventually, lambda: _is_anybody_waiting(url))
    slow.commit()
    slow.close()

    assert await bringing_back == 0
    assert len(await requests_of(store)) == 1


def _is_anybody_waiting(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        row: Any = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return bool(row[0])


async def test_who_waits_too_long_for_others_is_told_and_the_next_is_not_held_up(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = SHARED.replace(f"{LOCK_SECONDS}s", "50ms")
    monkeypatch.setattr("gateway.store.postgres.store.SHARED", hasty)
    other = PostgresConnection(url)
    other.begin(EXCLUSIVE)

    with pytest.raises(StoreUnavailable, match="locked for too long"):
        await store.append([exchange("locked out")])
    assert not (await store.check()).is_writable

    other.roll_back()
    other.close()
    await store.append([exchange("later")])
    assert [record.request_id for record in await requests_of(store)] == ["later"]


async def test_jobs_that_deadlock_are_run_again(store: Store, url: str) -> None:
    await store.put_feedback([feedback("f", "nowhere")])
    tries = 0

    def work(_: object) -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise psycopg.errors.DeadlockDetected
        return "done"

    assert await store._writer.write(work) == "done"  # type: ignore[attr-defined]
    assert tries == 2


async def test_a_job_that_fails_takes_no_neighbour_with_it(store: Store) -> None:
    def stumble(connection: PostgresConnection) -> None:
        connection.execute("SELECT 1 / 0")

    results = await asyncio.gather(
        store.append([exchange("a")]),
        store._writer.write(stumble),  # type: ignore[attr-defined]
        store.append([exchange("b")]),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["list", "DivisionByZero", "list"]
    assert len(await requests_of(store)) == 2


async def test_a_server_that_is_not_there_is_said_so_without_the_password() -> None:
    with pytest.raises(StoreUnavailable) as refused:
        await open_store("postgresql://me:sesame@127.0.0.1:1/gateway")
    assert "postgresql://127.0.0.1:1/gateway" in str(refused.value)
    assert "connection refused" in str(refused.value)
    assert "sesame" not in repr(refused.value)


async def test_a_database_that_is_not_there_is_said_so(url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r'database "no_[0-9]+" does not exist'):
        await open_store(url.replace("/test_", "/no_"))


async def test_a_database_of_another_program_is_refused(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE requests CASCADE")
    with pytest.raises(StoreUnavailable, match="belongs to another program"):
        await open_store(url)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_in_another_encoding_is_refused(url: str, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(url, autocommit=True) as connection:
        how = f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        connection.execute(f"CREATE DATABASE {name} {how}".encode())
        try:
            with pytest.raises(StoreUnavailable, match=f"is in {encoding}, which does not hold every text"):
                await open_store(re.sub("/test_[0-9]+", f"/{name}", url))
        finally:
            connection.execute(f"DROP DATABASE {name}".encode())


async def test_texts_are_spoken_of_in_utf_8_whatever_the_url_says(url: str) -> None:
    store = await open_store(f"{url}&client_encoding=LATIN1")
    await store.append([exchange(provider="→")])
    assert [record.provider for record in await requests_of(store)] == ["→"]
    await store.close()


async def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO migrations VALUES (9999, 'later', now())")
    with pytest.raises(StoreUnavailable, match="newer version"):
        await open_store(url)


async def test_no_statement_is_prepared_and_nothing_is_set_for_a_session(store: Store) -> None:
    await store.append([exchange()])
    for _ in range(10):
        await store.find_requests(NO_FILTER, Sort(), Page(), None)

    async def state(connection: AsyncConnection) -> list[Any]:
        asked = (
            "SELECT count(*) FROM pg_prepared_statements",
            "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name NOT LIKE 'transaction%'",
        )
        return [(await connection.fetch_one(sql))[0] for sql in asked]

    assert await store._replica.query(state) == [0, 0]  # type: ignore[attr-defined]
