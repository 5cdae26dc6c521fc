"""Providers that fail in every way: what the caller is told, what the row says, and that nothing stays behind."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, read_metrics, row, wait_for_row
from tests.raw_http import Broken, Connection, call, chunk, request
from tests.scripted_upstream import CLOSE, EVENT_STREAM, GONE, READ, RESET, UpstreamProcess, head, send
from tests.upstream_server import Step

CHUNKED = b"Transfer-Encoding: chunked"
EVENT = b"data: one\n\n"

Steps = list[Step]

UNREACHABLE, CUT, SLOW = "upstream_error", "upstream_truncated", "timeout"

TWO_LENGTHS = head(b"200 OK", b"Content-Length: 1", b"Content-Length: 2")
HUGE_HEAD = head(b"200 OK", b"X-A: " + b"a" * 300_000)

BEFORE_THE_HEAD: dict[str, tuple[bytes, Steps, int, str]] = {
    "connection refused": (b"/refusing", [], 502, UNREACHABLE),
    "name not found": (b"/nowhere", [], 502, UNREACHABLE),
    "reset": (b"/up", [READ, RESET], 502, UNREACHABLE),
    "closed": (b"/up", [READ, CLOSE], 502, UNREACHABLE),
    "closed inside the head": (b"/up", [READ, send(b"HTTP/1.1 200 OK\r\nContent-"), CLOSE], 502, UNREACHABLE),
    "not HTTP": (b"/up", [READ, send(b"220 mail.example ESMTP\r\n"), GONE], 502, UNREACHABLE),
    "no status": (b"/up", [READ, send(b"HTTP/1.1 OK\r\n\r\n"), GONE], 502, UNREACHABLE),
    "two lengths": (b"/up", [READ, TWO_LENGTHS, GONE], 502, UNREACHABLE),
    "huge head": (b"/up", [READ, HUGE_HEAD, GONE], 502, UNREACHABLE),
    "switching protocols": (b"/up", [READ, head(b"101 Switching Protocols"), GONE], 502, UNREACHABLE),
    "silent": (b"/impatient", [READ, GONE], 504, SLOW),
    "silent after an interim answer": (b"/impatient", [READ, head(b"103 Early Hints"), GONE], 504, SLOW),
    "silent for the whole call": (b"/hurried", [READ, GONE], 504, SLOW),
}
"""Provider, script, status and outcome by what goes wrong before there is an answer."""

SIZED = head(b"200 OK", b"Content-Length: 99")
STREAM = head(b"200 OK", EVENT_STREAM, CHUNKED)

AFTER_THE_HEAD: dict[str, tuple[bytes, Steps, str]] = {
    "short of its length": (b"/up", [SIZED, send(EVENT), CLOSE], CUT),
    "reset inside a sized body": (b"/up", [SIZED, send(EVENT), RESET], CUT),
    "no last chunk": (b"/up", [STREAM, send(chunk(EVENT)), CLOSE], CUT),
    "cut inside a chunk": (b"/up", [STREAM, send(b"ff\r\n" + EVENT), CLOSE], CUT),
    "garbage for a chunk": (b"/up", [STREAM, send(chunk(EVENT) + b"zz\r\n"), GONE], CUT),
    "silent inside a stream": (b"/impatient", [STREAM, send(chunk(EVENT)), GONE], SLOW),
    "silent inside a sized body": (b"/impatient", [SIZED, send(EVENT), GONE], SLOW),
    "too long a call": (b"/hurried", [STREAM, send(chunk(EVENT)), GONE], SLOW),
}
"""Provider, script and outcome by what goes wrong in the middle of an answer."""


@pytest.fixture(autouse=True)
def nothing_leaks(gateway: RunningGateway, upstream: UpstreamProcess) -> Iterator[None]:
    """After each fault no request is in flight, nothing more goes on in the gateway than before, and every
    connection is idle and the provider's as well."""
    tasks = read_metrics(gateway.url)["gateway_event_loop_tasks"]
    yield
    eventually(lambda: read_metrics(gateway.url)["gateway_in_flight"] == 0)
    eventually(lambda: read_metrics(gateway.url)["gateway_event_loop_tasks"] <= tasks)
    shown = read_metrics(gateway.url)
    assert shown["gateway_upstream_waiting"] == 0
    assert shown["gateway_upstream_connections"] == shown["gateway_upstream_idle_connections"]
    assert shown["gateway_upstream_connections"] <= upstream.connected()


