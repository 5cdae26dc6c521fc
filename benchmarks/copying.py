"""What the store in PostgreSQL takes, beside what PostgreSQL itself takes: COPY of the same rows, ready as text.

The server is one that is made for it, on this machine, and syncs the disk at each commit.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.filling import Month, exchanges
from benchmarks.postgres_server import postgres_server
from benchmarks.stopwatch import Stopwatch
from benchmarks.storing import Stored
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange
from gateway.store import open_store

THROUGH_THE_STORE = "requests, through the store"
PLAIN = "requests, by plain COPY"

AT_ONCE = 1000
_MANY = 1_000_000
_TABLES = ("requests", "payloads")


def measure_copying(folder: Path, batches: int, say: Callable[[str], None]) -> list[Stored]:
    """Write so many batches of requests with their bodies each way, each into a new database."""
    with postgres_server(folder) as server:
        written, empty = server.new_database(), server.new_database()
        rows = [
            asyncio.run(_through_the_store(written, batches)),
            asyncio.run(_by_plain_copy(written, empty, batches)),
        ]
    for row in rows:
        say(f"{row.what}: {row.per_second:,.0f} a second")
    return rows


async def _through_the_store(url: str, batches: int) -> Stored:
    given, watch = list(_batches(batches)), Stopwatch()
    store = await open_store(url)
    try:
        for batch in given:
            with watch:
                await store.append(batch)
    finally:
        await store.close()
    return _stored(THROUGH_THE_STORE, batches, watch)


async def _by_plain_copy(written: str, empty: str, batches: int) -> Stored:
    """Copy what is in one database into another, as many rows at a time."""
    import psycopg

    await (await open_store(empty)).close()
    watch = Stopwatch()
    with psycopg.connect(written) as source, psycopg.connect(empty, autocommit=True) as target:
        for number in range(batches):
            span = f"seq > {number * AT_ONCE} AND seq <= {(number + 1) * AT_ONCE} ORDER BY seq"
            texts = [
                _copied_out(source, f"COPY (SELECT * FROM {table} WHERE {span}) TO STDOUT")
                for table in _TABLES
            ]
            with watch, target.transaction(), target.cursor() as cursor:
                for table, text in zip(_TABLES, texts, strict=True):
                    with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                        copy.write(text)
    return _stored(PLAIN, batches, watch)


def _copied_out(source: Any, sql: str) -> bytes:
    with source.cursor() as cursor, cursor.copy(sql.encode()) as copy:
        return b"".join(map(bytes, copy))


def _batches(number: int) -> Iterator[Sequence[Exchange]]:
    dice, month = random.Random(1), Month(_MANY, now_us())
    for first in range(0, number * AT_ONCE, AT_ONCE):
        yield exchanges(month, dice, range(first, first + AT_ONCE))


def _stored(what: str, batches: int, watch: Stopwatch) -> Stored:
    rows = batches * AT_ONCE
    return Stored(what, AT_ONCE, rows / watch.seconds, watch.cpu_seconds / rows * 1e6)
