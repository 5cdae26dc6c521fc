"""Request body: streamed, buffered or replayed, and the provider that its model names."""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import IO

import orjson
from aiohttp import web

from gateway.proxy.request import IncomingRequest
from gateway.recording.capture import BodyCapture
from gateway.web.bodies import read_chunk
from gateway.wire.json_fields import has_too_many_values

# A body announced as no longer than this is read before the provider is called: it goes out with the head in one
# piece, and can go out again if a kept connection turns out to be dead.
MAX_BUFFERED_BYTES = 64 * 1024

# Longest body that is read whole where the configuration asks for a change of it (`include_usage`).
MAX_EDITED_BYTES = 8 * 1024 * 1024

# Longest JSON body that is read whole to see whether its model names a provider.
MAX_INSPECTED_BYTES = 4 * 1024 * 1024

# Longest body that is read whole for a route: to edit its parameters, to ask for them, or to know its session.
MAX_ROUTED_BYTES = 32 * 1024 * 1024

# What is kept for a replay beyond this goes to a temporary file.
MAX_REPLAY_MEMORY_BYTES = 1024 * 1024

_REPLAY_PIECE_BYTES = 64 * 1024


class RequestBody:
    """The body of a request: passed on as it comes, and kept for `replay` if `is_replayable`."""

    __slots__ = ("_capture", "_kept", "_lock", "_request", "_timeout_seconds", "_whole", "is_replayable")

    def __init__(
        self, request: IncomingRequest, capture: BodyCapture, timeout_seconds: float, *, is_replayable: bool
    ) -> None:
        self.is_replayable = is_replayable
        self._request = request
        self._capture = capture
        # For each piece.
        self._timeout_seconds = timeout_seconds
        self._whole: bytes | None = None
        self._kept: IO[bytes] | None = None

    async def read(self, buffer_bytes: int = MAX_BUFFERED_BYTES) -> bytes | AsyncIterator[bytes]:
        """Return the body whole if it is no longer than `buffer_bytes`, else its pieces as they come.

        Both ways raise ConnectionError if the caller has gone, and CallerTimeout.
        """
        length = self._request.content_length if self._request.has_body else 0
        # One of unknown length is buffered only where a change of it needs it whole.
        if (MAX_BUFFERED_BYTES + 1 if length is None else length) > buffer_bytes:
            return self._stream()
        content = self._request.content
        if length is not None and content.is_eof() and content.exception() is None:
            # Nearly always the body came with the head.
            whole = self._whole = content.read_nowait()
            if whole:
                self._capture.add(whole)
            return whole
        pieces: list[bytes] = []
        size = 0
        while piece := await self._read_piece():
            pieces.append(piece)
            size += len(piece)
            if size > buffer_bytes:
                return self._stream(pieces)
        self._whole = b"".join(pieces)
        return self._whole

    def replay(self) -> bytes | AsyncIterator[bytes]:
        """Return the body from its beginning again; what was not read yet is read from the caller."""
        return self._whole if self._whole is not None else self._stream()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def _stream(self, begun: Sequence[bytes] = ()) -> AsyncIterator[bytes]:
        if not self.is_replayable:
            return self._pieces(begun)
        if self._kept is None:
            # Only what is not there whole needs a place to be kept in.
            self._kept = tempfile.SpooledTemporaryFile(MAX_REPLAY_MEMORY_BYTES)  # noqa: SIM115  # see `close`
            self._lock = asyncio.Lock()
            self._kept.writelines(begun)
        return self._kept_pieces(self._kept)

    async def _pieces(self, begun: Sequence[bytes]) -> AsyncIterator[bytes]:
        for piece in begun:
            yield piece
        while piece := await self._read_piece():
            yield piece

    async def _kept_pieces(self, kept: IO[bytes]) -> AsyncIterator[bytes]:
        sent_bytes = 0
        while True:
            # An attempt that was given up a moment ago may still be reading: its piece comes first.
            async with self._lock:
                kept.seek(sent_bytes)
                piece = kept.read(_REPLAY_PIECE_BYTES) or await self._read_piece()
            if not piece:
                return
            sent_bytes += len(piece)
            yield piece

    async def _read_piece(self) -> bytes:
        try:
            piece = await read_chunk(self._request.content, self._timeout_seconds)
        except web.RequestPayloadError as error:
            raise ConnectionResetError("the caller broke off its request") from error
        if piece:
            self._capture.add(piece)
        if self._kept is not None:
            # On the event loop, as the kernel takes what is written into memory first.
            self._kept.seek(0, os.SEEK_END)
            self._kept.write(piece)
        return piece


def send_continue(request: IncomingRequest) -> None:
    """Answer `Expect: 100-continue`, unless the caller speaks HTTP/1.0 (RFC 9110, section 10.1.1)."""
    if request.transport is not None and request.version >= (1, 1):
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


# A body whose model names a provider holds this; most others do not.
PREFIX_MARK = b'"@'
_PREFIXED = re.compile(r"@([^/]+)/(?=.)", re.DOTALL)
_PREFIX_AS_SENT = re.compile(rb'"@[^/"]+?\\?/')
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_IS_KEY = re.compile(rb"\s*:\s*")


def is_inspectable(request: IncomingRequest) -> bool:
    length, fields = request.content_length, request.headers
    return (
        length is not None
        and MAX_BUFFERED_BYTES < length <= MAX_INSPECTED_BYTES
        and "json" in fields.get("Content-Type", "").lower()
        and "Content-Encoding" not in fields
    )


def provider_in_model(body: bytes) -> str | None:
    """Return NAME if the model in a JSON body is `@NAME/MODEL`, else None."""
    # Most bodies have no @ at all, and one character is found several times as fast as two.
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
    """Return a JSON body without `@NAME/` before its model, and otherwise byte for byte as it was."""
    # Of a key that is there twice the last counts, as with most parsers.
    at = max(_model_positions(body), default=len(body))
    found = _PREFIX_AS_SENT.match(body, at)
    return body if found is None else body[: at + 1] + body[found.end() :]


def _model_positions(body: bytes) -> Iterator[int]:
    depth = 0
    for token in _TOKEN.finditer(body):
        opening = token[0][:1]
        if opening in b"{[":
            depth += 1
        elif opening in b"}]":
            depth -= 1
        elif depth == 1 and token[0] == b'"model"' and (colon := _IS_KEY.match(body, token.end())):
            yield colon.end()
