"""A caller's request as the proxy sees it, whichever parser has read it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from aiohttp import web
from aiohttp.http import HttpVersion, HttpVersion11

from gateway.models.exchange import RawHeaders
from gateway.web.bodies import BodyReader


class IncomingRequest:
    """The head of a request, and its body to be read."""

    __slots__ = (
        "content", "content_length", "has_body", "headers", "keep_alive", "method", "protocol", "raw_headers",
        "raw_path", "task", "version",
    )  # fmt: skip

    def __init__(
        self,
        protocol: web.RequestHandler,
        method: str,
        raw_path: str,
        raw_headers: RawHeaders,
        headers: Mapping[str, str],
        content: BodyReader,
        content_length: int | None,
        has_body: bool,
        task: asyncio.Task[Any] | None,
        version: HttpVersion = HttpVersion11,
        keep_alive: bool = True,
    ) -> None:
        self.protocol = protocol
        self.method = method
        # As in the request line; bytes that are not UTF-8 are surrogate escapes, in `headers` too.
        self.raw_path = raw_path
        self.raw_headers = raw_headers
        self.headers = headers
        self.content = content
        self.content_length = content_length
        self.has_body = has_body
        # That answers it; None: the current one does.
        self.task = task
        self.version = version
        self.keep_alive = keep_alive

    @classmethod
    def of(cls, request: web.BaseRequest) -> IncomingRequest:
        return cls(
            request.protocol,
            request.method,
            request.raw_path,
            request.raw_headers,
            request.headers,
            request.content,
            request.content_length,
            request.body_exists,
            None,
            request.version,
            request.keep_alive,
        )

    @property
    def transport(self) -> asyncio.Transport | None:
        """The caller's connection; None once it is gone."""
        return self.protocol.transport


class HeaderFields(Mapping[str, str]):
    """Header fields, of which none comes twice, by name in any case; only what is looked up is decoded."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[bytes, bytes]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[_lower(name)].decode("utf-8", "surrogateescape")

    def get(self, name: str, default: Any = None, /) -> Any:
        # Most of what is looked for is not there, for which the usual `get` has an exception raised.
        value = self._values.get(_lower(name))
        return default if value is None else value.decode("utf-8", "surrogateescape")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _lower(name) in self._values

    def __iter__(self) -> Iterator[str]:
        return (name.decode("utf-8", "surrogateescape") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)


@lru_cache(maxsize=256)
def _lower(name: str) -> bytes:
    return name.lower().encode("utf-8", "surrogateescape")


class WholeBody:
    """A body that is all there."""

    __slots__ = ("_unread",)

    def __init__(self, body: bytes) -> None:
        self._unread = body

    def is_eof(self) -> bool:
        return True

    def exception(self) -> BaseException | None:
        return None

    def read_nowait(self) -> bytes:
        body, self._unread = self._unread, b""
        return body

    async def readany(self) -> bytes:
        return self.read_nowait()
