"""Putting requests on the wire, no faster than the upstream takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

JOIN_BYTES = 64 * 1024
"""Up to this size a body is copied behind its head, so that both leave in one write."""
LAST_CHUNK = b"0\r\n\r\n"


def chunk(piece: bytes) -> bytes:
    """Return a piece of a body as a chunk (RFC 9112, section 7.1); nothing for nothing, as that ends it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


class RequestSender:
    """Sends the requests of one connection, one at a time. `is_sent` once all of one has been written.

    A body at hand is written at once. One that comes in pieces is sent by a task, so that an answer can
    arrive meanwhile. `is_stalled` while the upstream takes too little for more to be written.

    Args:
        transport: where to write; its owner passes on the transport's `pause` and `resume`.
        on_turn: called whenever it becomes the upstream's turn to take bytes or to answer, or ours to send.
        on_error: called when the iterator of a body raises; with CancelledError if it was cancelled.
    """

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        on_turn: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.is_sent = True
        self.is_stalled = False
        self._transport = transport
        self._on_turn = on_turn
        self._on_error = on_error
        self._unsent_bytes = 0
        self._upload: asyncio.Task[None] | None = None
        self._is_upload_started = False
        self._gate: asyncio.Future[None] | None = None

    @property
    def is_uploading(self) -> bool:
        """It is ours to send more of the body."""
        return self._upload is not None and not self.is_sent and not self.is_stalled

    @property
    def can_repeat(self) -> bool:
        """Nothing of the request is gone: it can be sent again elsewhere."""
        return self._upload is None or not self._is_upload_started

    def send(self, head: bytes, body: bytes | AsyncIterator[bytes], *, is_chunked: bool) -> None:
        """Send a request, its body framed as chunks or as it is."""
        self.is_sent = False
        if isinstance(body, bytes):
            self._write(head, chunk(body) + LAST_CHUNK if is_chunked else body)
            self.is_sent = True
        else:
            self._is_upload_started = False
            self._upload = asyncio.get_running_loop().create_task(self._send_pieces(head, body, is_chunked))
            self._upload.add_done_callback(self._on_uploaded)
        self._on_turn()

    def stop(self) -> None:
        """Send nothing more of the current request."""
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None

    def pause(self) -> None:
        """Write nothing more for now."""
        self.is_stalled = True
        self._gate = asyncio.get_running_loop().create_future()
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._on_turn()

    def resume(self) -> None:
        """Go on writing."""
        self.is_stalled = False
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)
        self._gate = None
        self._on_turn()

    def has_progressed(self) -> bool:
        """Tell whether the upstream has taken anything since the last call or pause."""
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return self._unsent_bytes < before

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) <= JOIN_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def _send_pieces(self, head: bytes, pieces: AsyncIterator[bytes], is_chunked: bool) -> None:
        self._is_upload_started = True
        await self._write_piece(head)
        async for piece in pieces:
            await self._write_piece(chunk(piece) if is_chunked else piece)
        if is_chunked:
            await self._write_piece(LAST_CHUNK)

    async def _write_piece(self, data: bytes) -> None:
        if self._gate is not None:
            await self._gate
        self._transport.write(data)

    def _on_uploaded(self, upload: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if upload.cancelled() else upload.exception()
        if upload is not self._upload:
            return
        if error is not None:
            self._on_error(error)
        else:
            self.is_sent = True
            self._on_turn()
