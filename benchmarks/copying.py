"""What the store in PostgreSQL takes, beside what PostgreSQL itself takes: COPY of the same rows, ready as text.

The server is one that is made for it, on this machine, and syncs the disk at each commit.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.filling import Month, exchanges, with_facts
from benchmarks.postgres_server import postgres_server
from benchmarks.stopwatch import Stopwatch
from benchmarks.storing import Stored
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange
from gateway.models.request import Facts
from gateway.store import open_store

THROUGH_THE_STORE = "requests, through the store"
PLAIN = "requests, by plain COPY"

AT_ONCE = 1000
_MANY = 1_000_000
_TABLES = ("requests", "payloads")


def measure_copying(folder: Path, batches: int, say: Callable[[str], None]) -> list[Stored]:
    """Write so many batches of requests with their bodies each way, in turns, each into a new database."""
    with postgres_server(folder) as server:
        rows = asyncio.run(_in_turns(server.new_database(), server.new_database(), batches))
    for row in rows:
        say(f"{row.what}: {row.per_second:,.0f} a second")
    return rows


async def _in_turns(written: str, empty: str, batches: int) -> list[Stored]:
    """Write a batch through the store, then copy what has become of it into another database, as many rows at a
    time."""
    import psycopg

    await (await open_store(empty)).close()
    store, through_the_store, plain = await open_store(written), Stopwatch(), Stopwatch()
    try:
        with psycopg.connect(written) as source, psycopg.connect(empty, autocommit=True) as target:
            for number, batch in enumerate(_batches(batches)):
                with through_the_store:
                    await store.ingest(batch, None, now_us())
                span = f"seq > {number * AT_ONCE} AND seq <= {(number + 1) * AT_ONCE} ORDER BY seq"
                texts = [
                    _copied_out(source, f"COPY (SELECT * FROM {table} WHERE {span}) TO STDOUT")
                    for table in _TABLES
                ]
                source.rollback()
                with plain, target.transaction(), target.cursor() as cursor:
                    for table, text in zip(_TABLES, texts, strict=True):
                        with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                            copy.write(text)
    finally:
        await store.close()
    return [_stored(THROUGH_THE_STORE, batches, through_the_store), _stored(PLAIN, batches, plain)]


def _copied_out(source: Any, sql: str) -> bytes:
    with source.cursor() as cursor, cursor.copy(sql.encode()) as copy:
        return b"".join(map(bytes, copy))


def _batches(number: int) -> Iterator[Sequence[tuple[Exchange, Facts]]]:
    dice, month = random.Random(1), Month(_MANY, now_us())
    for first in range(0, number * AT_ONCE, AT_ONCE):
        yield with_facts(dice, exchanges(month, dice, range(first, first + AT_ONCE)))


def _stored(what: str, batches: int, watch: Stopwatch) -> Stored:
    rows = batches * AT_ONCE
    return Stored(what, AT_ONCE, rows / watch.seconds, watch.cpu_seconds / rows * 1e6)
