"""HeldResponse: an answer whose beginning is read before it is decided whether the caller gets it."""

import asyncio

from gateway.errors import UpstreamError
from gateway.models.exchange import RawHeaders
from gateway.upstream.response import BodySink, Response
from gateway.wire.commit_point import MAX_HELD_BYTES, AnswerBeginning, Beginning, read_beginning

# Header fields about the bytes of a body.
_OF_BODY = frozenset({b"content-length", b"content-encoding", b"content-md5", b"etag", b"digest"})


class HeldResponse:
    """A response that gives what was read of it first, then the rest as it comes."""

    def __init__(self, response: Response) -> None:
        self.status: int = response.status
        self.reason: bytes = response.reason
        self.headers: RawHeaders = response.headers
        self.content_length: int | None = response.content_length
        self._response = response
        self.held = b""
        # A read that was begun and not waited for to its end: giving it up would close the response.
        self._reading: asyncio.Task[bytes] | None = None

    async def read_beginning(self, endpoint: str, path: str, within_seconds: float) -> AnswerBeginning:
        """Read until the answer says something, has failed, is whole, long or late; return which.

        Raises UpstreamError where it breaks off before.
        """
        ends_at = asyncio.get_running_loop().time() + within_seconds
        while True:
            is_whole = not await self._hold_more(ends_at) or self._response.is_finished()
            begun = read_beginning(endpoint, path, self.headers, self.held, is_whole=is_whole)
            if begun.state is not Beginning.SILENT or self._reading is not None:
                return begun

    async def read_whole(self, within_seconds: float) -> bytes:
        """Return the body, as far as it comes in time and is not long; an error's end need not be waited for."""
        ends_at = asyncio.get_running_loop().time() + within_seconds
        try:
            while len(self.held) < MAX_HELD_BYTES and await self._hold_more(ends_at):
                if self._reading is not None:
                    break
        except UpstreamError:
            # The status has said what matters.
            pass
        return self.held

    async def read_all(self, max_bytes: int) -> bool:
        """Hold the whole body; False where it is longer. Raises UpstreamError where it breaks off."""
        if self._reading is not None:
            reading, self._reading = self._reading, None
            self.held += await reading
        while len(self.held) <= max_bytes:
            if self._response.is_finished() or not (piece := await self._response.read()):
                return True
            self.held += piece
        return False

    def replace_body(self, body: bytes) -> None:
        """Give another body, not encoded, in place of the whole one that is held."""
        self.held, self.content_length = body, len(body)
        kept = (each for each in self.headers if each[0].lower() not in _OF_BODY)
        self.headers = (*kept, (b"content-length", b"%d" % len(body)))

    @property
    def is_unread(self) -> bool:
        return bool(self.held) or self._response.is_unread

    def is_finished(self) -> bool:
        return not self.held and self._reading is None and self._response.is_finished()

    async def read(self) -> bytes:
        if self.held:
            held, self.held = self.held, b""
            return held
        if self._reading is not None:
            reading, self._reading = self._reading, None
            return await reading
        return await self._response.read()

    async def forward_to(self, sink: BodySink) -> None:
        if (self.held or self._reading is not None) and not sink(await self.read()):
            return
        await self._response.forward_to(sink)

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._response.close()

    async def _hold_more(self, ends_at: float) -> bool:
        """Hold the next piece; False at the end of the body. A read that takes too long goes on by itself."""
        if self._response.is_unread:
            piece = await self._response.read()
            self.held += piece
            return bool(piece)
        reading = asyncio.ensure_future(self._response.read())
        try:
            await asyncio.wait({reading}, timeout=max(0.0, ends_at - asyncio.get_running_loop().time()))
        except asyncio.CancelledError:
            reading.cancel()
            raise
        if not reading.done():
            self._reading = reading
            return True
        piece = reading.result()
        self.held += piece
        return bool(piece)
