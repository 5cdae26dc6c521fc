"""The store fails: what is still served, what is said, and that every row comes back once, in order."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.cli.command import run_gateway
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, read_metrics, wait_until_interpreted
from tests.raw_http import Response, call, request
from tests.scripted_upstream import UpstreamProcess, answer
from tests.storage_faults import empty_disk, fill_disk, overwrite_root_of

# Far less than what the gateway waits for a lock.


def test_traffic_goes_on_while_the_disk_is_full_and_every_row_comes_back(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    _call(gateway, upstream, "before")
    fill_disk(gateway)

    during = [f"during-{number}" for number in range(20)]
    for trace in during:
        answered = _call(gateway, upstream, trace)
        assert (answered.status, answered.body) == (200, b"ok")

    assert _readiness(gateway).status_code == 503
    assert httpx.get(f"{gateway.url}/healthz").status_code == 200
    shown = read_metrics(gateway.url)
    assert shown["gateway_journal_rows"] == 20
    assert shown["gateway_rows_lost_total"] == 0
    refused = httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": "before", "value": 1})
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["status"] == "failure"
    assert _traces(gateway) == ["before"]

    empty_disk(gateway)
    eventually(lambda: _readiness(gateway).status_code == 200)
    _call(gateway, upstream, "after")
    assert _traces(gateway) == ["before", *during, "after"]
    wait_until_interpreted(gateway.database)
    assert (
        httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": "before", "value": 1}).status_code == 200
    )


def test_rows_that_wait_beside_the_store_survive_a_stop_and_come_back_at_the_start(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    fill_disk(gateway)
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
    assert read_metrics(gateway.url)["gateway_journal_rows"] == 5
    other.rollback()
    other.close()
    eventually(lambda: len(_traces(gateway)) == 5)
    assert _traces(gateway) == [f"locked-{number}" for number in range(5)]
    eventually(lambda: _readiness(gateway).status_code == 200)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_database_that_is_taken_away_takes_nothing_with_it_that_comes_after(
    start_gateway: StartGateway, upstream: UpstreamProcess, is_replaced: bool
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    _call(gateway, upstream, "before")
    # All but the journal.
    for file in filter(Path.is_file, gateway.folder.glob("gateway.db*")):
        file.rename(file.with_name(f"taken-{file.name}"))
    if is_replaced:
        shutil.copy(gateway.folder / "taken-gateway.db", gateway.database)
    for number in range(5):
        assert _call(gateway, upstream, f"after-{number}").status == 200
    vote = httpx.post(f"{gateway.url}/v1/feedback", json={"trace_id": "before", "value": 1})
    assert vote.status_code == 503
    assert "removed or replaced" in _readiness(gateway).text
    gateway.kill()
    gateway.start()
    assert [trace for trace in _traces(gateway) if trace != "before"] == [f"after-{n}" for n in range(5)]


def test_rows_that_a_damaged_database_does_not_take_are_in_the_backup_that_replaces_it(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    _call(gateway, upstream, "before")
    assert run_gateway("backup", "-c", "gateway.yaml", "copy.db", cwd=gateway.folder).returncode == 0
    gateway.stop()
    overwrite_root_of(gateway.database, "requests")
    gateway.start()
    for number in range(5):
        assert _call(gateway, upstream, f"after-{number}").status == 200
    shown = read_metrics(gateway.url)
    assert (shown["gateway_journal_rows"], shown["gateway_rows_lost_total"]) == (5, 0)
    gateway.stop()
    restored = run_gateway("restore", "-c", "gateway.yaml", "--force", "copy.db", cwd=gateway.folder)
    assert restored.returncode == 0, restored.stderr
    gateway.start()
    assert _traces(gateway) == ["before", *(f"after-{number}" for number in range(5))]


def test_a_database_that_is_locked_for_moments_makes_no_caller_wait_and_loses_nothing(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "serve"))
    traces = [f"slow-{number}" for number in range(6)]
    opened = sqlite3.connect(gateway.database, isolation_level=None, timeout=30)
    with closing(opened) as other:
        for trace in traces:
            other.execute("BEGIN IMMEDIATE")
            assert _call(gateway, upstream, trace).status == 200
            other.execute("ROLLBACK")
    assert read_metrics(gateway.url)["gateway_rows_lost_total"] == 0
    assert _traces(gateway) == traces


def test_requests_are_refused_while_they_cannot_be_logged_where_that_is_asked_for(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream, "refuse"))
    fill_disk(gateway)
    _call(gateway, upstream, "unlucky")
    eventually(lambda: httpx.post(f"{gateway.url}/v1/messages", json={}).status_code == 503)
    assert _readiness(gateway).status_code == 503
    upstream.take()
    for endpoint in ("chat/completions", "messages"):
        refused = httpx.post(f"{gateway.url}/v1/{endpoint}", json={})
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.json()["error"]["type"] == "overloaded_error"
        assert ("code" in refused.json()["error"]) == (endpoint == "chat/completions")
    assert upstream.take() == []

    empty_disk(gateway)
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


def _readiness(gateway: RunningGateway) -> httpx.Response:
    return httpx.get(f"{gateway.url}/readyz")


def _traces(gateway: RunningGateway) -> list[str]:
    """The traces of all rows, in the order in which they were stored."""
    return [trace for (trace,) in query(gateway.database, "SELECT trace_id FROM requests ORDER BY seq")]
