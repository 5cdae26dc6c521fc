"""SIGTERM and SIGHUP while a stream is in flight."""

from __future__ import annotations

import os
import signal
import time
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, row
from tests.raw_http import LAST_CHUNK, Broken, Connection, call, refuses, request
from tests.raw_http import chunk as framed
from tests.scripted_upstream import (
    EVENT_STREAM,
    GONE,
    READ,
    UpstreamProcess,
    answer,
    chunk,
    head,
    note,
    read,
    wait,
)

FIRST, LAST = b"data: {}\n\n", b"data: [DONE]\n\n"
CHUNKED = b"Transfer-Encoding: chunked"
VOTER = {"x-portkey-api-key": "gw-voter-0123456789"}


class Stream:
    """A stream that has begun, and ends when it is told to."""

    def __init__(
        self, gateway: RunningGateway, upstream: UpstreamProcess, trace: str, *fields: bytes
    ) -> None:
        self._upstream = upstream
        self._gate = upstream.name()
        stream = head(b"200 OK", EVENT_STREAM, CHUNKED)
        script = upstream.script(READ, stream, chunk(FIRST), wait(self._gate), chunk(LAST), chunk(b""), GONE)
        self.caller = Connection(gateway.port)
        traced = b"x-portkey-trace-id: " + trace.encode()
        self.caller.send(request(b"POST", b"/v1/chat/completions", script, traced, *fields, body=b"{}"))
        assert self.caller.head().status == 200
        assert self.caller.chunk() == FIRST

    def finish(self) -> None:
        self._upstream.open(self._gate)
        assert self.caller.chunk() == LAST
        assert self.caller.chunk() == b""
        self.caller.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_in_flight_ends_before_the_gateway_does(
    start_gateway: StartGateway, upstream: UpstreamProcess, number: signal.Signals
) -> None:
    gateway = start_gateway(_config(upstream))
    stream = Stream(gateway, upstream, "drained")
    with Connection(gateway.port) as kept, Connection(gateway.port) as idle:
        assert kept.call(request(b"GET", b"/v1/models")).values(b"connection") == []
        gateway.signal(number)
        eventually(lambda: refuses(gateway.port))
        assert kept.call(request(b"GET", b"/v1/models")).values(b"connection") == [b"close"]
        assert kept.to_end() == b""
        stream.finish()
        assert idle.to_end() == b""
    assert gateway.wait() == 0
    assert row(gateway.database, "drained")["outcome"] == "complete"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_manager_that_signals_all_processes_loses_nothing(
    start_gateway: StartGateway, upstream: UpstreamProcess, workers: int
) -> None:
    gateway = start_gateway(_config(upstream, server={"workers": workers}))
    traces = [f"managed-{number}" for number in range(4)]
    streams = [Stream(gateway, upstream, trace) for trace in traces]
    eventually(gateway.ingester)
    for pid in gateway.processes():
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: refuses(gateway.port))
    for stream in streams:
        stream.finish()
    assert gateway.wait() == 0
    assert [row(gateway.database, trace)["outcome"] for trace in traces] == ["complete"] * 4


def test_an_ingester_that_is_told_to_end_goes_on(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream))
    stream = Stream(gateway, upstream, "ongoing")
    eventually(gateway.ingester)
    ingester = gateway.ingester()
    assert ingester is not None
    os.kill(ingester, signal.SIGTERM)
    stream.finish()
    assert row(gateway.database, "ongoing")["outcome"] == "complete"
    assert gateway.ingester() == ingester


def test_an_upload_in_flight_ends_before_the_gateway_does(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream))
    started = upstream.name()
    script = upstream.script(read(5), note(started), *answer(b"thanks"))
    upstream.take()
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/v1/files", script, CHUNKED) + framed(b"first"))
        upstream.reached(started)
        gateway.signal(signal.SIGTERM)
        eventually(lambda: refuses(gateway.port))
        caller.send(framed(b"second") + LAST_CHUNK)
        assert caller.response().body == b"thanks"
    assert gateway.wait() == 0
    assert upstream.take()[0].body == b"firstsecond"


def test_a_stream_that_outlasts_the_drain_is_broken_off_and_says_so_in_its_row(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, server={"drain_seconds": 0.3}))
    stream = Stream(gateway, upstream, "cut")
    gateway.signal(signal.SIGTERM)
    with pytest.raises(Broken), stream.caller:
        stream.caller.chunk()
    assert gateway.wait() == 0
    logged = row(gateway.database, "cut")
    assert (logged["outcome"], logged["status"]) == ("gateway_error", 200)
    assert "stopped" in logged["error"]


