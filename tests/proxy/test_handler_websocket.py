"""What is asked for before or beside plain calls: another protocol, and whether anybody is there."""

from __future__ import annotations

import json

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import query
from tests.raw_http import Connection, call, request
from tests.scripted_upstream import UpstreamProcess

UPGRADE = (
    b"Connection: Upgrade",
    b"Upgrade: WebSocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def count_rows(gateway: RunningGateway) -> int:
    return int(query(gateway.database, "SELECT count(*) FROM requests")[0][0])


@pytest.mark.parametrize("path", [b"/v1/responses", b"/v1/realtime?model=m", b"/up/v1/responses"])
def test_a_websocket_is_refused_in_words_before_anything_is_sent(
    gateway: RunningGateway, upstream: UpstreamProcess, path: bytes
) -> None:
    upstream.take()
    before = count_rows(gateway)
    with Connection(gateway.port) as caller:
        answer = caller.call(request(b"GET", path, *UPGRADE))
        assert answer.status == 426
        assert answer.value(b"upgrade") == b"HTTP/1.1"
        error = json.loads(answer.body)["error"]
        assert (error["code"], error["param"]) == ("upgrade_not_supported", None)
        assert "does not relay WebSockets" in error["message"]
        assert "stream: true" in error["message"]
        assert caller.to_end() == b""
    assert upstream.take() == []
    assert count_rows(gateway) == before


def test_a_websocket_is_refused_in_the_shape_of_its_path(gateway: RunningGateway) -> None:
    answer = call(gateway.port, request(b"GET", b"/up/v1/messages", *UPGRADE))
    assert answer.status == 426
    assert json.loads(answer.body)["type"] == "error"


def test_a_websocket_without_a_key_is_first_of_all_without_a_key(guarded: RunningGateway) -> None:
    assert call(guarded.port, request(b"GET", b"/v1/responses", *UPGRADE)).status == 401


def test_an_upgrade_to_another_version_of_http_is_passed_over(gateway: RunningGateway) -> None:
    fields = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    assert call(gateway.port, request(b"GET", b"/v1/files", *fields)).status == 200


@pytest.mark.parametrize("path", [b"/", b"/plain", b"/keyed/", b"/plain?beta=true"])
def test_whoever_looks_whether_anybody_is_there_is_answered_without_key_and_row(
    guarded: RunningGateway, upstream: UpstreamProcess, path: bytes
) -> None:
    upstream.take()
    before = count_rows(guarded)
    answer = call(guarded.port, request(b"HEAD", path))
    assert (answer.status, answer.body) == (200, b"")
    assert upstream.take() == []
    assert count_rows(guarded) == before


@pytest.mark.parametrize(("path", "status"), [(b"/nobody", 401), (b"/v1/models", 401), (b"/plain/v1", 401)])
def test_a_head_of_anything_else_is_a_call(guarded: RunningGateway, path: bytes, status: int) -> None:
    assert call(guarded.port, request(b"HEAD", path)).status == status