@pytest.mark.parametrize("fault", BEFORE_THE_HEAD)
@pytest.mark.parametrize("endpoint", [b"/v1/chat/completions", b"/v1/messages"])
def test_a_fault_before_the_head_is_an_error_in_the_provider_s_shape(
    gateway: RunningGateway, upstream: UpstreamProcess, endpoint: bytes, fault: str
) -> None:
    provider, steps, status, outcome = BEFORE_THE_HEAD[fault]
    trace = upstream.name() + "-fault"
    answer = call(
        gateway.port,
        request(b"POST", provider + endpoint, upstream.script(*steps), _traced(trace), body=b"{}"),
    )
    assert answer.status == status
    assert answer.value(b"content-type") == b"application/json"
    assert answer.value(b"x-portkey-trace-id") == trace.encode()
    assert answer.value(b"x-portkey-provider") == provider[1:]
    _check_error(answer.body, endpoint, status)
    logged = row(gateway.database, trace)
    assert (logged["status"], logged["outcome"]) == (status, outcome)
    assert logged["error"]
    assert answer.value(b"helicone-id").decode() == logged["request_id"]


@pytest.mark.parametrize("fault", AFTER_THE_HEAD)
def test_a_fault_after_the_head_breaks_the_body_off_and_invents_no_end(
    gateway: RunningGateway, upstream: UpstreamProcess, fault: str
) -> None:
    provider, steps, outcome = AFTER_THE_HEAD[fault]
    trace = upstream.name() + "-fault"
    script = upstream.script(READ, *steps)
    with pytest.raises(Broken) as broken:
        call(
            gateway.port,
            request(b"POST", provider + b"/v1/chat/completions", script, _traced(trace), body=b"{}"),
        )
    assert broken.value.received == EVENT
    logged = row(gateway.database, trace)
    assert (logged["status"], logged["outcome"]) == (200, outcome)
    assert logged["response_size"] == len(EVENT)
    assert logged["error"]


def test_a_caller_whose_answer_ends_with_the_connection_sees_a_reset_instead_of_an_end(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    trace = upstream.name() + "-fault"
    script = upstream.script(READ, head(b"200 OK", EVENT_STREAM, CHUNKED), send(chunk(EVENT)), CLOSE)
    with Connection(gateway.port) as caller:
        caller.send(request(b"GET", b"/v1/chat/completions", script, _traced(trace), version=b"HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            caller.response()
    assert wait_for_row(gateway.database, trace)["outcome"] == "upstream_truncated"


def test_a_connection_that_died_while_it_was_kept_is_replaced_without_the_caller_noticing(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    dying = upstream.script(READ, head(b"200 OK", b"Content-Length: 2"), send(b"ok"), CLOSE)
    living = upstream.script(READ, head(b"200 OK", b"Content-Length: 2"), send(b"ok"))
    with Connection(gateway.port) as caller:
        for _ in range(10):
            for script in (dying, living):
                assert caller.call(request(b"POST", b"/bare/v1/x", script, body=b"{}")).body == b"ok"


def test_the_upload_ends_when_the_provider_answers_early_with_an_error(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    trace = upstream.name() + "-early"
    too_large = head(b"413 Too Large", b"Content-Length: 2", b"Connection: close")
    script = upstream.script(["read", 5], too_large, send(b"no"), CLOSE)
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/v1/files", script, _traced(trace), CHUNKED) + chunk(b"12345"))
        answer = caller.response(b"POST")
        assert (answer.status, answer.body) == (413, b"no")
    logged = row(gateway.database, trace)
    assert (logged["status"], logged["outcome"]) == (413, "complete")


def _check_error(body: bytes, endpoint: bytes, status: int) -> None:
    shown = json.loads(body)
    kind = {502: "api_error", 504: "timeout_error"}[status]
    code = {502: "upstream_error", 504: "upstream_timeout"}[status]
    message = shown["error"]["message"]
    assert message
    if endpoint.endswith(b"messages"):
        assert shown == {"type": "error", "error": {"type": kind, "message": message}}
    else:
        error = {"message": message, "type": kind, "param": None, "code": code}
        assert shown == {"error": error, "message": message, "detail": message}


def _traced(trace: str) -> bytes:
    return b"x-portkey-trace-id: " + trace.encode()
