"""The way there: a caller's body, whole where it is short, in pieces as they come where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.errors import CallerTimeout
from gateway.recording.capture import BodyCapture

WHOLE_BYTES = 64 * 1024
"""A body announced as no longer than this is read before the provider is called: it then goes out with the head
in one piece, and can go out again should a kept connection turn out to be dead."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_request_body(
    request: web.BaseRequest, capture: BodyCapture, patience_seconds: float, *, is_held: bool = False
) -> bytes | AsyncIterator[bytes]:
    """Return the body of a request, or an iterator over its pieces; either is noted as it passes.

    Args:
        patience_seconds: how long the caller may take for each piece.
        is_held: whether it is wanted whole, however long it is.

    Raises, as the iterator does:
        ConnectionError: the caller has gone.
        CallerTimeout: it sends nothing any more.
    """
    if not request.body_exists:
        return b""
    length = request.content_length
    if is_held:
        return b"".join([piece async for piece in _pieces(request, capture, patience_seconds)])
    if length is None or length > WHOLE_BYTES:
        return _pieces(request, capture, patience_seconds)
    body = b""
    while piece := await _read_piece(request, patience_seconds):
        capture.add(piece)
        body = body + piece if body else piece
    return body


async def _pieces(
    request: web.BaseRequest, capture: BodyCapture, patience_seconds: float
) -> AsyncIterator[bytes]:
    while piece := await _read_piece(request, patience_seconds):
        capture.add(piece)
        yield piece


async def _read_piece(request: web.BaseRequest, patience_seconds: float) -> bytes:
    try:
        if request.content.is_eof():
            # All of it has come with the head, as nearly always: then there is nothing to wait for.
            return await request.content.readany()
        async with asyncio.timeout(patience_seconds):
            return await request.content.readany()
    except TimeoutError:
        raise CallerTimeout(
            f"no more of the body came within {patience_seconds:g} seconds.",
            hint="Send it without such pauses; server.read_timeout says how long they may be.",
        ) from None
    except web.RequestPayloadError as error:
        raise ConnectionResetError("the caller broke off its request") from error


def allow_body(request: web.BaseRequest) -> None:
    """Tell a caller that waits for it to send its body, if its HTTP knows of this (RFC 9110, section 10.1.1)."""
    if request.transport is not None and request.version >= (1, 1):
        request.transport.write(CONTINUE)
