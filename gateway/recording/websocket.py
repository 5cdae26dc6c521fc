"""What is logged of a WebSocket connection: a row for each response, and one for the connection itself."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import orjson
import structlog

from gateway.models.clock import now_us
from gateway.models.exchange import Exchange, Outcome, RawHeaders, first_value
from gateway.models.ids import new_id
from gateway.recording.capture import Capture
from gateway.wire.openai_realtime import CONNECTION_CLOSED, CONNECTION_ENDPOINT
from gateway.wire.websocket_frames import (
    NO_CLOSE_FRAME,
    CloseFrame,
    FrameReader,
    MessageInflater,
    TextMessage,
    read_compression,
)
from gateway.wire.websocket_responses import SocketResponse, SocketResponses

log = structlog.get_logger("gateway.recording")

# What was forwarded and is not looked into yet is looked into at once beyond this.
MAX_WAITING_BYTES = 1024 * 1024

_EVENT_STREAM: RawHeaders = ((b"content-type", b"text/event-stream"),)
_JSON: RawHeaders = ((b"content-type", b"application/json"),)


class Side(StrEnum):
    """An end of the connection."""

    CLIENT = "client"
    PROVIDER = "provider"
    GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class _Closing:
    by: Side
    code: int
    reason: str


class WebSocketObserver:
    """Reads what was forwarded in both directions, and records what it means.

    Args:
        capture: of the request that opened the connection.
        record: takes each row.
    """

    def __init__(self, capture: Capture, record: Callable[[Exchange], None]) -> None:
        self._capture = capture
        self._record = record
        self._loop = asyncio.get_running_loop()
        compression = read_compression(first_value(capture.response_headers, b"sec-websocket-extensions"))
        resets = {Side.CLIENT: compression.resets_of_client, Side.PROVIDER: compression.resets_of_server}
        self._readers = {
            side: FrameReader(
                MessageInflater(resets=resets[side]) if compression.is_on else None,
                reads_messages=compression.is_known,
            )
            for side in resets
        }
        self._bytes = dict.fromkeys(resets, 0)
        self._responses = SocketResponses(is_realtime=capture.endpoint == "realtime")
        self._response_count = 0
        self._waiting: deque[tuple[Side, bytes]] = deque()
        self._waiting_bytes = 0
        self._is_scheduled = False
        self._closing: _Closing | None = None

    def forwarded(self, side: Side, data: bytes) -> None:
        """Take note of bytes that came from one side; they are looked into later."""
        self._bytes[side] += len(data)
        self._waiting.append((side, data))
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self.catch_up()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._on_turn)

    def catch_up(self) -> None:
        """Look into all that was forwarded."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        for side, data in waiting:
            for found in self._readers[side].feed(data):
                if isinstance(found, CloseFrame):
                    self._note_close(side, found)
                else:
                    self._read_message(side, found)

    def is_between_frames(self, side: Side) -> bool:
        """Tell whether a frame can follow what has come from a side, once it was caught up with."""
        return self._readers[side].is_between_frames

    def close(self, ended_by: Side, outcome: Outcome, error: str | None = None) -> None:
        """Record what is left, and the connection; `outcome` holds where no Close frame came."""
        self.catch_up()
        if self._closing is not None and self._closing.by is not Side.GATEWAY:
            outcome, error = Outcome.COMPLETE, None
        for response in self._responses.close():
            cut_by = Outcome.CLIENT_CLOSED if ended_by is Side.CLIENT else Outcome.UPSTREAM_TRUNCATED
            self._record_response(response, cut_by)
        closing = self._closing or _Closing(ended_by, NO_CLOSE_FRAME, "")
        exchange = self._capture.close(outcome, error)
        self._record(
            replace(
                exchange,
                endpoint=CONNECTION_ENDPOINT,
                request_size=self._bytes[Side.CLIENT],
                response_body=self._summary(closing),
                response_size=self._bytes[Side.PROVIDER],
                response_headers=(*exchange.response_headers, *_JSON),
            )
        )

    def note_own_close(self, code: int, reason: str) -> None:
        """Take note of a Close frame of the gateway's own."""
        if self._closing is None:
            self._closing = _Closing(Side.GATEWAY, code, reason)

    def _on_turn(self) -> None:
        self._is_scheduled = False
        self.catch_up()

    def _note_close(self, side: Side, frame: CloseFrame) -> None:
        # The answer to a Close frame repeats it.
        if self._closing is None:
            self._closing = _Closing(side, frame.code, frame.reason.decode("utf-8", "replace"))

    def _read_message(self, side: Side, message: TextMessage) -> None:
        try:
            if side is Side.CLIENT:
                self._responses.take_from_client(message.data, now_us())
            elif (found := self._responses.take_from_server(message.data, now_us())) is not None:
                self._record_response(found, Outcome.COMPLETE)
        except Exception:
            # Whatever it holds, the connection goes on, and the messages after it are read.
            log.exception("websocket message could not be read", request_id=self._capture.identity.request_id)

    def _record_response(self, response: SocketResponse, outcome: Outcome) -> None:
        self._response_count += 1
        capture, limit = self._capture, self._capture.limit_bytes
        self._record(
            Exchange(
                identity=replace(capture.identity, request_id=new_id()),
                provider=capture.provider,
                endpoint=capture.endpoint,
                method=capture.method,
                path=capture.path,
                started_at_us=response.started_at_us,
                ended_at_us=now_us(),
                outcome=outcome,
                tenant=capture.tenant,
                key_name=capture.key_name,
                first_byte_at_us=response.first_event_at_us,
                status=capture.status,
                attempt=capture.attempt,
                payloads=capture.payloads,
                opt_out=capture.opt_out,
                request_headers=capture.request_headers,
                request_body=response.request[:limit],
                request_size=len(response.request),
                response_headers=_EVENT_STREAM,
                response_body=response.events[:limit],
                response_size=len(response.events),
            )
        )

    def _summary(self, closing: _Closing) -> bytes:
        known = {
            "type": CONNECTION_CLOSED,
            "closed_by": closing.by,
            "code": closing.code,
            "reason": closing.reason,
            "responses": self._response_count,
        }
        faults = {side: reader.fault for side, reader in self._readers.items() if reader.fault is not None}
        passed_over = sum(reader.messages_passed_over for reader in self._readers.values())
        if faults:
            known["not_read"] = faults
        if passed_over:
            known["messages_passed_over"] = passed_over
        return orjson.dumps(known)
