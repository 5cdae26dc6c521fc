"""Server-sent events: a response that lasts, with keep-alives, until its source ends or its key is revoked."""

import asyncio
from collections.abc import Callable, Mapping
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
_KEEPALIVE = b": no new requests\n\n"
_RESET = b"event: reset\ndata: {}\n\n"
_HEADERS: Mapping[str, str] = {
    **NO_STORE,
    "X-Content-Type-Options": "nosniff",
    "Content-Type": EVENT_STREAM,
    # Else nginx keeps events back until a buffer is full.
    "X-Accel-Buffering": "no",
}


class EventSource(Protocol):
    """Gives events, rendered; `was_away` if some before them are left out."""

    was_away: bool

    async def next(self) -> bytes | None:
        """Return the events of each tick, often none; None when there will be no more."""


def render_event(kind: str, event_id: int, data: bytes) -> bytes:
    """Return an event whose data is one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event_id, kind.encode(), data)


def last_event_id(request: web.BaseRequest, otherwise: int | None) -> int | None:
    """Return the id that a caller goes on after. Raises BadInput."""
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return otherwise
    if not (given.isascii() and given.isdecimal() and len(given) <= 18):
        raise BadInput("must be the id of an event.", field="Last-Event-ID")
    return int(given)


async def send_events(
    request: web.Request,
    listening: AbstractAsyncContextManager[EventSource],
    is_allowed: Callable[[], bool],
) -> web.StreamResponse:
    """Send events until there are no more; `is_allowed` is asked at each tick."""
    response = web.StreamResponse(headers=_HEADERS)
    if request.method == "HEAD":
        await response.prepare(request)
        return response
    is_whole = False
    async with listening as source:
        await response.prepare(request)
        is_whole = await _send(response, source, is_allowed)
    if not is_whole and request.transport is not None:
        # It does not take what was sent, so it would not take an end either.
        request.transport.abort()
    return response


async def _send(response: web.StreamResponse, source: EventSource, is_allowed: Callable[[], bool]) -> bool:
    """Tell whether all that was to be sent has been taken."""
    loop = asyncio.get_running_loop()
    data: bytes | None = _RECONNECT + (_RESET if source.was_away else b"")
    sent_at = loop.time()
    while data is not None and is_allowed():
        if not data and loop.time() - sent_at >= KEEPALIVE_SECONDS:
            data = _KEEPALIVE
        if data:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await response.write(data)
            except TimeoutError:
                return False
            sent_at = loop.time()
        data = await source.next()
    return True
