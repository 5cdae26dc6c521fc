"""Request body: read whole or streamed, and the provider that its model names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import orjson
from aiohttp import web

from gateway.recording.capture import BodyCapture
from gateway.web.bodies import read_chunk
from gateway.wire.json_fields import has_too_many_values

MAX_BUFFERED_BYTES = 64 * 1024
"""A body announced as no longer than this is read before the provider is called: it then goes out with the head
in one piece, and can go out again should a kept connection turn out to be dead."""

MAX_EDITED_BYTES = 8 * 1024 * 1024
"""Longest body that is read whole where the configuration asks for a change of it (`include_usage`)."""

CONTINUE_RESPONSE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read_request_body(
    request: web.BaseRequest,
    capture: BodyCapture,
    body_timeout_seconds: float,
    buffer_bytes: int = MAX_BUFFERED_BYTES,
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
    if buffer_bytes > MAX_BUFFERED_BYTES and (length is None or MAX_BUFFERED_BYTES < length <= buffer_bytes):
        return await _buffer(_stream_pieces(request, capture, body_timeout_seconds), buffer_bytes)
    if length is None or length > MAX_BUFFERED_BYTES:
        return _stream_pieces(request, capture, body_timeout_seconds)
    body = b""
    while piece := await _read_piece(request, body_timeout_seconds):
        capture.add(piece)
        body = body + piece if body else piece
    return body


async def _buffer(pieces: AsyncIterator[bytes], most: int) -> bytes | AsyncIterator[bytes]:
    """Return a body whole; where it is longer than it may be, what has come of it and the rest in pieces."""
    buffered = bytearray()
    async for piece in pieces:
        buffered += piece
        if len(buffered) > most:
            return _chain(bytes(buffered), pieces)
    return bytes(buffered)


async def _chain(begun: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield begun
    async for piece in rest:
        yield piece


async def _stream_pieces(
    request: web.BaseRequest, capture: BodyCapture, body_timeout_seconds: float
) -> AsyncIterator[bytes]:
    while piece := await _read_piece(request, body_timeout_seconds):
        capture.add(piece)
        yield piece


async def _read_piece(request: web.BaseRequest, body_timeout_seconds: float) -> bytes:
    try:
        return await read_chunk(request, body_timeout_seconds)
    except web.RequestPayloadError as error:
        raise ConnectionResetError("the caller broke off its request") from error


def send_continue(request: web.BaseRequest) -> None:
    """Tell a caller that waits for it to send its body, if its HTTP knows of this (RFC 9110, section 10.1.1)."""
    if request.transport is not None and request.version >= (1, 1):
        request.transport.write(CONTINUE_RESPONSE)


PREFIX_MARK = b'"@'
"""What a body holds whose model names a provider, and most others do not."""

MAX_INSPECTED_BYTES = 4 * 1024 * 1024
"""Longest body that is looked into. JSON up to this size is read whole before the provider is called."""

_PREFIXED = re.compile(r"@([^/]+)/(?=.)", re.DOTALL)
_PREFIX_AS_SENT = re.compile(rb'"@[^/"]+?\\?/')
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_IS_KEY = re.compile(rb"\s*:\s*")


def is_inspectable(request: web.BaseRequest) -> bool:
    """Tell by a request's head whether a long body may be looked into, were it there whole: it is JSON, not
    compressed, and of a known length up to `MAX_BYTES`."""
    length, fields = request.content_length, request.headers
    return (
        length is not None
        and MAX_BUFFERED_BYTES < length <= MAX_INSPECTED_BYTES
        and "json" in fields.get("Content-Type", "").lower()
        and "Content-Encoding" not in fields
    )


def provider_in_model(body: bytes) -> str | None:
    """Return the NAME of the model `@NAME/MODEL` that a JSON body asks for; None if it asks for none such."""
    # Most bodies have no such character at all, and one is found several times as fast as two.
    if b"@" not in body or PREFIX_MARK not in body or has_too_many_values(body):
        return None
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    model = asked.get("model") if isinstance(asked, dict) else None
    found = _PREFIXED.match(model) if isinstance(model, str) else None
    return None if found is None else found[1]


def without_model_prefix(body: bytes) -> bytes:
    """Return the bytes of a JSON body whose model has such a prefix, without it and otherwise as they are."""
    # Of a key that is there twice the last counts, as with most parsers.
    at = max(_model_positions(body), default=len(body))
    found = _PREFIX_AS_SENT.match(body, at)
    return body if found is None else body[: at + 1] + body[found.end() :]


def _model_positions(body: bytes) -> Iterator[int]:
    """Where the values of the outermost object's `model` begin."""
    depth = 0
    for token in _TOKEN.finditer(body):
        opening = token[0][:1]
        if opening in b"{[":
            depth += 1
        elif opening in b"}]":
            depth -= 1
        elif depth == 1 and token[0] == b'"model"' and (colon := _IS_KEY.match(body, token.end())):
            yield colon.end()
