"""Outages: a store that is away for minutes at full load. Does memory grow, is every row stored once, in order?"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.calls import request_of
from benchmarks.contestants import gateway
from benchmarks.lineup import Running, Say, running, warm_up
from benchmarks.postgres_server import PostgresServer, postgres_server
from benchmarks.processes import Failed
from benchmarks.vitals import Vitals, look

_CONNECTIONS = 64
_WARM_UP_SECONDS = 3
_LOOK_SECONDS = 1.0
# Of the journal, which by default holds a gigabyte.
_JOURNAL_BYTES = 64 * 1024**3
_CATCH_UP_SECONDS = 1800

_RUN = "outage"
# In the order in which they were stored; one worker journals in the order in which answers ended.
_OUT_OF_ORDER = """SELECT count(*) FROM (SELECT ended_at_us, lag(ended_at_us) OVER (ORDER BY seq) AS earlier_us
    FROM requests WHERE trace_id LIKE 'outage-%') AS r WHERE ended_at_us < earlier_us"""
_STORED = "SELECT count(*) FROM requests WHERE trace_id LIKE 'outage-%'"
_DISTINCT = "SELECT count(DISTINCT trace_id) FROM requests WHERE trace_id LIKE 'outage-%'"

# Asks the store for one number.
Ask = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Outage:
    """A store that was away, and what became of the requests meanwhile.

    Args:
        rss_mib: of all processes of the gateway: after the first tenth of the time, and the most in the rest.
        catch_up_seconds: from the end of the load, with the store back, until it had everything.
    """

    store: str
    seconds: float
    requests: int
    requests_per_second: float
    rss_mib: tuple[float, float]
    journal_mib: float
    catch_up_seconds: float
    lost: int
    doubled: int
    out_of_order: int


def measure_outages(folder: Path, seconds: float, say: Say) -> list[Outage]:
    """Load a gateway while its file is locked, then one whose server lets nobody in.

    Raises:
        Failed: a request failed, or the store did not catch up.
    """
    database = folder / "sqlite" / "gateway" / "gateway.db"
    found = [_measure("SQLite", folder / "sqlite", None, seconds, _lock(database), _ask_file(database), say)]
    with tempfile.TemporaryDirectory(prefix="pg") as place, postgres_server(Path(place)) as server:
        url = server.new_database()
        found.append(
            _measure(
                "PostgreSQL",
                folder / "postgres",
                url,
                seconds,
                _shut(server, url),
                lambda sql: int(server.query(url, sql)),
                say,
            )
        )
    return found


def _measure(
    store: str,
    folder: Path,
    url: str | None,
    seconds: float,
    away: contextlib.AbstractContextManager[None],
    ask: Ask,
    say: Say,
) -> Outage:
    environment = {"GATEWAY__STORAGE__JOURNAL_MAX_BYTES": str(_JOURNAL_BYTES)}
    contestant = gateway(url=url)
    contestant = replace(contestant, environment={**contestant.environment, **environment})
    with running([contestant], folder) as (present,), ThreadPoolExecutor(1) as thread:
        warm_up([present], _WARM_UP_SECONDS)
        present.settle()
        request = request_of("json", _RUN, present.headers)
        with away:
            sent = thread.submit(present.send, request, connections=_CONNECTIONS, seconds=seconds)
            looks = list(_looks(present, folder, lambda: not sent.done(), f"{store} is away", say))
            answers = sent.result()
        began = time.monotonic()
        for now in _looks(present, folder, lambda: True, f"{store} is back", say):
            if not now.queue:
                break
            if now.at_s > _CATCH_UP_SECONDS:
                raise Failed(f"{now.queue:,} rows were not stored {_CATCH_UP_SECONDS} s later")
        caught_up = time.monotonic() - began
        early = len(looks) // 10
        stored = ask(_STORED)
        return Outage(
            store,
            seconds,
            len(answers),
            len(answers) / answers[-1].at_us * 1e6,
            (looks[early].rss_mib, max(each.rss_mib for each in looks[early:])),
            looks[-1].journal_mib,
            caught_up,
            lost=len(answers) - ask(_DISTINCT),
            doubled=stored - ask(_DISTINCT),
            out_of_order=ask(_OUT_OF_ORDER),
        )


def _looks(
    gateway: Running, folder: Path, goes_on: Callable[[], bool], state: str, say: Say
) -> Iterator[Vitals]:
    assert gateway.server is not None
    began = time.monotonic()
    database = folder / gateway.name / "gateway.db"
    while goes_on():
        found = look(gateway.server.pid, gateway.port, database, time.monotonic() - began)
        say(f"{state}, {found.at_s:,.0f} s: {found.queue:,} rows wait, {found.rss_mib:.1f} MiB")
        yield found
        time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def _lock(database: Path) -> Iterator[None]:
    """Let nobody else write to a file."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _shut(server: PostgresServer, url: str) -> Iterator[None]:
    """Let nobody connect to a database, and end the connections that there are."""
    name = url.partition("?")[0].rpartition("/")[2]
    others = server.new_database()

    def let(may: str) -> None:
        server.query(others, f"UPDATE pg_database SET datallowconn = {may} WHERE datname = '{name}'")

    let("false")
    server.query(others, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    try:
        yield
    finally:
        let("true")


def _ask_file(database: Path) -> Ask:
    def ask(sql: str) -> int:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found: Any = connection.execute(sql).fetchone()[0]
            return int(found)

    return ask
