"""Server-sent events: send what a listener receives until it ends, its key is revoked or it stops reading."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from aiohttp import web

from gateway.errors import BadInput
from gateway.web.endpoint import NO_STORE

EVENT_STREAM = "text/event-stream"

# Proxies close connections that are silent for longer, often after 30 s.
KEEPALIVE_SECONDS = 15.0

# How long a caller may take to receive what is sent at once.
WRITE_SECONDS = 15.0

_RECONNECT = b"retry: 2000\n\n"
_KEEPALIVE = b": nothing new\n\n"
_RESET = b"event: reset\ndata: {}\n\n"
_HEADERS = {
    **NO_STORE,
    "X-Content-Type-Options": "nosniff",
    "Content-Type": EVENT_STREAM,
    "X-Accel-Buffering": "no",
}


class Listener(Protocol):
    """Receives events."""

    # For so long that some were left out.
    was_away: bool

    async def next(self) -> bytes | None:
        """Return new events, perhaps none; None when there will be no more."""


async def send_events(
    request: web.Request, listening: AbstractAsyncContextManager[Listener], is_valid: Callable[[], bool]
) -> web.StreamResponse:
    """Answer with the events of a listener.

    Args:
        is_valid: tells before each write whether the caller may still read.
    """
    response = web.StreamResponse(headers=_HEADERS)
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    is_done = False
    async with listening as listener:
        await response.prepare(request)
        is_done = await _send_all(response, listener, is_valid)
    if not is_done and request.transport is not None:
        # It does not take what was sent, so it would not take an end either.
        request.transport.abort()
    return response


def last_event_id(request: web.Request) -> int | None:
    """Return the position of the last event that a client received before its connection ended."""
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) <= 18):
        raise BadInput("must be the id of an event.", field="Last-Event-ID")
    return int(given)


async def _send_all(response: web.StreamResponse, listener: Listener, is_valid: Callable[[], bool]) -> bool:
    loop = asyncio.get_running_loop()
    data: bytes | None = _RECONNECT + (_RESET if listener.was_away else b"")
    sent_at = 0.0
    while data is not None and is_valid():
        if not data and loop.time() - sent_at >= KEEPALIVE_SECONDS:
            data = _KEEPALIVE
        if data:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await response.write(data)
            except TimeoutError:
                return False
            sent_at = loop.time()
        data = await listener.next()
    return True
