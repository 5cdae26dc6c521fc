"""Searches over bodies that nobody waits for any more: what do they leave behind, and who waits beside them?"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from benchmarks.contestants import gateway
from benchmarks.filling import Month, add_requests, exchanges
from benchmarks.million import POSTGRES, SQLITE
from benchmarks.postgres_server import PostgresServer, postgres_server
from benchmarks.processes import STOP_SECONDS, Failed, Server, free_port
from benchmarks.stopwatch import Stopwatch
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange
from gateway.models.metrics import DAY_US
from gateway.store import open_store

Say = Callable[[str], None]

ROWS = 60_000
SEARCHES = 40
"""How many are under way when their callers leave."""

CONDITIONS = (1, 4, 16, 64)
"""How many conditions a search has, all of them on the text of a body, none of which ever holds."""

_BATCH = 1_000
_WORDS = 150
_LISTS = 20
_AHEAD_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_REST_SECONDS = 2.0
_AT_REST = 0.05
"""CPU a second below which a gateway counts as at rest."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What became of searches with one store.

    Args:
        seconds: how long one search took by itself, by the number of its conditions, or a status that refused it.
        list_ms: the median time of a list of the newest while there is nothing else.
        worst_list_ms: the longest of many while all searches are under way.
        refused_s: after how long one more search was refused with 503.
        rest_s: how long after the callers had left the gateway was at rest.
        late_cpu_s: CPU that it used in the second that began two seconds after they had left.
        statements: under way in the database's server then.
        rss_mib: at rest before, and after a few rounds of it.
        exit_s: from SIGTERM to the end of the process, with searches under way, and with those that were left.
    """

    store: str
    seconds: dict[str, str]
    list_ms: float
    worst_list_ms: float
    refused_s: float
    rest_s: float
    late_cpu_s: float
    statements: int
    rss_mib: tuple[float, float]
    exit_s: tuple[float, float]


def measure_searches(folder: Path, rows: int, say: Say) -> list[Searched]:
    """Fill a store of each kind, and search it."""
    folder.mkdir(parents=True)
    found = [_measured(SQLITE, folder / "sqlite", None, rows, say)]
    # The name of a socket may be no longer than names of folders already are.
    with tempfile.TemporaryDirectory(prefix="pg") as place, postgres_server(Path(place)) as server:
        found.append(_measured(POSTGRES, folder / "postgres", server, rows, say))
    return found


def _measured(store: str, folder: Path, server: PostgresServer | None, rows: int, say: Say) -> Searched:
    folder.mkdir()
    url = None if server is None else server.new_database()
    asyncio.run(_fill(url or f"sqlite:///{folder / 'gateway.db'}", rows))
    say(f"{store}: {rows:,} requests are in")
    with _serving(folder, url) as (gateway_server, client, port):
        list_ms = statistics.median(_list_ms(client) for _ in range(_LISTS))
        seconds = {str(number): _search_alone(client, number) for number in CONDITIONS}
        say(f"{store}: searches took {seconds}")
        refused_s = _refused_after(client, port)
        rss_before = gateway_server.settle().rss_bytes
        for _ in range(3):
            callers = _begin(port)
            worst = max(_list_ms(client) for _ in range(_LISTS))
            _leave(callers)
            rest_s, late_cpu_s = _come_to_rest(gateway_server)
            say(f"{store}: at rest after {rest_s:.2f} s")
        statements = 0 if server is None else int(server.query(str(url), _UNDER_WAY))
        rss = rss_before / 2**20, gateway_server.settle().rss_bytes / 2**20
        callers = _begin(port)
        exits = [_exit_s(gateway_server)]
        _leave(callers)
    with _serving(folder, url) as (gateway_server, _, port):
        _leave(_begin(port))
        exits.append(_exit_s(gateway_server))
    return Searched(
        store, seconds, list_ms, worst, refused_s, rest_s, late_cpu_s, statements, rss, (exits[0], exits[1])
    )


_UNDER_WAY = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE state = 'active' AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


async def _fill(url: str, rows: int) -> None:
    dice, month = random.Random(1), Month(rows, now_us())
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(5_000)]

    def with_text(exchange: Exchange) -> Exchange:
        said = " ".join(dice.choices(words, k=_WORDS))
        body = json.dumps({"messages": [{"role": "user", "content": said}]}).encode()
        return replace(
            exchange,
            request_body=body, request_size=len(body), response_body=body, response_size=len(body),
        )  # fmt: skip

    store = await open_store(url)
    try:
        batches = (
            list(map(with_text, exchanges(month, dice, range(first, first + _BATCH))))
            for first in range(0, rows, _BATCH)
        )
        await add_requests(store, batches, dice, Stopwatch())
        await store.roll_up(month.ends_at_us + DAY_US)
    finally:
        await store.close()


@contextmanager
def _serving(folder: Path, url: str | None) -> Iterator[tuple[Server, httpx.Client, int]]:
    contestant, port = gateway(url=url), free_port()
    assert contestant.command_of is not None
    command = contestant.command_of(folder, port, free_port())
    with (
        Server(command, port, folder / "gateway.log", contestant.environment) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client,
    ):
        yield server, client, port


def _search(conditions: int) -> bytes:
    tree: list[Any] = [
        {"request_response_rmt": {"request_body": {"contains": f"zzzz{number}"}}}
        for number in range(conditions)
    ]
    while len(tree) > 1:
        tree = [
            {"left": left, "operator": "or", "right": right}
            for left, right in zip(tree[::2], tree[1::2], strict=True)
        ]
    return json.dumps({"filter": tree[0]}).encode()


def _search_alone(client: httpx.Client, conditions: int) -> str:
    before = time.perf_counter()
    reply = client.post("/v1/request/query", content=_search(conditions))
    took = f"{time.perf_counter() - before:.1f} s"
    return took if reply.status_code == 200 else f"{reply.status_code} after {took}"


def _list_ms(client: httpx.Client) -> float:
    before = time.perf_counter()
    client.get("/api/v1/requests", params={"limit": 1}).raise_for_status()
    return (time.perf_counter() - before) * 1000


def _begin(port: int) -> list[socket.socket]:
    """Send all searches, and return when they have been under way for a moment."""
    body = _search(CONDITIONS[-1])
    head = b"POST /v1/request/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(SEARCHES)]
    for caller in callers:
        caller.sendall(head + body)
    time.sleep(_AHEAD_SECONDS)
    return callers


def _leave(callers: list[socket.socket]) -> None:
    for caller in callers:
        caller.close()


def _refused_after(client: httpx.Client, port: int) -> float:
    callers = _begin(port)
    before = time.perf_counter()
    reply = client.post("/v1/request/query", content=_search(CONDITIONS[-1]))
    took = time.perf_counter() - before
    if reply.status_code != 503 or "Retry-After" not in reply.headers:
        raise Failed(f"one search too many was answered with {reply.status_code}")
    _leave(callers)
    return took


def _come_to_rest(server: Server) -> tuple[float, float]:
    """Return after how many seconds it used no CPU to speak of, and what it used in the third of them."""
    left_at = time.monotonic()
    rest_s = STOP_SECONDS
    before = server.usage().cpu_seconds
    while time.monotonic() - left_at < _REST_SECONDS:
        time.sleep(_LOOK_SECONDS)
        now = server.usage().cpu_seconds
        is_at_rest = now - before < _AT_REST * _LOOK_SECONDS
        rest_s = min(rest_s, time.monotonic() - left_at) if is_at_rest else STOP_SECONDS
        before = now
    time.sleep(1)
    return rest_s, server.usage().cpu_seconds - before


def _exit_s(server: Server) -> float:
    before = time.monotonic()
    server.stop()
    return time.monotonic() - before
