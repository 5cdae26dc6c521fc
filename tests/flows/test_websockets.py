"""WebSockets through a gateway process: real clients, a provider of its own, and the rows that stay."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection

from gateway.models.conversation import Text
from gateway.wire import read_conversation
from gateway.wire.formats import WireMessage
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, payload, query, wait_until_interpreted
from tests.websocket_provider import FLOOD_PIECE, WebSocketProvider

KEY = "gw-socket-0123456789"
PROVIDER_KEY = "sk-provider-0123456789"
KEY_PROTOCOL = f"openai-insecure-api-key.{KEY}"


@pytest.fixture(scope="module")
def provider() -> Iterator[WebSocketProvider]:
    with WebSocketProvider() as running:
        yield running


def config_for(provider: WebSocketProvider, **server: Any) -> dict[str, Any]:
    shared = {"base_url": provider.base_url, "api_key": PROVIDER_KEY}
    return {
        "server": server,
        "default_provider": "up",
        "providers": {
            "up": shared | {"websocket": True},
            "impatient": shared | {"websocket": True, "timeouts": {"idle": 0.3}},
            "plain": shared,
        },
        "routes": {
            "spare": {
                "strategy": {"mode": "fallback"},
                "targets": [{"provider": "plain"}, {"provider": "up"}],
            }
        },
        "keys": [{"name": "app", "key": KEY, "role": ["proxy", "feedback"]}],
    }


@pytest.fixture(scope="module")
def gateway(
    provider: WebSocketProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("sockets"), config_for(provider)) as running:
        yield running


def open_socket(gateway: RunningGateway, path: str = "/v1/responses", **options: Any) -> ClientConnection:
    fields = {"x-portkey-api-key": KEY, **options.pop("fields", {})}
    url = f"ws://127.0.0.1:{gateway.port}{path}"
    connection: ClientConnection = connect(url, additional_headers=fields, close_timeout=0.2, **options)
    return connection


def trace_of(connection: Connection) -> str:
    assert connection.response is not None
    return connection.response.headers["x-gateway-trace-id"]


def rows_of(gateway: RunningGateway, trace_id: str, count: int) -> list[Any]:
    def found() -> list[Any]:
        rows = query(gateway.database, "SELECT * FROM requests WHERE trace_id = ? ORDER BY seq", trace_id)
        return rows if len(rows) == count else []

    eventually(found)
    wait_until_interpreted(gateway.database)
    return found()


def asked_in(gateway: RunningGateway, row: Any) -> Any:
    kept = payload(gateway.database, row["seq"])
    assert kept is not None
    return json.loads(kept.request_body)["input"]


def send(connection: Connection, **event: Any) -> None:
    connection.send(json.dumps(event))


def receive_until(connection: Connection, kind: str) -> Any:
    while True:
        event = json.loads(connection.recv(timeout=10))
        if event["type"] == kind:
            return event


def close_of(connection: Connection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(timeout=20)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_a_realtime_session_of_openais_client_leaves_a_row_for_each_response(
    gateway: RunningGateway, provider: WebSocketProvider
) -> None:
    client = OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)
    trace = {"x-portkey-trace-id": "spoken"}
    with client.realtime.connect(model="gpt-realtime", extra_headers=trace) as session:
        item = {
            "id": "item_u", "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": "Hello?"}],
        }  # fmt: skip
        session.conversation.item.create(item=item)  # type: ignore[arg-type]
        for _ in range(2):
            session.response.create()
            done = next(event for event in session if event.type == "response.done")
            assert done.response.usage is not None
            assert done.response.usage.total_tokens == 150
    first, second, connection = rows_of(gateway, "spoken", 3)
    assert provider.requests[-1].headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    for row in (first, second):
        assert (row["endpoint"], row["model"], row["outcome"]) == ("realtime", "gpt-realtime", "complete")
        assert (row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"]) == (100, 50, 32)
        assert (row["finish_reason"], row["session"], row["note"]) == ("completed", "conv_1", None)
        # At 4, 16, 0.4 dollars a million tokens of text, 32, 64, 0.4 of audio.
        assert row["cost_nanousd"] == (38 * 4000 + 22 * 400 + 30 * 32000 + 10 * 400 + 20 * 16000 + 30 * 64000)
    assert (connection["endpoint"], connection["finish_reason"]) == ("websocket", "closed:1000")
    assert connection["note"] == "closed by the client"
    kept = payload(gateway.database, second["seq"])
    assert kept is not None
    talk = read_conversation(
        "realtime",
        WireMessage("/v1/realtime", (), kept.request_body),
        WireMessage("/v1/realtime", ((b"content-type", b"text/event-stream"),), kept.response_body),
    )
    assert talk.answer == "Good day."
    said = [part.content for message in talk.input for part in message.parts if isinstance(part, Text)]
    assert said == ["Be brief.", "Hello?", "Good day."]
    assert b"UklGRg" not in kept.response_body
    given = httpx.post(
        f"{gateway.url}/v1/feedback",
        headers={"x-portkey-api-key": KEY},
        json={"trace_id": first["response_id"], "value": 1},
    )
    assert given.status_code == 200, given.text
    [entry] = query(gateway.database, "SELECT request_seq FROM feedback")
    assert entry["request_seq"] == first["seq"]


def test_responses_over_a_websocket_by_openais_client(gateway: RunningGateway) -> None:
    client = OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)
    with client.responses.connect(extra_headers={"x-portkey-trace-id": "written"}) as session:
        session.response.create(model="gpt-5", input="Ada")
        done = next(event for event in session if event.type == "response.completed")
    row, connection = rows_of(gateway, "written", 2)
    assert done.response.id == row["response_id"]
    assert (row["endpoint"], row["model"], row["cost_nanousd"]) == ("responses", "gpt-5", 62_500)
    assert (row["status"], row["is_stream"], row["finish_reason"]) == (101, 1, "completed")
    assert connection["response_size"] > row["response_size"] / 2 > 0


def test_compressed_messages_and_a_key_among_the_subprotocols(
    gateway: RunningGateway, provider: WebSocketProvider
) -> None:
    url = f"ws://127.0.0.1:{gateway.port}/v1/responses"
    # As from a browser, which sends no header of its own.
    with connect(url, subprotocols=["realtime", KEY_PROTOCOL]) as session:  # type: ignore[list-item]
        assert session.subprotocol == "realtime"
        assert session.response is not None
        assert session.response.headers["sec-websocket-extensions"].startswith("permessage-deflate")
        for name in ("Ada", "Bea", "Cyd"):
            send(session, type="response.create", model="gpt-5", input=name)
            assert receive_until(session, "response.completed")["response"]["output"][0]["content"][0][
                "text"
            ].endswith(name)
        send(session, type="close", code=4001, reason="enough")
        assert close_of(session) == (4001, "enough")
        trace = trace_of(session)
    *responses, connection = rows_of(gateway, trace, 4)
    assert [asked_in(gateway, row) for row in responses] == [
        "Ada", "Bea", "Cyd",
    ]  # fmt: skip
    assert (connection["finish_reason"], connection["note"]) == ("closed:4001", "closed by the provider")
    asked = provider.requests[-1].headers
    assert asked["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert asked["sec-websocket-protocol"] == "realtime"
    folder = Path(gateway.folder)
    files = [*folder.glob("gateway.db*"), *folder.glob("gateway.db*/**/*")]
    stored = b"".join(file.read_bytes() for file in files if file.is_file())
    for secret in (KEY, PROVIDER_KEY):
        assert secret.encode() not in stored
        assert secret not in gateway.log()


def test_cut_and_failed_responses_say_so(gateway: RunningGateway) -> None:
    with open_socket(gateway) as session:
        send(session, type="response.create", model="gpt-5", input="x", metadata={"cut": "yes"})
        receive_until(session, "response.output_text.delta")
        assert close_of(session) == (1011, "broken")
        trace = trace_of(session)
    cut, _ = rows_of(gateway, trace, 2)
    assert (cut["outcome"], cut["note"]) == ("upstream_truncated", "the stream ended early")


def test_a_refusal_and_a_provider_without_websockets(gateway: RunningGateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        open_socket(gateway, "/v1/realtime?model=refused", fields={"x-portkey-trace-id": "refused"})
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body or b"")["error"]["message"] == "no such model"
    [row] = rows_of(gateway, "refused", 1)
    assert (row["status"], row["endpoint"]) == (404, "realtime")
    with pytest.raises(InvalidStatus) as plain:
        open_socket(gateway, "/plain/v1/realtime")
    assert plain.value.response.status_code == 426
    with pytest.raises(InvalidStatus) as keyless:
        connect(f"ws://127.0.0.1:{gateway.port}/v1/realtime")
    assert keyless.value.response.status_code == 401


def test_a_route_takes_the_target_that_relays_websockets(gateway: RunningGateway) -> None:
    with open_socket(gateway, fields={"x-portkey-config": "spare"}) as session:
        send(session, type="hello")
        assert receive_until(session, "echo")["of"] == {"type": "hello"}
        trace = trace_of(session)
    failed, connection = rows_of(gateway, trace, 2)
    assert (failed["provider"], failed["outcome"]) == ("plain", "upstream_error")
    assert (connection["provider"], connection["outcome"]) == ("up", "complete")


def test_a_slow_reader_stops_the_provider_and_a_silent_connection_ends(
    gateway: RunningGateway, provider: WebSocketProvider
) -> None:
    before = provider.flooded_bytes
    with open_socket(
        gateway, "/impatient/v1/responses", max_queue=1, max_size=None, compression=None
    ) as session:
        send(session, type="flood", pieces=1000)
        trace = trace_of(session)
        # The client reads nothing, so the connection ends.
        [row] = rows_of(gateway, trace, 1)
        assert (row["outcome"], row["error"]) == ("timeout", "nothing was sent for 0.3 s.")
    # What kernel and gateway keep between them.
    assert provider.flooded_bytes - before < 200 * len(FLOOD_PIECE)
    with open_socket(gateway, "/impatient/v1/responses") as session:
        assert close_of(session) == (1001, "idle")


def test_many_sessions_leave_nothing_behind(gateway: RunningGateway) -> None:
    def files() -> int:
        return len(os.listdir(f"/proc/{gateway.pid}/fd"))

    before = files()
    sessions = [open_socket(gateway) for _ in range(60)]
    for session in sessions:
        send(session, type="hello")
    for session in sessions:
        receive_until(session, "echo")
    for session in sessions[:30]:
        session.close()
    for session in sessions[30:]:
        # Without a Close frame.
        session.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: files() <= before + 2)


def test_a_gateway_that_stops_says_so(provider: WebSocketProvider, tmp_path: Path) -> None:
    with RunningGateway(tmp_path, config_for(provider, drain_seconds=0.2)) as gateway:
        with open_socket(gateway) as session:
            send(session, type="hello")
            receive_until(session, "echo")
            gateway.signal(signal.SIGTERM)
            assert close_of(session) == (1001, "the gateway was stopped")
            trace = trace_of(session)
        gateway.wait()
        [row] = query(gateway.database, "SELECT * FROM requests WHERE trace_id = ?", trace)
        assert (row["finish_reason"], row["outcome"]) == ("closed:1001", "gateway_error")
        eventually(lambda: 1001 in provider.close_codes)
