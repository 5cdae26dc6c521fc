"""WebSockets: the handshake with client and provider, and the tunnel of raw bytes between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp.http import StreamWriter

from gateway.errors import UpgradeNotSupported
from gateway.models.exchange import Outcome, RawHeaders, first_value
from gateway.models.principal import KEY_PROTOCOL, PROTOCOL_HEADER
from gateway.proxy.call import Call
from gateway.proxy.credentials import FindGatewayCredentials
from gateway.proxy.request import IncomingRequest
from gateway.proxy.request_head import response_headers
from gateway.recording.websocket import Side, WebSocketObserver
from gateway.routing.plan import Plan
from gateway.routing.providers import Provider
from gateway.upstream.errors import ExchangeFailed
from gateway.upstream.request import Alarm, OutgoingRequest
from gateway.upstream.response import Response
from gateway.upstream.websocket import (
    LINGER_SECONDS,
    UpstreamWebSocket,
    open_websocket,
    set_user_timeout,
)
from gateway.wire.websocket_frames import GOING_AWAY, encode_close

_PROTOCOL_FIELD = PROTOCOL_HEADER.lower().encode()
_KEY_PROTOCOL = KEY_PROTOCOL.encode()
_SWITCH: RawHeaders = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))

_SHUTDOWN = "the gateway was stopped"


def refuse_plain(plan: Plan, request: IncomingRequest) -> None:
    """Raise UpgradeNotSupported unless a provider of the plan takes WebSockets and this asks for one."""
    if not any(target.provider.websocket for target in plan.targets):
        name = plan.target.provider.name
        raise UpgradeNotSupported(
            f"the gateway does not relay WebSockets to {name!r}.",
            hint=f"Set websocket: true at providers.{name}, or make the call over HTTP, with stream: true for "
            "events as they come.",
        )
    options = first_value(request.raw_headers, b"connection").lower().split(b",")
    if b"upgrade" not in [option.strip() for option in options]:
        raise UpgradeNotSupported("Upgrade came without Connection: Upgrade.", field="Connection")


@dataclass(frozen=True, slots=True)
class OfferedProtocols:
    """The subprotocols that a client offers.

    Args:
        forwarded: those for the provider.
        own_keys: keys among them that are for the provider.
    """

    offered: tuple[bytes, ...]
    forwarded: tuple[bytes, ...]
    own_keys: tuple[bytes, ...]

    @classmethod
    def of(cls, headers: RawHeaders, find: FindGatewayCredentials) -> OfferedProtocols:
        values = [value for name, value in headers if name.lower() == _PROTOCOL_FIELD]
        offered = tuple(filter(None, (each.strip() for value in values for each in value.split(b","))))
        keys = [each.removeprefix(_KEY_PROTOCOL) for each in offered if each.startswith(_KEY_PROTOCOL)]
        ours = find(keys)
        forwarded = tuple(each for each in offered if each.removeprefix(_KEY_PROTOCOL) not in ours)
        return cls(offered, forwarded, tuple(key for key in keys if key not in ours))

    def upgrade(self, fields: RawHeaders) -> RawHeaders:
        """Return the fields of a request for a WebSocket: with the subprotocols, and those of the connection."""
        offers = ((_PROTOCOL_FIELD, b", ".join(self.forwarded)),) if self.forwarded else ()
        return (*fields, *offers, *_SWITCH)


async def open_for(call: Call, request: OutgoingRequest, provider: Provider) -> Response:
    """Open the WebSocket of a call; return the answer, which may be a refusal. Raises UpstreamError."""
    if not provider.websocket:
        # Another target of the route may.
        raise ExchangeFailed(f"{provider.name} has no websocket: true.", "connect")
    opened, response = await open_websocket(request, provider.origin, provider.timeouts)
    if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
        call.websocket = opened
    return response


def encode_switch(
    request: IncomingRequest, response: Response, own_fields: bytes, find: FindGatewayCredentials
) -> bytes:
    """Return the head of the 101 for the client, without a subprotocol that it has not offered."""
    offered = OfferedProtocols.of(request.raw_headers, find).offered
    fields = [
        (name, text)
        for name, text in response_headers(response.headers)
        if name.lower() != _PROTOCOL_FIELD or text.strip() in offered
    ]
    lines = [b"HTTP/1.1 %d %b" % (response.status, response.reason), *map(b": ".join, (*fields, *_SWITCH))]
    return b"\r\n".join([*lines, own_fields, b"\r\n"])


class Tunnel:
    """Passes bytes between a client and a provider, and ends with either of them.

    Neither is read while the other one takes nothing, so that little is kept here. What is silent for as long as
    the provider's `timeouts.idle` is ended.
    """

    def __init__(
        self,
        request: IncomingRequest,
        upstream: UpstreamWebSocket,
        observer: WebSocketObserver,
    ) -> None:
        transport = request.transport
        assert transport is not None
        self._client = request.protocol
        self._transport = transport
        self._upstream = upstream
        self._observer = observer
        self._idle_seconds = upstream.idle_seconds
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[tuple[Side, Outcome, str | None]] = self._loop.create_future()
        self._alarm = Alarm(self._loop, self._on_idle)
        self._is_client_read = True
        self._draining: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Return once the connection has ended, and its rows are recorded. Raises CancelledError."""
        self._touch()
        set_user_timeout(self._transport, self._idle_seconds)
        self._client.keep_alive(False)
        # aiohttp's own way of giving a connection to another protocol. What has come behind the head comes first.
        self._client.set_parser(_ClientBytes(self))  # type: ignore[arg-type]
        self._upstream.start(self)
        self._upstream.set_reading(wants_more=True)
        try:
            by, outcome, error = await self._ended
        except asyncio.CancelledError:
            if self._transport.is_closing():
                self._observer.close(Side.CLIENT, Outcome.CLIENT_CLOSED)
            else:
                self._send_close(_SHUTDOWN)
                self._observer.close(Side.GATEWAY, Outcome.GATEWAY_ERROR, f"{_SHUTDOWN}.")
            raise
        else:
            self._observer.close(by, outcome, error)
        finally:
            self._close()

    # The client's side

    def on_client_data(self, data: bytes) -> None:
        self._touch()
        self._upstream.write(data)
        self._observer.forwarded(Side.CLIENT, data)
        if self._upstream.is_writing_paused and self._is_client_read:
            self._is_client_read = False
            self._transport.pause_reading()

    def on_client_closed(self) -> None:
        self._finish(Side.CLIENT, Outcome.CLIENT_CLOSED)

    async def _wait_for_client(self) -> None:
        with contextlib.suppress(ConnectionError):
            await StreamWriter(self._client, self._loop).drain()
        self._draining = None
        self._touch()
        self._upstream.set_reading(wants_more=True)

    # The provider's side

    def on_provider_data(self, data: bytes) -> None:
        self._touch()
        if self._transport.is_closing():
            return
        self._transport.write(data)
        self._observer.forwarded(Side.PROVIDER, data)
        if self._client.writing_paused and self._draining is None:
            self._upstream.set_reading(wants_more=False)
            self._draining = self._loop.create_task(self._wait_for_client())

    def on_provider_writable(self) -> None:
        if not self._is_client_read and not self._transport.is_closing():
            self._is_client_read = True
            self._touch()
            self._transport.resume_reading()

    def on_provider_closed(self) -> None:
        self._finish(Side.PROVIDER, Outcome.UPSTREAM_TRUNCATED)

    # The end

    def _touch(self) -> None:
        self._alarm.set(self._loop.time() + self._idle_seconds)

    def _on_idle(self) -> None:
        error = f"nothing was sent for {self._idle_seconds:g} s."
        self._send_close("idle")
        self._finish(Side.GATEWAY, Outcome.TIMEOUT, error)

    def _finish(self, by: Side, outcome: Outcome, error: str | None = None) -> None:
        if not self._ended.done():
            self._ended.set_result((by, outcome, error))

    def _send_close(self, reason: str) -> None:
        # Inside of a frame it would be taken for a part of it: there the connections just end.
        observer, text = self._observer, reason.encode()
        observer.catch_up()
        if observer.is_between_frames(Side.PROVIDER) and not self._transport.is_closing():
            self._transport.write(encode_close(GOING_AWAY, text))
        if observer.is_between_frames(Side.CLIENT):
            self._upstream.write(encode_close(GOING_AWAY, text, mask=os.urandom(4)))
        observer.note_own_close(GOING_AWAY, reason)

    def _close(self) -> None:
        self._alarm.stop()
        if self._draining is not None:
            self._draining.cancel()
        self._upstream.close()
        if not self._transport.is_closing():
            self._transport.close()
        # A client that takes nothing any more is not waited for.
        self._loop.call_later(LINGER_SECONDS, self._transport.abort)


class _ClientBytes:
    # What aiohttp takes for a parser of what follows an upgrade.

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._tunnel.on_client_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._tunnel.on_client_closed()

    def set_exception(self, error: BaseException, cause: Any = None) -> None:
        self._tunnel.on_client_closed()
