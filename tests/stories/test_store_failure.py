"""The store fails: what is still served, what is said, and that every row comes back once, in order."""

from __future__ import annotations

import json
import resource
import sqlite3

import httpx

from tests.conftest import StartGateway
from tests.log_reader import eventually, figures, query
from tests.raw_http import Response, call, request
from tests.running import RunningGateway
from tests.scripted_upstream import UpstreamProcess, answer


def test_traffic_goes_on_while_the_disk_is_full_and_every_row_comes_back(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    _call(gateway, upstream, "before")
    _fill_disk(gateway)

    during = [f"during-{number}" for number in range(20)]
    for trace in during:
        answered = _call(gateway, upstream, trace)
        assert (answered.status, answered.body) == (200, b"ok")

    assert _readiness(gateway).status_code == 503
    assert httpx.get(f"{gateway.url}/healthz").status_code == 200
    shown = figures(gateway.url)
    assert shown["gateway_rows_spilled_total"] == 20
    assert shown["gateway_rows_lost_total"] == 0
    refused = httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": "before", "value": 1})
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["status"] == "failure"
    assert _traces(gateway) == ["before"]

    _empty_disk(gateway)
    eventually(lambda: _readiness(gateway).status_code == 200)
    _call(gateway, upstream, "after")
    assert _traces(gateway) == ["before", *during, "after"]
    eventually(lambda: not query(gateway.database, "SELECT 1 FROM requests WHERE interpreted_at_us IS NULL"))
    assert (
        httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": "before", "value": 1}).status_code == 200
    )


def test_rows_that_wait_beside_the_store_survive_a_stop_and_come_back_at_the_start(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    _fill_disk(gateway)
    for number in range(5):
        _call(gateway, upstream, f"waiting-{number}")
    gateway.kill()
    assert _traces(gateway) == []
    gateway.start()
    assert _traces(gateway) == [f"waiting-{number}" for number in range(5)]
    gateway.stop()
    gateway.start()
    assert len(_traces(gateway)) == 5


def test_a_store_that_another_program_locks_fails_only_after_the_wait_that_it_is_given(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    other = sqlite3.connect(gateway.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for number in range(5):
        assert _call(gateway, upstream, f"locked-{number}").status == 200
    assert figures(gateway.url)["gateway_rows_spilled_total"] == 5
    other.rollback()
    other.close()
    eventually(lambda: len(_traces(gateway)) == 5)
    assert _traces(gateway) == [f"locked-{number}" for number in range(5)]
    eventually(lambda: _readiness(gateway).status_code == 200)


def test_requests_are_refused_while_they_cannot_be_logged_where_that_is_asked_for(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "refuse"))
    _fill_disk(gateway)
    _call(gateway, upstream, "unlucky")
    upstream.take()
    for endpoint in ("chat/completions", "messages"):
        refused = httpx.post(f"{gateway.url}/v1/{endpoint}", json={})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.json()["error"]["type"] == "overloaded_error"
        assert ("code" in refused.json()["error"]) == (endpoint == "chat/completions")
    assert upstream.take() == []

    _empty_disk(gateway)
    eventually(lambda: _call(gateway, upstream, "lucky").status == 200)
    assert "unlucky" in _traces(gateway)


def _config(upstream: UpstreamProcess, on_store_failure: str) -> dict[str, object]:
    return {
        "storage": {"on_store_failure": on_store_failure},
        "providers": {"up": {"base_url": f"{upstream.url}/v1"}},
    }


def _call(gateway: RunningGateway, upstream: UpstreamProcess, trace: str) -> Response:
    traced = b"x-portkey-trace-id: " + trace.encode()
    script = upstream.script(*answer(b"ok"))
    return call(
        gateway.port, request(b"POST", b"/v1/chat/completions", script, traced, body=json.dumps({}).encode())
    )


def _fill_disk(gateway: RunningGateway) -> None:
    """Let no file of the gateway grow beyond the size that its log of writes has now."""
    size = gateway.database.with_name("gateway.db-wal").stat().st_size
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _empty_disk(gateway: RunningGateway) -> None:
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _readiness(gateway: RunningGateway) -> httpx.Response:
    return httpx.get(f"{gateway.url}/readyz")


def _traces(gateway: RunningGateway) -> list[str]:
    """The traces of all rows, in the order in which they were stored."""
    return [trace for (trace,) in query(gateway.database, "SELECT trace_id FROM requests ORDER BY seq")]
