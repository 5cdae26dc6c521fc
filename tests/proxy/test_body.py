"""Reading the body of a request, and sending it again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from gateway.proxy.body import MAX_BUFFERED_BYTES, MAX_REPLAY_MEMORY_BYTES, RequestBody
from gateway.proxy.request import IncomingRequest
from gateway.recording.capture import BodyCapture

Use = Callable[[RequestBody, BodyCapture], Awaitable[None]]

LONG = os.urandom(MAX_BUFFERED_BYTES + 1)
VERY_LONG = os.urandom(4096) * (MAX_REPLAY_MEMORY_BYTES // 1024)


async def receive(body: bytes, use: Use, *, is_replayable: bool, is_chunked: bool = False) -> None:
    """Have `use` called with the body of a request that a caller sends in two pieces."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(request: web.BaseRequest) -> web.Response:
        capture = BodyCapture(2 * len(VERY_LONG))
        received = RequestBody(IncomingRequest.of(request), capture, 10.0, is_replayable=is_replayable)
        try:
            await use(received, capture)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)
        finally:
            received.close()
        return web.Response()

    async with RawTestServer(handle) as server:
        _, writer = await asyncio.open_connection(server.host, server.port)
        framing = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % len(body)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
        half = len(body) // 2
        for piece in (body[:half], body[half:]):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        if is_chunked:
            writer.write(b"0\r\n\r\n")
        await asyncio.wait_for(done, 10)
        writer.close()


async def content(body: bytes | AsyncIterator[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join([piece async for piece in body])


def deleted_files() -> int:
    """How many files this process holds that have no name any more."""
    names = (os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink())
    return sum(name.endswith("(deleted)") for name in names)


@pytest.mark.parametrize("is_replayable", [False, True])
async def test_a_short_body_is_read_whole_and_can_always_be_replayed(is_replayable: bool) -> None:
    async def use(body: RequestBody, capture: BodyCapture) -> None:
        assert await body.read() == b"short"
        assert body.replay() == b"short"
        assert capture.content() == b"short"

    await receive(b"short", use, is_replayable=is_replayable)


@pytest.mark.parametrize("is_replayable", [False, True])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_long_body_is_streamed_and_captured(is_replayable: bool, is_chunked: bool) -> None:
    async def use(body: RequestBody, capture: BodyCapture) -> None:
        pieces = await body.read()
        assert not isinstance(pieces, bytes)
        assert await content(pieces) == LONG
        assert (capture.content(), capture.size_bytes) == (LONG, len(LONG))

    await receive(LONG, use, is_replayable=is_replayable, is_chunked=is_chunked)


@pytest.mark.parametrize("is_replayable", [False, True])
async def test_a_body_of_unknown_length_that_is_longer_than_its_buffer_is_streamed_from_its_beginning(
    is_replayable: bool,
) -> None:
    async def use(body: RequestBody, capture: BodyCapture) -> None:
        pieces = await body.read(MAX_BUFFERED_BYTES + 1)
        assert not isinstance(pieces, bytes)
        assert await content(pieces) == VERY_LONG

    await receive(VERY_LONG, use, is_replayable=is_replayable, is_chunked=True)


@pytest.mark.parametrize("body", [LONG, VERY_LONG])
@pytest.mark.parametrize("read_pieces", [0, 1, 1000])
async def test_a_body_is_replayed_whole_however_much_of_it_was_read(body: bytes, read_pieces: int) -> None:
    async def use(received: RequestBody, capture: BodyCapture) -> None:
        pieces = await received.read()
        assert not isinstance(pieces, bytes)
        for _ in range(read_pieces):
            await anext(pieces, b"")
        for _ in range(2):
            assert hashlib.sha256(await content(received.replay())).digest() == digest
        assert capture.size_bytes == len(body)

    digest = hashlib.sha256(body).digest()
    await receive(body, use, is_replayable=True)


async def test_a_replay_waits_for_an_attempt_that_still_reads() -> None:
    async def use(received: RequestBody, capture: BodyCapture) -> None:
        given_up = asyncio.create_task(content(await received.read()))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await content(received.replay()) == LONG
        with pytest.raises(asyncio.CancelledError):
            await given_up

    await receive(LONG, use, is_replayable=True)


async def test_only_a_long_body_is_kept_in_a_file_which_goes_with_the_request() -> None:
    async def use(received: RequestBody, capture: BodyCapture) -> None:
        await content(await received.read())
        files.append(deleted_files())

    files = [deleted_files()]
    await receive(LONG, use, is_replayable=True)
    await receive(VERY_LONG, use, is_replayable=False)
    await receive(VERY_LONG, use, is_replayable=True)
    before, *during = files
    assert [count - before for count in during] == [0, 0, 1]
    assert deleted_files() == before
