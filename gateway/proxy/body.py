"""The way there: a caller's body, whole where it is short, in pieces as they come where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from gateway.recording.capture import BodyCapture
from gateway.web.bodies import read_piece

WHOLE_BYTES = 64 * 1024
"""A body announced as no longer than this is read before the provider is called: it then goes out with the head
in one piece, and can go out again should a kept connection turn out to be dead."""

EDITED_BYTES = 8 * 1024 * 1024
"""Longest body that is read whole where the configuration asks for a change of it (`include_usage`)."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_request_body(
    request: web.BaseRequest, capture: BodyCapture, patience_seconds: float, held_bytes: int = WHOLE_BYTES
) -> bytes | AsyncIterator[bytes]:
    """Return the body of a request, or an iterator over its pieces; either is noted as it passes.

    Args:
        patience_seconds: how long the caller may take for each piece.
        held_bytes: up to what length it is wanted whole. One of unknown length is only if that is more than
            `WHOLE_BYTES`.

    Raises, as the iterator does:
        ConnectionError: the caller has gone.
        CallerTimeout: it sends nothing any more.
    """
    if not request.body_exists:
        return b""
    length = request.content_length
    if held_bytes > WHOLE_BYTES and (length is None or WHOLE_BYTES < length <= held_bytes):
        return await _held(_pieces(request, capture, patience_seconds), held_bytes)
    if length is None or length > WHOLE_BYTES:
        return _pieces(request, capture, patience_seconds)
    body = b""
    while piece := await _read_piece(request, patience_seconds):
        capture.add(piece)
        body = body + piece if body else piece
    return body


async def _held(pieces: AsyncIterator[bytes], most: int) -> bytes | AsyncIterator[bytes]:
    """Return a body whole; where it is longer than it may be, what has come of it and the rest in pieces."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) > most:
            return _with_rest(bytes(held), pieces)
    return bytes(held)


async def _with_rest(begun: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield begun
    async for piece in rest:
        yield piece


async def _pieces(
    request: web.BaseRequest, capture: BodyCapture, patience_seconds: float
) -> AsyncIterator[bytes]:
    while piece := await _read_piece(request, patience_seconds):
        capture.add(piece)
        yield piece


async def _read_piece(request: web.BaseRequest, patience_seconds: float) -> bytes:
    try:
        return await read_piece(request, patience_seconds)
    except web.RequestPayloadError as error:
        raise ConnectionResetError("the caller broke off its request") from error


def allow_body(request: web.BaseRequest) -> None:
    """Tell a caller that waits for it to send its body, if its HTTP knows of this (RFC 9110, section 10.1.1)."""
    if request.transport is not None and request.version >= (1, 1):
        request.transport.write(CONTINUE)
