"""The way there: a caller's body, whole where it is short, in pieces as they come where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from aiohttp import web

from gateway.recording.capture import BodyCapture
from gateway.web.bodies import read_piece

WHOLE_BYTES = 64 * 1024
"""A body announced as no longer than this is read before the provider is called: it then goes out with the head
in one piece, and can go out again should a kept connection turn out to be dead."""

EDITED_BYTES = 8 * 1024 * 1024
"""Longest body that is read whole where the configuration asks for a change of it."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_request_body(
    request: web.BaseRequest, capture: BodyCapture, patience_seconds: float
) -> bytes | AsyncIterator[bytes]:
    """Return the body of a request, or an iterator over its pieces; either is noted as it passes.

    Args:
        patience_seconds: how long the caller may take for each piece.

    Raises, as the iterator does:
        ConnectionError: the caller has gone.
        CallerTimeout: it sends nothing any more.
    """
    if not request.body_exists:
        return b""
    length = request.content_length
    if length is None or length > WHOLE_BYTES:
        return _pieces(request, capture, patience_seconds)
    body = b""
    while piece := await _read_piece(request, patience_seconds):
        capture.add(piece)
        body = body + piece if body else piece
    return body


async def read_body_to_edit(
    request: web.BaseRequest,
    capture: BodyCapture,
    patience_seconds: float,
    edit: Callable[[bytes], bytes | None],
) -> tuple[bytes | AsyncIterator[bytes], bool]:
    """Return the body of a request as an edit makes it, and whether it made another of it; what goes out is noted.

    Args:
        edit: returns the body that takes the caller's place; None where that stays. One that is longer than
            `EDITED_BYTES` is not shown to it.

    Raises: as `read_request_body` does.
    """
    length = request.content_length
    if not request.body_exists or (length is not None and length > EDITED_BYTES):
        return await read_request_body(request, capture, patience_seconds), False
    body = bytearray()
    try:
        while len(body) <= EDITED_BYTES and (piece := await _read_piece(request, patience_seconds)):
            body += piece
    except BaseException:
        capture.add(bytes(body))
        raise
    read = bytes(body)
    edited = None if len(read) > EDITED_BYTES else edit(read)
    capture.add(read if edited is None else edited)
    if len(read) > EDITED_BYTES:
        return _with_rest(read, _pieces(request, capture, patience_seconds)), False
    return (read, False) if edited is None else (edited, True)


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
