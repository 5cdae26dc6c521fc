"""Relaying a response that is not an upstream's, as a cache would keep it."""

from __future__ import annotations

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from gateway.models.exchange import RawHeaders
from gateway.proxy.request import IncomingRequest
from gateway.proxy.response import RelayedResponse, relay_response
from gateway.recording.capture import BodyCapture
from gateway.upstream.response import BodySink


class KeptResponse:
    """A response whose body is all there."""

    status = 200
    reason = b"OK"

    def __init__(self, body: bytes, *, is_chunked: bool) -> None:
        length = () if is_chunked else ((b"Content-Length", b"%d" % len(body)),)
        self.headers: RawHeaders = ((b"X-Kept", b"\xe9"), *length)
        self.content_length = None if is_chunked else len(body)
        self._body = body

    @property
    def is_unread(self) -> bool:
        return bool(self._body)

    def is_finished(self) -> bool:
        return not self._body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def forward_to(self, sink: BodySink) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("body", [b"", b"kept"])
async def test_a_kept_response_is_relayed_with_its_head_and_captured(body: bytes, is_chunked: bool) -> None:
    capture = BodyCapture(100)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        relayed = RelayedResponse(IncomingRequest.of(request), 200, is_last=False)
        kept = KeptResponse(body, is_chunked=is_chunked)
        relayed.finish(await relay_response(kept, relayed, capture, b"X-Own: 1"))
        return relayed

    async with RawTestServer(handle) as server, httpx.AsyncClient() as client:
        response = await client.get(str(server.make_url("/")))
    assert (response.status_code, response.content) == (200, body)
    assert [response.headers[name] for name in ("x-kept", "x-own")] == ["\xe9", "1"]
    assert capture.content() == body
