"""The database turns read-only under a running gateway, as a disk does that the kernel no longer trusts."""

from __future__ import annotations

from pathlib import Path

import httpx

from gateway.store.journal_files import all_segments
from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, read_metrics, wait_until_interpreted
from tests.raw_http import Response, call, request
from tests.scripted_upstream import UpstreamProcess, answer
from tests.storage_faults import read_only

VOTE = {"trace_id": "before", "value": 1}


def test_a_store_that_turns_read_only_is_told_of_and_every_row_comes_back_when_it_can_be_written(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream))
    _call(gateway, upstream, "before")
    wait_until_interpreted(gateway.database)
    during = [f"during-{number}" for number in range(10)]
    with read_only(*_files(gateway)):
        for trace in during:
            assert _call(gateway, upstream, trace).body == b"ok"
        shown = read_metrics(gateway.url)
        assert (shown["gateway_journal_rows"], shown["gateway_rows_lost_total"]) == (10, 0)
        assert _get(gateway, "/readyz").status_code == 503
        assert _get(gateway, "/healthz").status_code == 200
        for path, vote in (
            ("/v1/feedback", VOTE),
            ("/v1/request/r/feedback", {"rating": True}),
            ("/api/feedback", {"trace_id": "before", "feedback": {"rating": 1}}),
        ):
            refused = httpx.post(gateway.url + path, json=vote)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) > 0
        assert _get(gateway, "/api/v1/requests").json()["data"][0]["trace_id"] == "before"
    eventually(lambda: _get(gateway, "/readyz").status_code == 200)
    _call(gateway, upstream, "after")
    assert _traces(gateway) == ["before", *during, "after"]
    assert query(gateway.database, "SELECT 1 FROM feedback") == []
    assert httpx.post(f"{gateway.url}/v1/feedback", json=VOTE).status_code == 200
    assert query(gateway.database, "PRAGMA integrity_check")[0][0] == "ok"


def test_where_nothing_at_all_can_be_written_traffic_goes_on_and_each_lost_row_is_counted(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    gateway = start_gateway(_config(upstream))
    _call(gateway, upstream, "before")
    wait_until_interpreted(gateway.database)
    segments = [each.path for each in all_segments(gateway.database.with_name("gateway.db.journal"))]
    with read_only(*_files(gateway), gateway.folder, *segments, *(path.parent for path in segments)):
        for number in range(5):
            assert _call(gateway, upstream, f"lost-{number}").body == b"ok"
        assert read_metrics(gateway.url)["gateway_rows_lost_total"] == 5
        assert _get(gateway, "/readyz").status_code == 503
    eventually(lambda: _get(gateway, "/readyz").status_code == 200)
    _call(gateway, upstream, "after")
    assert _traces(gateway) == ["before", "after"]


def _config(upstream: UpstreamProcess) -> dict[str, object]:
    return {"providers": {"up": {"base_url": f"{upstream.url}/v1"}}}


def _files(gateway: RunningGateway) -> list[Path]:
    return [gateway.database, gateway.database.with_name("gateway.db-wal")]


def _call(gateway: RunningGateway, upstream: UpstreamProcess, trace: str) -> Response:
    fields = upstream.script(*answer(b"ok")), b"x-portkey-trace-id: " + trace.encode()
    return call(gateway.port, request(b"POST", b"/v1/chat/completions", *fields, body=b"{}"))


def _get(gateway: RunningGateway, path: str) -> httpx.Response:
    return httpx.get(gateway.url + path)


def _traces(gateway: RunningGateway) -> list[str]:
    """The traces of all rows, in the order in which they were stored."""
    return [trace for (trace,) in query(gateway.database, "SELECT trace_id FROM requests ORDER BY seq")]
