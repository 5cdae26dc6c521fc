"""Two workers under load that are killed again and again: what a caller was told is there afterwards, once."""

from __future__ import annotations

import os
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.store.journal_files import all_segments
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway, is_alive
from tests.log_reader import eventually, query, read_metrics, wait_until_interpreted
from tests.raw_http import Connection, call, chunk, refuses, request
from tests.scripted_upstream import EVENT_STREAM, GONE, READ, UpstreamProcess, answer, head, send, wait
from tests.storage_faults import empty_disk, fill_disk

from .promises import (
    CHUNKED,
    REPLY,
    Promises,
    asking,
    call_until,
    check_file,
    check_kept,
    kill_tree,
    wait_for_more,
)

FIRST, LAST = b"data: {}\n\n", b"data: [DONE]\n\n"
CALLERS = 6
ROUNDS = 2


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_answered_before_a_worker_was_killed_is_there_after_it(
    start_gateway: StartGateway, upstream: UpstreamProcess, seed: int
) -> None:
    gateway = start_gateway(_config(upstream))
    chance = random.Random(seed)
    promises, over = Promises(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(call_until, over, gateway, upstream, promises, f"{seed}-{number}")
            for number in range(CALLERS)
        ]
        for _ in range(ROUNDS):
            wait_for_more(promises.traces, chance.randrange(60, 120))
            # What was counted is told when figures are asked for, so that hardly any count dies with the worker.
            _counted(gateway)
            os.kill(chance.choice(gateway.workers()), signal.SIGKILL)
            wait_until_both_serve(gateway)
        shown, broken = _counted(gateway), promises.broken
        kill_tree(gateway)
        over.set()
        for caller in callers:
            caller.result()
    assert len(promises.traces) > 100
    assert len(promises.votes) > 20
    assert broken <= ROUNDS * CALLERS, "more was broken off than what a worker had in hand"

    gateway.start()
    wait_until_interpreted(gateway.database)
    check_kept(asking(gateway), promises)
    check_file(gateway)
    unread = "SELECT count(*) FROM requests WHERE model IS NOT 'm' AND outcome = 'complete'"
    assert query(gateway.database, unread)[0][0] == 0
    [(rows,)] = query(gateway.database, "SELECT count(*) FROM requests")
    assert 0 < shown + _counted(gateway) <= rows, "a row was read twice"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_streams_end_whole_though_the_supervisor_is_told_to_end_or_killed(
    start_gateway: StartGateway, upstream: UpstreamProcess, end: signal.Signals
) -> None:
    gateway = start_gateway(_config(upstream))
    workers = gateway.workers()
    gate = upstream.name()
    stream = head(b"200 OK", EVENT_STREAM, CHUNKED)
    last = send(chunk(LAST) + chunk(b""))
    script = upstream.script(READ, stream, send(chunk(FIRST)), wait(gate), last, GONE)
    callers = [Connection(gateway.port) for _ in range(16)]
    for caller in callers:
        caller.send(request(b"POST", b"/v1/chat/completions", script, body=b"{}"))
        assert caller.head().status == 200
        assert caller.chunk() == FIRST
    gateway.signal(end)
    eventually(lambda: refuses(gateway.port))
    upstream.open(gate)
    for caller in callers:
        assert (caller.chunk(), caller.chunk()) == (LAST, b"")
        caller.close()
    assert gateway.wait() == (-end if end is signal.SIGKILL else 0)
    eventually(lambda: not any(is_alive(pid) for pid in workers))
    logged = query(gateway.database, "SELECT outcome FROM requests")
    assert [row["outcome"] for row in logged] == ["complete"] * len(callers)


def test_rows_of_all_workers_wait_while_the_store_fails_also_those_of_one_that_dies(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream))
    fill_disk(gateway)
    traces = [f"waiting-{number}" for number in range(20)]
    for trace in traces:
        _ask(gateway, upstream, trace)
    segments = {segment.worker for segment in all_segments(gateway.database.with_name("gateway.db.journal"))}
    assert segments == {0, 1}
    assert read_metrics(gateway.url)["gateway_journal_rows"] == len(traces)
    assert query(gateway.database, "SELECT 1 FROM requests") == []

    os.kill(gateway.workers()[0], signal.SIGKILL)
    empty_disk(gateway)
    eventually(lambda: len(query(gateway.database, "SELECT 1 FROM requests")) == len(traces))
    logged = [trace for (trace,) in query(gateway.database, "SELECT trace_id FROM requests")]
    assert sorted(logged) == sorted(traces)


def wait_until_both_serve(gateway: RunningGateway) -> None:
    eventually(lambda: read_metrics(gateway.url)["gateway_workers"] == 2)


def _config(upstream: UpstreamProcess) -> dict[str, Any]:
    return {"server": {"workers": 2}, "providers": {"up": {"base_url": f"{upstream.url}/v1"}}}


def _counted(gateway: RunningGateway) -> float:
    """How many rows were read, as far as that was told."""
    shown = read_metrics(gateway.url).items()
    return sum(value for name, value in shown if name.startswith("gateway_requests_total"))


def _ask(gateway: RunningGateway, upstream: UpstreamProcess, trace: str) -> None:
    traced = b"x-portkey-trace-id: " + trace.encode()
    script = upstream.script(*answer(REPLY % 1))
    answered = call(gateway.port, request(b"POST", b"/v1/chat/completions", script, traced, body=b"{}"))
    assert answered.status == 200
