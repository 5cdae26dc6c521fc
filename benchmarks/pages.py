"""Web pages beside a month of requests: time and size of each, and what readers of the live tail cost."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calls import request_of
from benchmarks.contestants import gateway
from benchmarks.filling import Month, fill
from benchmarks.half_rate import Times
from benchmarks.lineup import Running, Say, running
from benchmarks.load import percentile
from benchmarks.processes import SETTLE_SECONDS, Failed, Server, free_port
from gateway.models.clock import now_us

READERS = 20
"""How many read the live tail at once."""

TRAFFIC_A_SECOND = 200
# With readers and without; what one turn takes varies by a fifth on a shared machine.
TAIL_TURNS = 5
WARM_UP_SECONDS = 5
# The first requests may come before a reader is listening.
LEAST_SHARE = 0.8

# A million requests are summed up by a dozen fields.
_SUM_UP_SECONDS = 1_800.0

_HOST = "127.0.0.1"

PAGES = (
    "/ui/feedback?rating=bad&from=7d",
    "/ui/feedback?rating=bad&metadata.team=a&from=7d",
    "/ui/feedback?rating=bad&metadata.team=nobody&from=30d",
    "/ui/feedback?rating=bad&model=gpt-4o&from=7d",
    "/ui/feedback?rating=bad&reviewed=false&from=30d",
    "/ui/feedback?rating=bad&user=user-7&from=30d",
    "/ui/feedback?comment=nothing&from=30d",
    "/ui/requests?from=7d",
    "/ui/requests?model=gpt-4o&from=7d",
    "/ui/requests?status=404&from=30d",
    "/ui/requests?metadata.team=nobody&from=30d",
    "/ui/requests?rating=bad&metadata.team=a&from=7d",
    "/ui/requests?min_score=0.5&max_score=0.6&from=7d",
    "/ui/requests?has_feedback=true&from=7d",
    "/ui/requests?user=user-7&from=30d",
    "/ui/requests?q=nosuchword&from=30d",
    "/ui/requests/request-500",
    "/ui/requests/request-500?tab=raw",
    "/ui/traces/trace-250",
    "/ui/sessions?from=30d",
    "/ui/users?sort=last_seen",
    "/ui/users?sort=cost",
    "/ui/users/user-7",
    "/ui/compare?by=model&from=7d",
    "/ui/compare?by=model&from=30d",
    "/ui/compare?by=metadata.team&from=30d",
    "/ui/overview?from=24h",
    "/ui/overview?from=7d",
    "/ui/overview?from=30d",
    "/ui/overview?model=gpt-4o&from=7d",
    "/ui/reviews",
    "/ui/settings",
)


@dataclass(frozen=True, slots=True)
class PageFigures:
    """What a page takes.

    Args:
        first_ms: of the first time that it is asked for; later times make the median and the 95th percentile.
        cpu_ms: user and system time of all processes of the gateway, each time.
        sent_bytes: compressed.
    """

    page: str
    first_ms: float
    median_ms: float
    p95_ms: float
    cpu_ms: float
    sent_bytes: int
    shown_bytes: int


@dataclass(frozen=True, slots=True)
class TailFigures:
    """Requests at a fixed rate, without readers of the live tail and with them.

    Args:
        cpu_us: of the gateway, a request, the median of all turns.
        events: what all readers received.
    """

    readers: int
    times: Times
    cpu_us: float
    events: int


def measure_pages(rows: int, times: int, say: Say) -> list[PageFigures]:
    """Ask for each page; the store is kept in the folder for temporary files, for the next time."""
    folder = Path(tempfile.gettempdir()) / f"gateway-pages-{rows}"
    url = _filled(folder, rows, say)
    with _serving(folder, url) as server:
        # The pages as they are after a while: what was asked for once is summed up by then.
        for page in PAGES:
            _ask(server.port, page)
        server.settle(_SUM_UP_SECONDS)
        return [_measured(server, page, times, say) for page in PAGES]


def measure_tail(folder: Path, seconds: int, say: Say) -> list[TailFigures]:
    """Send requests at a fixed rate, without readers and with them, in turns of so many seconds."""
    turns: dict[int, list[_TailTurn]] = {0: [], READERS: []}
    with running([gateway()], folder) as (serving,):
        # Caches fill, and what else runs on the machine falls on both.
        _tail_turn(serving, READERS, WARM_UP_SECONDS)
        for _ in range(TAIL_TURNS):
            for readers, taken in turns.items():
                taken.append(_tail_turn(serving, readers, seconds))
                say(f"{readers} readers: {taken[-1].cpu_us:,.0f} CPU-µs a request")
    return [_tail_figures(readers, taken) for readers, taken in turns.items()]


def _filled(folder: Path, rows: int, say: Say) -> str:
    url, done = f"sqlite:///{folder / 'gateway.db'}", folder / "filled"
    # Pages ask for the last days, so a month that ended long ago is no use.
    if not done.exists() or time.time() - done.stat().st_mtime > 86_400:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        asyncio.run(fill(url, Month(rows, now_us()), say))
        done.touch()
    return url


@dataclass(frozen=True, slots=True)
class _Serving:
    server: Server
    port: int

    def settle(self, seconds: float = SETTLE_SECONDS) -> float:
        return self.server.settle(seconds).cpu_seconds


@contextmanager
def _serving(folder: Path, url: str) -> Iterator[_Serving]:
    contestant, port = gateway(url=url), free_port()
    assert contestant.command_of is not None
    command = contestant.command_of(folder, port, free_port())
    with Server(command, port, folder / "gateway.log", contestant.environment) as server:
        yield _Serving(server, port)


def _measured(serving: _Serving, page: str, times: int, say: Say) -> PageFigures:
    before = serving.settle()
    first, *later = [_ask(serving.port, page) for _ in range(times + 1)]
    cpu_s = serving.settle() - before
    took_ms = [ms for ms, _ in later]
    body = later[-1][1]
    say(f"{page}: {statistics.median(took_ms):,.0f} ms")
    return PageFigures(
        page,
        first[0],
        statistics.median(took_ms),
        percentile(took_ms, 95),
        cpu_s / (times + 1) * 1000,
        len(body),
        len(gzip.decompress(body)),
    )


def _ask(port: int, page: str) -> tuple[float, bytes]:
    connection = http.client.HTTPConnection(_HOST, port, timeout=60)
    try:
        before = time.perf_counter()
        connection.request("GET", page, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
        reply = connection.getresponse()
        body = reply.read()
        took_ms = (time.perf_counter() - before) * 1000
    finally:
        connection.close()
    if reply.status != 200:
        raise Failed(f"{page} was answered with {reply.status}")
    return took_ms, body if reply.headers.get("Content-Encoding") == "gzip" else gzip.compress(body)


@dataclass(frozen=True, slots=True)
class _TailTurn:
    took_us: list[int]
    cpu_us: float
    events: int


def _tail_figures(readers: int, turns: Sequence[_TailTurn]) -> TailFigures:
    took_us = [each for turn in turns for each in turn.took_us]
    times = Times(percentile(took_us, 50), percentile(took_us, 99))
    cpu_us = statistics.median(turn.cpu_us for turn in turns)
    return TailFigures(readers, times, cpu_us, sum(turn.events for turn in turns))


def _tail_turn(serving: Running, readers: int, seconds: int) -> _TailTurn:
    before = serving.settle().cpu_seconds
    with _reading(serving.port, readers) as counts:
        request = request_of("json", f"tail-{readers}", serving.headers)
        answers = serving.send(request, connections=16, seconds=seconds, rate=TRAFFIC_A_SECOND)
        cpu_s = serving.settle().cpu_seconds - before
    if sum(counts) < readers * len(answers) * LEAST_SHARE:
        raise Failed(f"{readers} readers received {sum(counts):,} events of {len(answers):,} requests")
    return _TailTurn([answer.took_us for answer in answers], cpu_s / len(answers) * 1e6, sum(counts))


@contextmanager
def _reading(port: int, readers: int) -> Iterator[Sequence[int]]:
    counts = [0] * readers
    sockets = [socket.create_connection((_HOST, port)) for _ in range(readers)]

    def read(number: int) -> None:
        while data := sockets[number].recv(65_536):
            counts[number] += data.count(b"\ndata:")

    for each in sockets:
        each.sendall(b"GET /ui/tail HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
    threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        for each in sockets:
            each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for each in sockets:
            each.close()
