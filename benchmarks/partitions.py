"""How long it takes to find requests by their ids in PostgreSQL, in one table and in one with a partition a day."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.postgres_server import PostgresServer, postgres_server
from gateway.models.metrics import DAY_US

DAYS = (1, 30, 90)
"""Partitions; one is the table as it is."""

_ROWS_A_DAY = 2000
_TIMES = 200
_FILL = f"""
INSERT INTO requests (
    seq, request_id, trace_id, provider, endpoint, method, path, started_at_us, ended_at_us, outcome, is_stream,
    attempt, metadata, request_size, response_size, payloads, status
)
SELECT n, 'r' || n, 't' || n / 2, 'p', 'chat.completions', 'POST', '/v1', n % {{days}} * {DAY_US}::bigint + n,
    n % {{days}} * {DAY_US}::bigint + n, 'complete', false, 0, '{{{{}}}}', 1, 1, 'full', 200
FROM generate_series(1, {{rows}}) AS n
"""

_Question = tuple[str, str, Callable[[int], Any]]
_QUESTIONS: Sequence[_Question] = (
    (
        "a trace by its id",
        "SELECT tenant, max(seq) FROM requests WHERE trace_id = %s GROUP BY trace_id, tenant",
        lambda number: f"t{number // 2}",
    ),
    (
        "a request by its id",
        "SELECT trace_id FROM requests WHERE seq IN"
        " (SELECT max(seq) FROM requests WHERE request_id = %s GROUP BY tenant, trace_id, request_id)",
        lambda number: f"r{number}",
    ),
    ("a row by its number", "SELECT * FROM requests WHERE seq = %s", lambda number: number),
)


@dataclass(frozen=True, slots=True)
class Found:
    """How long a question took, in milliseconds, with so many partitions."""

    what: str
    days: int
    took_ms: float


def measure_partitions(folder: Path, say: Callable[[str], None]) -> list[Found]:
    """Ask each question in a table for each number of days, planned each time, as behind a pooler."""
    with postgres_server(folder) as server:
        return [found for days in DAYS for found in _measured(server, days, say)]


def _measured(server: PostgresServer, days: int, say: Callable[[str], None]) -> list[Found]:
    import psycopg

    from gateway.store.postgres.store import open_connection

    url = server.new_database()
    open_connection(url).close()
    dice, rows = random.Random(1), max(DAYS) * _ROWS_A_DAY
    found = []
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        if days > 1:
            _partition(connection, days)
        connection.execute(_FILL.format(days=days, rows=rows).encode())
        connection.execute("ANALYZE requests")
        for what, sql, value_of in _QUESTIONS:
            started = time.perf_counter()
            for _ in range(_TIMES):
                connection.execute(sql.encode(), (value_of(dice.randrange(1, rows)),)).fetchall()
            found.append(Found(what, days, (time.perf_counter() - started) / _TIMES * 1000))
            say(f"{what}, {days} partitions: {found[-1].took_ms:.2f} ms")
    return found


def _partition(connection: Any, days: int) -> None:
    """Make the table of requests anew, with the same columns and indexes, in so many parts."""
    indexes = connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'requests'").fetchall()
    connection.execute("ALTER TABLE requests RENAME TO whole")
    connection.execute(
        "CREATE TABLE requests (LIKE whole INCLUDING DEFAULTS) PARTITION BY RANGE (started_at_us)"
    )
    for day in range(days):
        span = f"FROM ({day * DAY_US}) TO ({(day + 1) * DAY_US})"
        connection.execute(f"CREATE TABLE day_{day} PARTITION OF requests FOR VALUES {span}".encode())
    for (index,) in indexes:
        made = re.sub(r"INDEX (\w+) ON", r"INDEX by_day_\1 ON", index.replace("UNIQUE ", ""))
        connection.execute(made.encode())