def test_a_gateway_that_nobody_calls_stops_at_once(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, server={"drain_seconds": 3600}))
    with Connection(gateway.port) as caller:
        assert caller.call(request(b"GET", b"/v1/models")).status == 200
        assert gateway.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_swaps_providers_and_keys_under_a_stream_in_flight(
    start_gateway: StartGateway, upstream: UpstreamProcess, workers: int
) -> None:
    def key(name: str) -> dict[str, str]:
        return {"name": name, "key": f"gw-{name}-0123456789", "role": "admin"}

    def as_caller(name: str) -> bytes:
        return f"x-portkey-api-key: gw-{name}-0123456789".encode()

    keys = [key("old"), key("staying")]
    gateway = start_gateway(_config(upstream, keys=keys, server={"workers": workers}))
    stream = Stream(gateway, upstream, "reloaded", as_caller("old"))
    new = {"new": {"base_url": f"{upstream.url}/new"}}
    gateway.write_config({"providers": new, "keys": [key("new"), key("staying")]})
    gateway.signal(signal.SIGHUP)
    eventually(lambda: gateway.log().count("configuration reloaded") == workers)

    upstream.take()
    assert (
        call(gateway.port, request(b"GET", b"/v1/models", as_caller("new"))).value(b"x-portkey-provider")
        == b"new"
    )
    assert [received.target for received in upstream.take()] == ["/new/models"]
    assert call(gateway.port, request(b"GET", b"/v1/models", as_caller("old"))).status == 401
    assert call(gateway.port, request(b"GET", b"/up/models", as_caller("staying"))).status == 404
    stream.finish()
    logged = row(gateway.database, "reloaded")
    assert (logged["outcome"], logged["provider"], logged["key_name"]) == ("complete", "up", "old")


def test_a_reload_takes_over_how_feedback_is_read_and_waited_for(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    key = {"name": "voter", "key": "gw-voter-0123456789", "role": "feedback"}
    old = {"portkey_scale": "signed", "orphan_window": 60}
    new = {"portkey_scale": "thumbs", "orphan_window": 365 * 86_400}
    config = _config(upstream, feedback=old, keys=[key])
    gateway = start_gateway(config)
    assert _scores(gateway) == [0, 0.5]
    assert _rate_what_is_an_hour_old(gateway) == 404

    gateway.write_config({**config, "feedback": new})
    gateway.signal(signal.SIGHUP)
    eventually(lambda: gateway.log().count("configuration reloaded") == 1)
    assert _scores(gateway) == [-1, 1]
    assert _rate_what_is_an_hour_old(gateway) == 200

    gateway.write_config({**config, "feedback": new, "keys": [{**key, "portkey_scale": "signed"}]})
    gateway.signal(signal.SIGHUP)
    eventually(lambda: gateway.log().count("configuration reloaded") == 2)
    assert _scores(gateway) == [0, 0.5]
    assert "at the next start" not in gateway.log()

    changed = {"server": {"port": 1, "max_in_flight": 7}, "storage": {"durability": "interval"}}
    gateway.write_config({**config, **changed})
    gateway.signal(signal.SIGHUP)
    eventually(lambda: "at the next start" in gateway.log())
    assert '"fields": ["server.port", "storage.durability"]' in gateway.log()


def test_a_configuration_that_cannot_be_used_changes_nothing(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream))
    unset = {"base_url": "http://127.0.0.1:1/v1", "api_key": "${NOT_SET_ANYWHERE}"}
    unreadable = {"base_url": "http://127.0.0.1:1/v1", "ca_file": "/does/not/exist.pem"}
    broken: list[dict[str, Any]] = [
        {"up": {"base_url": "ftp://nowhere"}},
        {},
        {"up": unset},
        {"up": unreadable},
    ]
    for count, providers in enumerate(broken, 1):
        gateway.write_config({"providers": providers})
        gateway.signal(signal.SIGHUP)
        _refused_reloads(gateway, count)
        assert call(gateway.port, request(b"GET", b"/v1/models")).status == 200
    gateway.config_file.unlink()
    gateway.signal(signal.SIGHUP)
    _refused_reloads(gateway, len(broken) + 1)
    assert call(gateway.port, request(b"GET", b"/v1/models")).status == 200


def _scores(gateway: RunningGateway) -> list[float]:
    """Give the values 0 and 5 in Portkey's dialect, and return what scores they became."""
    votes = [{"trace_id": "judged", "value": value} for value in (0, 5)]
    reply = httpx.post(f"{gateway.url}/v1/feedback", json=votes, headers=VOTER).raise_for_status()
    marks = ", ".join("?" * len(votes))
    sql = f"SELECT score FROM feedback WHERE feedback_id IN ({marks}) ORDER BY seq"
    return [score for [score] in query(gateway.database, sql, *reply.json()["feedback_ids"])]


def _rate_what_is_an_hour_old(gateway: RunningGateway) -> int:
    """Rate a request that is not logged and whose id was made an hour ago; return the status."""
    millis = int((time.time() - 3600) * 1000)
    request_id = str(UUID(int=millis << 80 | 0x7 << 76 | 0x2 << 62))
    path = f"{gateway.url}/v1/request/{request_id}/feedback"
    return httpx.post(path, json={"rating": True}, headers=VOTER).status_code


def _refused_reloads(gateway: RunningGateway, count: int) -> None:
    """Wait until so many reloads were refused."""
    eventually(lambda: gateway.log().count("configuration not reloaded") == count)


def _config(upstream: UpstreamProcess, **sections: Any) -> dict[str, Any]:
    return {"providers": {"up": {"base_url": f"{upstream.url}/v1"}}, **sections}
