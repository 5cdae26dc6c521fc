"""The whole gateway on PostgreSQL: kills, several nodes, and a server that is stopped and started under load."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, read_metrics, wait_for_journal
from tests.postgres_server import PostgresServer, running_server
from tests.raw_http import Connection, request
from tests.scripted_upstream import UpstreamProcess, answer

from .promises import Ask, Promises, call_until, check_kept, wait_for_more, write_scripts

CALLERS = 4
CALLS_A_ROUND = 50

StartNode = Callable[[], RunningGateway]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of its own, since it is stopped."""
    with running_server() as server:
        server.prepare()
        yield server


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    with server.database() as url:
        yield url


@pytest.fixture
def ask(server: PostgresServer, url: str, tmp_path: Path) -> Ask:
    """Query what was journaled by now."""

    def ask(sql: str) -> list[tuple[Any, ...]]:
        for root in tmp_path.glob("*/*.journal"):
            wait_for_journal(root)
        return server.query(url, sql)

    return ask


@pytest.fixture
def start_node(start_gateway: StartGateway, upstream: UpstreamProcess, url: str) -> StartNode:
    """Start a gateway on the database of the test."""
    config = {"providers": {"up": {"base_url": f"{upstream.url}/v1"}}, "storage": {"url": url}}
    return lambda: start_gateway(config)


def are_all_interpreted(ask: Ask) -> bool:
    return ask("SELECT count(*) FROM requests WHERE interpreted_at_us IS NULL") == [(0,)]


def test_what_was_answered_before_kill_9_is_there_after_it_and_is_understood(
    start_node: StartNode, upstream: UpstreamProcess, ask: Ask
) -> None:
    gateway = start_node()
    promises, over = Promises(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        for number in range(CALLERS):
            pool.submit(call_until, over, gateway, upstream, promises, f"caller-{number}")
        eventually(lambda: len(promises.traces) > CALLS_A_ROUND and len(promises.votes) > 5)
        gateway.kill()
        over.set()
    gateway.start()
    check_kept(ask, promises)

    eventually(lambda: are_all_interpreted(ask))
    assert ask("SELECT count(*) FROM requests WHERE model IS NULL AND outcome = 'complete'") == [(0,)]


def test_feedback_may_land_on_another_node_than_its_request(
    start_node: StartNode, upstream: UpstreamProcess, ask: Ask
) -> None:
    nodes = [start_node(), start_node()]
    scripts = write_scripts(upstream, 1)
    with Connection(nodes[0].port) as calling, Connection(nodes[1].port) as voting:
        for number in range(30):
            traced = b"x-portkey-trace-id: trace-%d" % number
            vote = json.dumps({"trace_id": f"trace-{number}", "value": 5}).encode()
            asked = request(b"POST", b"/v1/chat/completions", scripts[number % 2], traced, body=b"{}")
            assert calling.call(asked).status == 200
            assert voting.call(request(b"POST", b"/v1/feedback", body=vote)).status == 200
    assert ask("SELECT count(*) FROM feedback WHERE joined_at_us IS NOT NULL") == [(30,)]
    assert ask("SELECT count(*) FROM requests") == [(30,)]
    for node in nodes:
        shown = httpx.get(f"{node.url}/api/v1/traces/trace-7").json()
        assert (len(shown["requests"]), len(shown["feedback"])) == (1, 1)


def test_workers_of_one_gateway_share_the_database_and_one_that_dies_leaves_nothing_behind(
    start_gateway: StartGateway, upstream: UpstreamProcess, url: str, ask: Ask
) -> None:
    config = {
        "providers": {"up": {"base_url": f"{upstream.url}/v1"}},
        "storage": {"url": url},
        "server": {"workers": 2},
    }
    gateway = start_gateway(config)
    promises, over = Promises(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        try:
            for number in range(CALLERS):
                pool.submit(call_until, over, gateway, upstream, promises, f"caller-{number}")
            wait_for_more(promises.traces, CALLS_A_ROUND)
            os.kill(gateway.workers()[0], signal.SIGKILL)
            wait_for_more(promises.traces, CALLS_A_ROUND)
        finally:
            over.set()
    check_kept(ask, promises)
    eventually(lambda: are_all_interpreted(ask))


@dataclass
class Told:
    """What callers were told while the server was away."""

    traces: list[str] = field(default_factory=list)
    votes: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)
    vote_statuses: set[int] = field(default_factory=set)


def call_on(over: threading.Event, gateway: RunningGateway, script: bytes, told: Told, name: str) -> None:
    """Call and vote until it is over."""
    number = 0
    with Connection(gateway.port) as connection:
        while not over.is_set():
            number += 1
            trace = f"{name}-{number}"
            traced = b"x-portkey-trace-id: " + trace.encode()
            answered = connection.call(request(b"POST", b"/v1/chat/completions", script, traced, body=b"{}"))
            told.statuses.add(answered.status)
            told.traces.append(trace)
            if number % 5 == 0:
                vote = json.dumps({"trace_id": trace, "value": 5}).encode()
                taken = connection.call(request(b"POST", b"/v1/feedback", body=vote))
                told.vote_statuses.add(taken.status)
                if taken.status == 200:
                    told.votes += json.loads(taken.body)["feedback_ids"]


def test_a_server_that_crashes_and_comes_back_under_load_costs_no_row_and_doubles_none(
    start_node: StartNode, upstream: UpstreamProcess, server: PostgresServer, ask: Ask
) -> None:
    nodes = [start_node(), start_node()]
    script = upstream.script(*answer(b'{"id":"chatcmpl-1","model":"m","choices":[]}'))
    told, over = Told(), threading.Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        callers = [
            pool.submit(call_on, over, nodes[number % 2], script, told, f"caller-{number}")
            for number in range(CALLERS)
        ]
        try:
            for _ in range(2):
                wait_for_more(told.traces, CALLS_A_ROUND)
                server.crash()
                wait_for_more(told.traces, CALLS_A_ROUND)
                eventually(lambda: 503 in told.vote_statuses)
                server.start()
            eventually(lambda: all(is_ready(node) for node in nodes))
            wait_for_more(told.traces, CALLS_A_ROUND)
        finally:
            over.set()
        for caller in callers:
            caller.result()

    assert told.statuses == {200}
    assert told.vote_statuses == {200, 503}
    shown = [read_metrics(node.url) for node in nodes]
    assert sum(figure["gateway_rows_lost_total"] for figure in shown) == 0
    logged = [trace for (trace,) in ask("SELECT trace_id FROM requests")]
    assert sorted(logged) == sorted(told.traces)
    kept = {entry for (entry,) in ask("SELECT feedback_id FROM feedback WHERE joined_at_us IS NOT NULL")}
    assert set(told.votes) - kept == set()
    eventually(lambda: are_all_interpreted(ask))


def is_ready(node: RunningGateway) -> bool:
    return httpx.get(f"{node.url}/readyz").status_code == 200
