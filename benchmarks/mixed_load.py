"""Everything that callers do, at once: calls, streams, streams that are left, votes in each dialect, questions."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.calls import CHAT, STREAMED_CHAT, chat_request, post
from benchmarks.lineup import Running
from benchmarks.load import NUMBER
from benchmarks.processes import Failed
from benchmarks.upstream import Pace

PACE = Pace(chunks=20, gap_ms=100)

JSON, STREAMS, LEFT = "json", "streams", "left"
"""Loads that leave rows. Trace ids are made of the run, the load's name and a number."""

VOTES = ("portkey", "helicone", "pharia")
"""Loads that leave feedback; they are called as its dialect is in the store."""

_ID = NUMBER.decode()
_WAIT_SECONDS = 30
_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Load:
    """A request that is sent again and again.

    Args:
        what: its name.
        rate: how many are due a second.
        connections: at most so many are under way.
    """

    what: str
    request: bytes
    rate: float
    connections: int


def loads_of(run: str, headers: Sequence[str]) -> list[Load]:
    """Return what callers do who wait for their answers. Each vote is on the call with the same number."""
    judged = f"{run}-{JSON}-{_ID}"
    named = (f"Helicone-Request-Id: {judged}", *headers)
    return [
        Load(JSON, chat_request(CHAT, f"{run}-{JSON}", named), 60, 16),
        Load(STREAMS, chat_request(STREAMED_CHAT, f"{run}-{STREAMS}", headers), 8, 64),
        Load("portkey", _post("/v1/feedback", {"trace_id": judged, "value": 5}, headers), 6, 4),
        Load("helicone", _post(f"/v1/request/{judged}/feedback", {"rating": True}, headers), 6, 4),
        Load(
            "pharia", _post("/api/feedback", {"trace_id": judged, "feedback": {"rating": 4}}, headers), 6, 4
        ),
        Load("find", _get("/api/v1/requests?limit=50", headers), 2, 4),
        Load("query", _post("/v1/request/query", {"filter": "all", "limit": 20}, headers), 1, 4),
        Load("figures", _get("/api/v1/aggregates?group_by=model", headers), 0.2, 4),
    ]


def send_all(gateway: Running, run: str, seconds: float) -> dict[str, int]:
    """Send everything at once for some seconds; return how many of each load were answered with 200, whole, and how
    many streams were left.

    Raises:
        Failed: one was not.
    """
    loads, over = loads_of(run, gateway.headers), threading.Event()
    with ThreadPoolExecutor(len(loads) + 1) as threads:
        left = threads.submit(_leave_streams, gateway, run, over)
        sent = {load.what: threads.submit(_send, gateway, load, seconds) for load in loads}
        try:
            counts = {what: load.result() for what, load in sent.items()}
        finally:
            over.set()
        return {**counts, LEFT: left.result()}


def _send(gateway: Running, load: Load, seconds: float) -> int:
    return len(gateway.send(load.request, connections=load.connections, seconds=seconds, rate=load.rate))


def _leave_streams(gateway: Running, run: str, over: threading.Event) -> int:
    """Ask for streams and leave each at its first event, by turns with FIN and with RST; return how many."""
    request = chat_request(STREAMED_CHAT, f"{run}-{LEFT}", gateway.headers)
    count = 0
    while not over.wait(0.25):
        with socket.create_connection(("127.0.0.1", gateway.port), _WAIT_SECONDS) as caller:
            caller.sendall(request.replace(NUMBER, b"%010d" % count))
            _wait_for_event(caller)
            if count % 2:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        count += 1
    return count


def _wait_for_event(caller: socket.socket) -> None:
    received = b""
    for piece in _pieces(caller):
        received += piece
        if b"data:" in received:
            return
    raise Failed(f"a stream ended before its first event: {received[:200]!r}")


def _pieces(caller: socket.socket) -> Iterator[bytes]:
    while piece := caller.recv(_READ_BYTES):
        yield piece


def _post(path: str, body: object, headers: Sequence[str]) -> bytes:
    return post(path, json.dumps(body, separators=(",", ":")).encode(), headers)


def _get(path: str, headers: Sequence[str]) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", "")).encode()
