"""What a million requests or votes cost: CPU of the gateway and of the database, and room on the disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import Kind, request_of
from benchmarks.contestants import gateway
from benchmarks.lineup import Running, Say, running
from benchmarks.postgres_server import PostgresServer, postgres_server

MILLION = 1_000_000
SQLITE, POSTGRES = "SQLite", "PostgreSQL"
_CALLS: tuple[tuple[str, Kind, int], ...] = (
    ("requests", "json", 16),
    ("streams of 52 events", "sse", 64),
    ("votes", "feedback", 64),
)
"""What is measured, and from how many callers at once."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What so many of something would cost, measured with fewer.

    Args:
        per_second: how many there were a second, with all else on the same machine.
        database_cpu_s: of a server; a file is written by the gateway itself.
        log_bytes: what a server writes to its write-ahead log.
    """

    store: str
    what: str
    per_second: float
    gateway_cpu_s: float
    database_cpu_s: float
    disk_bytes: float
    log_bytes: float


@dataclass(frozen=True, slots=True)
class _Used:
    gateway_cpu_s: float
    database_cpu_s: float = 0.0
    disk_bytes: int = 0
    log_bytes: int = 0


def measure_million(folder: Path, seconds: int, say: Say) -> list[Cost]:
    """Measure each kind of call with each store, for so many seconds."""
    folder.mkdir(parents=True)
    costs = _measured(SQLITE, folder / "sqlite", None, seconds)
    # The name of a socket may be no longer than names of folders already are.
    with tempfile.TemporaryDirectory(prefix="pg") as place, postgres_server(Path(place)) as server:
        costs += _measured(POSTGRES, folder / "postgres", server, seconds)
    for cost in costs:
        say(f"{cost.store}, a million {cost.what}: {cost.gateway_cpu_s:,.0f} s of CPU")
    return costs


def _measured(store: str, folder: Path, server: PostgresServer | None, seconds: int) -> list[Cost]:
    url = None if server is None else server.new_database()
    with ExitStack() as stack:
        [serving] = stack.enter_context(running([gateway(url=url)], folder))
        used = (
            _used_in_file(serving, folder) if server is None else _used_in_server(serving, server, str(url))
        )
        return [
            _cost(store, what, kind, serving, connections, seconds, used)
            for what, kind, connections in _CALLS
        ]


def _cost(
    store: str,
    what: str,
    kind: Kind,
    serving: Running,
    connections: int,
    seconds: int,
    used: Callable[[], _Used],
) -> Cost:
    known = len(serving.send(request_of("json", "known", serving.headers), connections=16, seconds=1))
    before = used()
    answers = serving.send(
        request_of(kind, "known" if kind == "feedback" else f"{store}-{kind}", serving.headers),
        connections=connections,
        seconds=seconds,
        numbers=known if kind == "feedback" else None,
    )
    after = used()
    scale = MILLION / len(answers)
    return Cost(
        store,
        what,
        len(answers) / seconds,
        (after.gateway_cpu_s - before.gateway_cpu_s) * scale,
        (after.database_cpu_s - before.database_cpu_s) * scale,
        (after.disk_bytes - before.disk_bytes) * scale,
        (after.log_bytes - before.log_bytes) * scale,
    )


def _used_in_file(serving: Running, folder: Path) -> Callable[[], _Used]:
    def used() -> _Used:
        cpu_s = serving.settle().cpu_seconds
        return _Used(cpu_s, disk_bytes=_size_of(folder / serving.name / "gateway.db"))

    return used


def _size_of(database: Path) -> int:
    """How large a file is, with what is committed and still in its log."""
    import sqlite3

    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        (count,), (size,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size")
        )
        return int(count) * int(size)
    finally:
        connection.close()


def _used_in_server(serving: Running, server: PostgresServer, url: str) -> Callable[[], _Used]:
    def used() -> _Used:
        cpu_s = serving.settle().cpu_seconds
        return _Used(
            cpu_s,
            server.cpu_seconds(),
            int(server.query(url, "SELECT pg_database_size(current_database())")),
            int(server.query(url, "SELECT pg_current_wal_lsn() - '0/0'")),
        )

    return used
