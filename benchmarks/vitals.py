"""What a running gateway takes of the machine, from memory to descriptors; and whether that grows."""

from __future__ import annotations

import os
import statistics
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import tree_of

_FLAT = 0.02
"""By how much of its mean a figure may rise from one end of its line to the other and still be called flat."""

_LATE = "0.1"
"""Looks at the event loop that found it later than this, in seconds, are counted as stalls."""

_WAIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at a gateway, all its processes together.

    Args:
        at_s: when, from the start.
        tasks: of the event loop: callers' connections, and the gateway's own work.
        connections: to providers.
        queue: rows that wait in the journal.
        stalls: looks at the event loop, since it began, that found it more than 100 ms late.
        journal_mib: files of the journal.
    """

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int
    tasks: int
    in_flight: int
    connections: int
    queue: int
    stalls: int
    wal_mib: float
    journal_mib: float
    rows_lost: int

    @property
    def own_descriptors(self) -> int:
        """Without those of connections to providers, which are kept for a while."""
        return self.descriptors - self.connections


def look(pid: int, port: int, database: Path, at_s: float) -> Vitals:
    """Look at the gateway with this process, port and database."""
    pids = tree_of(pid)
    # Counted first: the connection on which figures are asked for is none that the gateway has by itself.
    descriptors = sum(len(os.listdir(f"/proc/{each}/fd")) for each in pids)
    figures = read_figures(port)
    looks, in_time = (
        figures.get(f"gateway_event_loop_lag_seconds_{name}", 0.0)
        for name in ("count", f'bucket{{le="{_LATE}"}}')
    )
    return Vitals(
        at_s=at_s,
        rss_mib=sum(map(_rss_bytes, pids)) / 2**20,
        descriptors=descriptors,
        threads=sum(len(os.listdir(f"/proc/{each}/task")) for each in pids),
        tasks=int(figures["gateway_event_loop_tasks"]),
        in_flight=int(figures["gateway_in_flight"]),
        connections=int(figures["gateway_upstream_connections"]),
        queue=int(figures["gateway_journal_rows"]),
        stalls=int(looks - in_time),
        wal_mib=_size_mib([database.with_name(f"{database.name}-wal")]),
        journal_mib=figures["gateway_journal_bytes"] / 2**20,
        rows_lost=int(figures["gateway_rows_lost_total"]),
    )


def read_figures(port: int) -> dict[str, float]:
    """Return every figure at /metrics by its name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_WAIT_SECONDS) as reply:
        lines = reply.read().decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class Trend:
    """Whether something grew in the second half of the looks.

    Args:
        low: least, in that half.
        high: most.
        an_hour: by how much a straight line through them rises in an hour.
    """

    what: str
    low: float
    high: float
    an_hour: float
    is_flat: bool


def trends_of(looks: Sequence[Vitals]) -> list[Trend]:
    """Return what became of memory, descriptors, threads, tasks and the log of writes."""
    late = looks[len(looks) // 2 :]
    figures: dict[str, Callable[[Vitals], float]] = {
        "RSS MiB": lambda one: one.rss_mib,
        "descriptors": lambda one: one.descriptors,
        "threads": lambda one: one.threads,
        "tasks": lambda one: one.tasks,
        "WAL MiB": lambda one: one.wal_mib,
    }
    return [
        trend_of(what, [one.at_s for one in late], [read(one) for one in late])
        for what, read in figures.items()
    ]


def trend_of(what: str, at_s: Sequence[float], values: Sequence[float]) -> Trend:
    """Return the trend of values that were read at these times, by least squares."""
    slope = statistics.linear_regression(at_s, values).slope
    rise = slope * (at_s[-1] - at_s[0])
    is_flat = rise <= _FLAT * statistics.mean(values)
    return Trend(what, min(values), max(values), slope * 3600, is_flat)


def _rss_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _size_mib(files: Sequence[Path]) -> float:
    return sum(file.stat().st_size for file in files if file.exists()) / 2**20
