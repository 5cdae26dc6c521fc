"""One request and the answer to it, as both are on the wire; and what such cases are made of."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

import brotli
import zstandard

from tests.raw_http import LAST_CHUNK, chunk
from tests.scripted_upstream import READ, send
from tests.upstream_server import Step

MIB = 1024 * 1024
CHUNKED = b"Transfer-Encoding: chunked"
JSON = b"Content-Type: application/json"
CLOSE: Step = ["close"]
OK: tuple[Step, ...] = (READ, send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))


@dataclass(frozen=True)
class Case:
    """A request, and what the provider plays to it. `pieces` are sent as chunks where `fields` say chunked."""

    name: str
    method: bytes = b"POST"
    target: bytes = b"/v1/chat/completions"
    fields: tuple[bytes, ...] = ()
    pieces: tuple[bytes, ...] = ()
    version: bytes = b"HTTP/1.1"
    steps: tuple[Step, ...] = OK

    def request(self, script: bytes) -> bytes:
        """The request on the wire, given the field that names the script."""
        is_chunked = any(b"chunked" in field.lower() for field in self.fields)
        body = b"".join(map(chunk, self.pieces)) + LAST_CHUNK if is_chunked else b"".join(self.pieces)
        start = b"%b %b %b" % (self.method, self.target, self.version)
        return b"\r\n".join([start, b"Host: gateway.localhost", *self.fields, script, b"", body])


def sized(body: bytes) -> bytes:
    """The field that announces this body."""
    return b"Content-Length: %d" % len(body)


def answering(status: bytes, *fields: bytes, body: bytes = b"") -> tuple[Step, ...]:
    """Read the request and send this: head and body as they are."""
    return READ, send(b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", body]))


def head(*fields: bytes) -> Step:
    """Send a head of 200."""
    return send(b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"", b""]))


def packed(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return data in each content coding, under its name."""
    return [
        (b"gzip", gzip.compress(data)),
        (b"br", brotli.compress(data)),
        (b"zstd", zstandard.ZstdCompressor().compress(data)),
        (b"deflate", zlib.compress(data)),
    ]
