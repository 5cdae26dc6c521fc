"""A provider's answer: its head at once, its body as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.models.exchange import RawHeaders
from gateway.upstream.errors import ExchangeFailed
from gateway.upstream.parser import ResponseHead

MAX_UNREAD_BYTES = 256 * 1024
"""How much of a body may lie unread before the upstream is made to wait."""


BodySink = Callable[[bytes], bool]
"""Takes a piece of a body; tells whether it wants more now."""


class BodySource(Protocol):
    """Where a response's body comes from while there is more of it."""

    def resume(self) -> None:
        """Go on: what had arrived has been read."""

    def drop(self) -> None:
        """Give up: nobody will read the rest."""


class Response(Protocol):
    """What a proxy relays, be it from a provider or from a cache: a head, and a body to be read once."""

    status: int
    reason: bytes
    headers: RawHeaders
    content_length: int | None

    @property
    def is_unread(self) -> bool:
        """Whether some of the body is there to be read."""

    def is_finished(self) -> bool:
        """Tell whether the body is complete and all of it has been read."""

    async def read(self) -> bytes:
        """Return all of the body that has arrived since the last call, at least one byte; b"" at the end."""

    async def forward_to(self, sink: BodySink) -> None:
        """Pass the body to `sink` as it arrives, until its end or until the sink wants no more for now."""

    def close(self) -> None:
        """Release what the response holds. May be called again."""


class UpstreamResponse:
    """The head of a response, and its body to be read by one reader.

    Header fields are all there, in order and spelling of the wire. `has_body` is False where none can follow
    (HEAD, 204, 304, content-length: 0). `content_length` is that of the body that follows, None if the wire
    does not tell it beforehand.
    """

    __slots__ = (
        "_arrival", "_failure", "_is_ended", "_pieces", "_sink", "_source", "_unread_bytes",
        "content_length", "has_body", "headers", "reason", "status",
    )  # fmt: skip

    def __init__(self, head: ResponseHead, source: BodySource) -> None:
        self.status, self.reason, self.headers, self.has_body, self.content_length = head
        self._source: BodySource | None = source
        self._pieces: list[bytes] = []
        self._unread_bytes = 0
        self._is_ended = False
        self._failure: Exception | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._sink: BodySink | None = None

    async def read(self) -> bytes:
        """Return all of the body that has arrived since the last call, at least one byte; b"" at the end.

        Raises:
            UpstreamError: the body broke off or is not framed as it should be.
            UpstreamTimeout: nothing came for too long, or the whole call takes too long.
        """
        if not self._pieces and not self._is_ended:
            await self._wait()
        if self._pieces:
            return self._take()
        if self._failure is not None:
            raise self._failure
        return b""

    async def forward_to(self, sink: BodySink) -> None:
        """Hand the body on from where it arrives, which spares a change of tasks for each piece. Returns at the
        body's end, or when the sink wants no more for now.

        Raises:
            UpstreamError, UpstreamTimeout: as `read` does.
            Exception: whatever the sink raises.
        """
        if self._pieces and not sink(self._take()):
            return
        if not self._is_ended:
            self._sink = sink
            try:
                await self._wait()
            finally:
                self._sink = None
        if self._failure is not None and not self._pieces:
            raise self._failure

    def is_finished(self) -> bool:
        """Tell whether the body is complete and all of it has been read."""
        return self._is_ended and self._failure is None and not self._pieces

    def close(self) -> None:
        """Let go of the response, and of its connection unless it is complete. May be called again."""
        source = self._source
        if source is not None:
            self.fail(ExchangeFailed("the response was closed before its end.", "body"))
            source.drop()

    async def _wait(self) -> None:
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._arrival = None

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._unread_bytes = 0
        if self._source is not None:
            self._source.resume()
        return data

    # What the connection calls.

    @property
    def is_unread(self) -> bool:
        """Some of the body has arrived and was not read yet."""
        return bool(self._pieces)

    @property
    def is_full(self) -> bool:
        """More lies unread than should."""
        return self._unread_bytes > MAX_UNREAD_BYTES

    def add(self, pieces: Sequence[bytes]) -> None:
        """More of the body has arrived."""
        if self._sink is not None and not self._pieces:
            self._hand_on(self._sink, pieces[0] if len(pieces) == 1 else b"".join(pieces))
            return
        self._pieces += pieces
        for piece in pieces:
            self._unread_bytes += len(piece)
        self._wake()

    def finish(self) -> None:
        """The body is complete."""
        self._is_ended = True
        self._source = None
        self._wake()

    def fail(self, failure: Exception) -> None:
        """Nothing more will come, though the body is not complete. What has arrived can still be read."""
        self._failure = failure
        self.finish()

    def _hand_on(self, sink: BodySink, piece: bytes) -> None:
        try:
            if sink(piece):
                return
        except Exception as error:
            if self._arrival is not None and not self._arrival.done():
                self._arrival.set_exception(error)
        self._sink = None
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
