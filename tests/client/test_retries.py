from __future__ import annotations

import socket

import pytest

from gateway.client import ConnectionFailed, GatewayClient, InvalidRequest, TimedOut, Unavailable
from tests.client.scripted_server import Reply, ScriptedServer

SAVED = {"status": "success", "message": "saved", "feedback_ids": ["1"]}
FULL = {"status": "failure", "message": "the disk is full"}
AT_ONCE = {"Retry-After": "0"}


def test_an_unavailable_gateway_is_asked_again_with_the_same_call() -> None:
    with (
        ScriptedServer(Reply(503, FULL, AT_ONCE), Reply(200, SAVED)) as server,
        GatewayClient(server.url) as c,
    ):
        assert c.feedback.create(trace_id="t", value=1).feedback_ids == ("1",)
    first, second = server.received
    assert first.body == second.body == {"trace_id": "t", "value": 1, "weight": 1.0}
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] != ""


def test_an_update_is_retried_under_one_key_too() -> None:
    with ScriptedServer(Reply(None), Reply(200, SAVED)) as server, GatewayClient(server.url) as client:
        client.feedback.update("1", value=2)
    first, second = server.received
    assert (first.method, first.path, first.body) == ("PUT", "/v1/feedback/1", {"value": 2})
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_a_gateway_that_stays_unavailable_is_given_up() -> None:
    with (
        ScriptedServer(Reply(503, FULL, AT_ONCE)) as server,
        GatewayClient(server.url, retries=3) as client,
        pytest.raises(Unavailable, match="disk is full") as refusal,
    ):
        client.traces.get("t")
    assert refusal.value.status == 503
    assert len(server.received) == 4


def test_a_pause_longer_than_the_bound_is_not_waited_for() -> None:
    with (
        ScriptedServer(Reply(503, FULL, {"Retry-After": "3600"})) as server,
        GatewayClient(server.url) as client,
        pytest.raises(Unavailable),
    ):
        client.traces.get("t")
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [400, 413, 422, 429])
def test_a_refusal_is_not_retried(status: int) -> None:
    with (
        ScriptedServer(Reply(status, {"error": {"message": "is wrong.", "field": "value"}})) as server,
        GatewayClient(server.url) as client,
        pytest.raises(InvalidRequest, match=r"^value: is wrong\.$"),
    ):
        client.feedback.create(trace_id="t", value=1)
    assert len(server.received) == 1


def test_a_failure_of_the_gateway_is_not_retried() -> None:
    with (
        ScriptedServer(Reply(500, "<html>")) as server,
        GatewayClient(server.url) as client,
        pytest.raises(Unavailable, match="status 500"),
    ):
        client.traces.get("t")
    assert len(server.received) == 1


def test_a_reply_that_does_not_come_is_not_waited_for_twice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with GatewayClient(url, timeout=0.2, retries=5) as client, pytest.raises(TimedOut):
            client.traces.get("t")
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_a_gateway_that_is_not_there_is_tried_again_and_named() -> None:
    with GatewayClient("http://127.0.0.1:1", retries=1) as client, pytest.raises(ConnectionFailed) as failure:
        client.traces.get("t")
    assert "http://127.0.0.1:1/" in failure.value.message
    assert failure.value.status is None
