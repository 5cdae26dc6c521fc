"""Callers that call and vote while a gateway is killed, what they were told, and whether it is kept."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.gateway_process import RunningGateway, is_alive
from tests.log_reader import eventually, query
from tests.raw_http import Broken, Connection, chunk, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, head, send

REPLY = b'{"id":"chatcmpl-%d","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
DELTA = b'data: {"id":"chatcmpl-9","model":"m","choices":[{"delta":{"content":"%d"}}]}\n\n'
CHUNKED = b"Transfer-Encoding: chunked"

PAUSE_SECONDS = 0.01


@dataclass
class Promises:
    """What callers were told: traces whose answer they read to its last byte, and votes that were taken."""

    traces: list[str] = field(default_factory=list)
    votes: list[str] = field(default_factory=list)
    broken: int = 0
    """Calls that were broken off, of which nothing is known."""


def write_scripts(upstream: UpstreamProcess, number: int) -> list[bytes]:
    """A plain answer, whose id has this number, and a stream."""
    return [
        upstream.script(*answer(REPLY % number)),
        upstream.script(
            READ,
            head(b"200 OK", EVENT_STREAM, CHUNKED),
            *[send(chunk(DELTA % piece)) for piece in range(5)],
            send(chunk(b"data: [DONE]\n\n") + chunk(b"")),
        ),
    ]


def call_and_vote(
    connection: Connection, scripts: list[bytes], promises: Promises, trace: str, number: int
) -> None:
    """Call, by turns with each script, and vote on every third call; note what was promised."""
    traced = b"x-portkey-trace-id: " + trace.encode()
    script = scripts[number % len(scripts)]
    answered = connection.call(
        request(b"POST", b"/v1/chat/completions", script, traced, body=b'{"model":"m"}')
    )
    assert answered.status == 200
    promises.traces.append(trace)
    if number % 3 == 0:
        vote = json.dumps({"trace_id": trace, "value": 5}).encode()
        taken = connection.call(request(b"POST", b"/v1/feedback", body=vote))
        assert taken.status == 200
        promises.votes += json.loads(taken.body)["feedback_ids"]


def call_until(
    over: threading.Event, gateway: RunningGateway, upstream: UpstreamProcess, promises: Promises, name: str
) -> None:
    """Call and vote until it is over, noting what was promised; where a call is broken off, call anew."""
    scripts = write_scripts(upstream, 1)
    number = 0
    while not over.is_set():
        try:
            with Connection(gateway.port) as connection:
                while not over.is_set():
                    number += 1
                    call_and_vote(connection, scripts, promises, f"{name}-{number}", number)
        except (Broken, ConnectionError):
            promises.broken += 1
            # Callers that never rest would keep the processor from the gateway that is being started.
            over.wait(PAUSE_SECONDS)


def wait_for_more(traces: list[str], count: int) -> None:
    """Return once so many more calls were answered."""
    wanted = len(traces) + count
    eventually(lambda: len(traces) >= wanted)


def kill_tree(gateway: RunningGateway) -> None:
    """kill -9 of all processes of a gateway, the first one first, so that nobody is replaced."""
    others = gateway.processes()[1:]
    gateway.kill()
    for pid in others:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in others))


# Answers a query with what was journaled by then.
Ask = Callable[[str], list[tuple[Any, ...]]]


def asking(gateway: RunningGateway) -> Ask:
    """Return what asks the database file of a gateway."""
    return lambda sql: [tuple(row) for row in query(gateway.database, sql)]


def check_kept(ask: Ask, promises: Promises) -> None:
    """All that was promised is in the database, once, and all votes are joined to what they are about."""
    logged = Counter(trace for (trace,) in ask("SELECT trace_id FROM requests"))
    assert set(promises.traces) - logged.keys() == set()
    assert [trace for trace, count in logged.items() if count > 1] == []
    joined = ask("SELECT feedback_id FROM feedback WHERE joined_at_us IS NOT NULL")
    assert set(promises.votes) - {entry for (entry,) in joined} == set()


def check_file(gateway: RunningGateway) -> None:
    """The database file is sound."""
    assert query(gateway.database, "PRAGMA integrity_check")[0][0] == "ok"
