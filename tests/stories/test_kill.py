"""kill -9 under load: what a caller was told is there afterwards."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from tests.conftest import StartGateway
from tests.log_reader import eventually, query
from tests.raw_http import Broken, Connection, chunk, request
from tests.running import RunningGateway
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, answer, head, send

CALLERS = 6
ROUND_SECONDS = 1.0

REPLY = b'{"id":"chatcmpl-%d","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
DELTA = b'data: {"id":"chatcmpl-9","model":"m","choices":[{"delta":{"content":"%d"}}]}\n\n'


@dataclass
class Promises:
    """What callers were told: traces whose answer they read to its last byte, and votes that were taken."""

    traces: list[str] = field(default_factory=list)
    votes: list[str] = field(default_factory=list)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_answered_before_kill_9_is_there_after_it(
    start_gateway: StartGateway, upstream: UpstreamProcess, seed: int
) -> None:
    gateway = start_gateway({"providers": {"up": {"base_url": f"{upstream.url}/v1"}}})
    scripts = [
        upstream.script(*answer(REPLY % seed)),
        upstream.script(
            READ,
            head(b"200 OK", EVENT_STREAM, b"Transfer-Encoding: chunked"),
            *[send(chunk(DELTA % number)) for number in range(5)],
            send(chunk(b"data: [DONE]\n\n") + chunk(b"")),
        ),
    ]
    promises = Promises()
    over = threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(_call_until, over, gateway.port, scripts, promises, f"{seed}-{number}")
            for number in range(CALLERS)
        ]
        time.sleep(ROUND_SECONDS + random.Random(seed).random() / 2)
        gateway.kill()
        over.set()
        for caller in callers:
            caller.result()
    assert len(promises.traces) > 50
    assert len(promises.votes) > 10

    _check_kept(gateway, promises)
    gateway.start()
    eventually(lambda: not query(gateway.database, "SELECT 1 FROM requests WHERE interpreted_at_us IS NULL"))
    _check_kept(gateway, promises)
    unread = "SELECT count(*) FROM requests WHERE model IS NOT 'm' AND outcome = 'complete'"
    assert query(gateway.database, unread)[0][0] == 0


def _check_kept(gateway: RunningGateway, promises: Promises) -> None:
    logged = {trace for (trace,) in query(gateway.database, "SELECT trace_id FROM requests")}
    voted = {entry for (entry,) in query(gateway.database, "SELECT feedback_id FROM feedback")}
    assert set(promises.traces) - logged == set()
    assert set(promises.votes) - voted == set()
    assert query(gateway.database, "PRAGMA integrity_check")[0][0] == "ok"


def _call_until(
    over: threading.Event, port: int, scripts: list[bytes], promises: Promises, name: str
) -> None:
    """Call and vote until the gateway is gone, noting what was promised."""
    try:
        with Connection(port) as connection:
            for number in range(1_000_000):
                if over.is_set():
                    return
                _call_and_vote(connection, scripts, promises, f"{name}-{number}", number)
    except (Broken, ConnectionError):
        assert over.wait(20), "the gateway broke a connection before it was killed"


def _call_and_vote(
    connection: Connection, scripts: list[bytes], promises: Promises, trace: str, number: int
) -> None:
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
