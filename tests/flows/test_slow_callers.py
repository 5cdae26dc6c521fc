"""Callers that take all the time in the world, as an attacker may on many connections at once."""

from __future__ import annotations

import json
import time

import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, read_metrics, wait_for_row
from tests.raw_http import Connection, call, chunk, request
from tests.scripted_upstream import GONE, UpstreamProcess, answer, read

PATIENCE_SECONDS = 0.5


@pytest.fixture
def impatient(start_gateway: StartGateway, upstream: UpstreamProcess) -> RunningGateway:
    return start_gateway(
        {
            "server": {"read_timeout": PATIENCE_SECONDS},
            "feedback": {"tokens": {"keys": ["a-secret-of-at-least-32-characters"]}},
            "providers": {"up": {"base_url": f"{upstream.url}/v1"}},
        }
    )


@pytest.mark.parametrize("begun", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nHost: loc"])
def test_a_head_that_never_comes_is_not_waited_for(impatient: RunningGateway, begun: bytes) -> None:
    silent = [Connection(impatient.port) for _ in range(50)]
    for connection in silent:
        connection.send(begun)
    for connection in silent:
        assert connection.to_end() == b""
        connection.close()


def test_who_has_asked_before_may_be_silent_for_longer(
    impatient: RunningGateway, upstream: UpstreamProcess
) -> None:
    script = upstream.script(*answer(b"{}"))
    with Connection(impatient.port) as kept, Connection(impatient.port) as silent:
        assert kept.call(request(b"POST", b"/v1/chat/completions", script, body=b"{}")).status == 200
        assert silent.to_end() == b""
        assert kept.call(request(b"POST", b"/v1/chat/completions", script, body=b"{}")).status == 200


def test_a_short_body_that_stops_coming_is_refused_before_the_provider_is_called(
    impatient: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    with Connection(impatient.port) as caller:
        fields = b"x-portkey-trace-id: stalled", b"Content-Length: 100"
        caller.send(request(b"POST", b"/v1/chat/completions", *fields) + b'{"model":')
        refused = caller.response()
    assert refused.status == 408
    assert json.loads(refused.body)["error"]["code"] == "request_timeout"
    assert upstream.take() == []
    logged = wait_for_row(impatient.database, "stalled")
    assert (logged["status"], logged["outcome"], logged["request_size"]) == (408, "timeout", 9)


def test_an_upload_that_stops_coming_is_broken_off_at_the_provider_as_well(
    impatient: RunningGateway, upstream: UpstreamProcess
) -> None:
    script = upstream.script(read(1000), GONE)
    with Connection(impatient.port) as caller:
        fields = script, b"x-portkey-trace-id: stalled", b"Transfer-Encoding: chunked"
        caller.send(request(b"POST", b"/v1/files", *fields) + chunk(b"x" * 1000))
        assert caller.response().status == 408
    logged = wait_for_row(impatient.database, "stalled")
    assert (logged["status"], logged["outcome"], logged["request_size"]) == (408, "timeout", 1000)
    eventually(lambda: read_metrics(impatient.url)["gateway_upstream_connections"] == 0)


def test_an_upload_may_take_longer_than_that_as_long_as_it_comes(
    impatient: RunningGateway, upstream: UpstreamProcess
) -> None:
    size = 12
    script = upstream.script(read(size), *answer(b"ok"))
    with Connection(impatient.port) as caller:
        caller.send(request(b"POST", b"/v1/files", script, b"Content-Length: %d" % size))
        for _ in range(size):
            time.sleep(PATIENCE_SECONDS / 5)
            caller.send(b"x")
        assert caller.response().status == 200


def test_a_body_that_stops_coming_is_refused_on_each_of_the_gateway_s_own_paths(
    impatient: RunningGateway, upstream: UpstreamProcess
) -> None:
    script = upstream.script(*answer(b"{}"))
    answered = call(impatient.port, request(b"POST", b"/v1/chat/completions", script, body=b"{}"))
    paths = {
        b"/v1/feedback": b'"status":"failure"',
        b"/v1/logs": b'"status":"failure"',
        b"/v1/logs/exports": b'"status":"failure"',
        b"/v1/request/query": b'"error"',
        b"/v1/request/1/feedback": b'"error"',
        b"/api/feedback": b'"detail"',
        b"/f/" + answered.value(b"x-gateway-feedback-token"): b"<h1>That took too long</h1>",
    }
    stalled = {path: Connection(impatient.port) for path in paths}
    for path, connection in stalled.items():
        form = b"Content-Type: application/x-www-form-urlencoded"
        connection.send(request(b"POST", path, form, b"Content-Length: 37") + b"vote")
    for path, connection in stalled.items():
        refused = connection.response()
        assert refused.status == 408, path
        assert paths[path] in refused.body, (path, refused.body)
        connection.close()
