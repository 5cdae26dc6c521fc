"""The end of an answer waits for its row; of several targets each attempt leaves one, the last answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.app import WorkerContext
from gateway.config import Config
from gateway.models.exchange import Exchange
from gateway.recording.recorder import Recorder
from gateway.server.http_server import open_http_server
from gateway.server.ingestion import open_ingestion
from gateway.server.listeners import bind, listener_url
from tests import log_reader
from tests.gateway_fixtures import closed_port
from tests.raw_http import LAST_CHUNK, Connection, chunk, request
from tests.scripted_upstream import EVENT_STREAM, READ, UpstreamProcess, head, send, wait
from tests.upstream_server import Step

TRACE = {"x-portkey-trace-id": "attempts"}
SHORT, LONG = b'{"model":"m"}', b"x" * 3_000_000

HELD_SECONDS = 0.3
"""How long to listen for an end that must not come."""
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture
async def fallback_url(upstream: UpstreamProcess, tmp_path: Path) -> AsyncIterator[str]:
    """A gateway with a provider that refuses connections, and one that answers."""
    config = Config.model_validate(
        {
            "server": {"port": 0},
            "storage": {"url": f"sqlite:///{tmp_path / 'gateway.db'}"},
            "default_provider": "up",
            "providers": {
                "down": {"base_url": f"http://127.0.0.1:{closed_port()}/v1", "payloads": "off"},
                "up": {"base_url": f"{upstream.url}/v1"},
            },
        }
    )
    async with (
        open_ingestion(config) as (journal, _),
        open_http_server(config, WorkerContext(journal)) as http_server,
    ):
        listeners = bind("127.0.0.1", 0)
        await http_server.accept(listeners)
        yield listener_url("127.0.0.1", listeners)


async def call(url: str, body: bytes, provider: str = "up") -> httpx.Response:
    targets = [{"provider": "down"}, {"provider": provider}]
    config = json.dumps({"strategy": {"mode": "fallback"}, "targets": targets})
    headers = {**TRACE, "x-portkey-config": config}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{url}/v1/chat/completions", content=body, headers=headers)


@pytest.mark.parametrize("body", [SHORT, LONG])
async def test_a_request_whose_first_target_fails_goes_to_the_next_with_its_whole_body(
    fallback_url: str, tmp_path: Path, body: bytes
) -> None:
    response = await call(fallback_url, body)
    assert (response.status_code, response.headers["x-portkey-provider"]) == (200, "up")
    assert response.json()["size"] == len(body)
    failed, served = await asyncio.to_thread(log_reader.rows, tmp_path / "gateway.db", "attempts")
    assert (failed["attempt"], failed["provider"], failed["status"]) == (0, "down", 502)
    assert (failed["outcome"], served["outcome"]) == ("upstream_error", "complete")
    assert (served["attempt"], served["provider"], served["status"]) == (1, "up", 200)
    assert failed["request_id"] == served["request_id"] == response.headers["x-gateway-request-id"]
    assert "refused" in failed["error"]
    assert served["error"] is None
    assert failed["started_at_us"] <= failed["ended_at_us"] <= served["started_at_us"]
    assert log_reader.payload(tmp_path / "gateway.db", failed["seq"]) is None
    kept = log_reader.payload(tmp_path / "gateway.db", served["seq"])
    assert kept is not None
    assert served["request_size"] == len(body)


async def test_when_every_target_fails_the_last_one_s_error_is_the_response(
    fallback_url: str, tmp_path: Path
) -> None:
    response = await call(fallback_url, SHORT, provider="down")
    assert response.status_code == 502
    rows = await asyncio.to_thread(log_reader.rows, tmp_path / "gateway.db", "attempts")
    assert [(row["attempt"], row["outcome"]) for row in rows] == [
        (0, "upstream_error"),
        (1, "upstream_error"),
    ]


@pytest.fixture
def journal_gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Rows go into the journal once this is set."""
    gate, record = threading.Event(), Recorder.record

    async def record_once_open(recorder: Recorder, exchange: Exchange) -> None:
        await asyncio.to_thread(gate.wait)
        await record(recorder, exchange)

    monkeypatch.setattr(Recorder, "record", record_once_open)
    yield gate
    gate.set()


@pytest.mark.parametrize("events", [[b"data: a\n\n", b"data: [DONE]\n\n"], [b"data: only\n\n"]])
async def test_the_end_of_a_stream_is_held_back_until_its_row_is_journaled(
    fallback_url: str, upstream: UpstreamProcess, journal_gate: threading.Event, events: list[bytes]
) -> None:
    end = send(b"".join([*map(chunk, events), LAST_CHUNK]))
    script = [READ, head(b"200 OK", EVENT_STREAM, CHUNKED), wait(gate := upstream.name()), end]

    def call_and_listen(caller: Connection) -> None:
        caller.head()
        upstream.open(gate)
        received = b""
        while len(received) < len(b"".join(events)):
            received += caller.chunk()
        assert received == b"".join(events)
        assert caller.is_silent(HELD_SECONDS)
        journal_gate.set()
        assert caller.chunk() == b""

    await _listen(fallback_url, upstream, script, call_and_listen)


async def test_the_last_piece_of_a_sized_body_is_held_back_until_its_row_is_journaled(
    fallback_url: str, upstream: UpstreamProcess, journal_gate: threading.Event
) -> None:
    gate = upstream.name()
    script = [READ, head(b"200 OK", b"Content-Length: 6"), send(b"abc"), wait(gate), send(b"def")]

    def call_and_listen(caller: Connection) -> None:
        caller.head()
        assert caller.read(3) == b"abc"
        upstream.open(gate)
        assert caller.is_silent(HELD_SECONDS)
        journal_gate.set()
        assert caller.read(3) == b"def"

    await _listen(fallback_url, upstream, script, call_and_listen)


@pytest.mark.parametrize("body", [b"", b"all of it at once"])
async def test_a_short_answer_is_held_back_whole_until_its_row_is_journaled(
    fallback_url: str, upstream: UpstreamProcess, journal_gate: threading.Event, body: bytes
) -> None:
    script = [READ, send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)]

    def call_and_listen(caller: Connection) -> None:
        assert caller.is_silent(HELD_SECONDS)
        journal_gate.set()
        assert caller.response().body == body

    await _listen(fallback_url, upstream, script, call_and_listen)


async def _listen(
    url: str, upstream: UpstreamProcess, script: list[Step], listen: Callable[[Connection], None]
) -> None:
    """Call the provider that answers by a script, and listen in a thread of its own."""

    def call() -> None:
        with Connection(int(url.rpartition(":")[2])) as caller:
            caller.send(request(b"POST", b"/v1/chat/completions", upstream.script(*script)))
            listen(caller)

    await asyncio.to_thread(call)
