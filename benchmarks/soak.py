"""A soak: everything at once for a long time. Does anything grow, and is anything lost?"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lineup import Running, Say
from benchmarks.mixed_load import JSON, LEFT, STREAMS, VOTES, loads_of, send_all
from benchmarks.processes import SETTLE_SECONDS, Failed
from benchmarks.vitals import Vitals, look

LOOKS = 120
"""How often it is looked in the course of a soak."""

_WARM_UP_SECONDS = 0.25
_WARM_UP_SHARE = 1 / 15
_WARM_UP_CONNECTIONS = 16
_PAUSE_SECONDS = 0.05

_RUN = "soak"
_ROWS = "SELECT count(*) FROM requests WHERE trace_id LIKE ?"
_VOTES = "SELECT count(*) FROM feedback WHERE subject_id LIKE ? AND dialect = ?"


@dataclass(frozen=True, slots=True)
class Kept:
    """How many of one kind callers know of, and how many are in the store."""

    what: str
    known: int
    stored: int

    @property
    def lost(self) -> int:
        """How many are missing."""
        return self.known - self.stored


@dataclass(frozen=True, slots=True)
class Soaked:
    """A soak.

    Args:
        before: the gateway at rest, warmed up.
        looks: during the load.
        after: at rest again.
    """

    before: Vitals
    looks: list[Vitals]
    after: Vitals
    kept: list[Kept]


def soak(gateway: Running, database: Path, seconds: float, say: Say) -> Soaked:
    """Load a gateway with everything for so long, looking at it meanwhile, and count what it kept.

    Raises:
        Failed: a request failed, or the gateway did not come to rest.
    """
    _warm_up(gateway, seconds * _WARM_UP_SHARE)
    started = time.monotonic()
    before = _rest(gateway, database, started)
    looks = []
    with ThreadPoolExecutor(1) as thread:
        sent = thread.submit(send_all, gateway, _RUN, seconds)
        ends_at = time.monotonic() + seconds
        while not sent.done() and time.monotonic() < ends_at:
            looks.append(_look(gateway, database, started))
            say(f"{looks[-1].at_s:,.0f} s: {looks[-1].rss_mib:.1f} MiB, {looks[-1].descriptors} descriptors")
            wait([sent], seconds / LOOKS)
        known = sent.result()
    after = _rest(gateway, database, started)
    return Soaked(before, looks, after, _kept(known, database))


def _warm_up(gateway: Running, seconds: float) -> None:
    """Have it open what it opens once and keeps, and fill its caches. One question at a time would leave
    some of its readers for later, and in a small store they would find little to keep."""
    for load in loads_of("warm-up", gateway.headers):
        length = max(seconds, _WARM_UP_SECONDS) if load.what == JSON else _WARM_UP_SECONDS
        gateway.send(load.request, connections=_WARM_UP_CONNECTIONS, seconds=length)


def _rest(gateway: Running, database: Path, started: float) -> Vitals:
    """Wait until nothing is under way, and look."""
    assert gateway.server is not None
    gateway.server.settle()
    give_up_at = time.monotonic() + SETTLE_SECONDS
    while (found := _look(gateway, database, started)).in_flight or found.queue:
        if time.monotonic() > give_up_at:
            raise Failed(f"{found.in_flight} requests were under way long after the last caller had gone")
        time.sleep(_PAUSE_SECONDS)
    return found


def _look(gateway: Running, database: Path, started: float) -> Vitals:
    assert gateway.server is not None
    return look(gateway.server.pid, gateway.port, database, time.monotonic() - started)


def _kept(known: Mapping[str, int], database: Path) -> list[Kept]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:

        def count(sql: str, *values: str) -> int:
            found: int = connection.execute(sql, values).fetchone()[0]
            return found

        rows = {what: count(_ROWS, f"{_RUN}-{what}-%") for what in (JSON, STREAMS, LEFT)}
        votes = {dialect: count(_VOTES, f"{_RUN}-{JSON}-%", dialect) for dialect in VOTES}
    return [Kept(what, known[what], stored) for what, stored in (rows | votes).items()]
