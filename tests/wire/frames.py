"""Writing Amazon's binary event streams, of which the gateway itself only reads."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable

import orjson


def message(payload: bytes, headers: Iterable[tuple[str, str]] = (), *, more_headers: bytes = b"") -> bytes:
    """One message: two lengths, their CRC, headers of type string, any others as bytes, payload, CRC of it all."""
    block = b"".join(string_header(name, value) for name, value in headers) + more_headers
    return seal(block, payload)


def string_header(name: str, value: str) -> bytes:
    """A header of type string."""
    text = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text


def seal(block: bytes, payload: bytes) -> bytes:
    """A message around these headers, written as they are."""
    lengths = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = lengths + struct.pack(">I", zlib.crc32(lengths)) + block + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(kind: str, payload: bytes) -> bytes:
    """An event; the payload of one of type `chunk` is what the model itself sent."""
    if kind == "chunk":
        payload = orjson.dumps({"bytes": base64.b64encode(payload).decode(), "p": "abcdef"})
    heads = ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event"))
    return message(payload, heads)


def exception(kind: str, payload: bytes) -> bytes:
    """A message that says that the stream failed."""
    heads = ((":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception"))
    return message(payload, heads)


def encode_line(line: bytes) -> bytes:
    """The message that a line `TYPE JSON` describes; types that end in `Exception` are exceptions."""
    kind, _, payload = line.partition(b" ")
    write = exception if kind.endswith(b"Exception") else event
    return write(kind.decode(), payload)


def encode_lines(text: bytes) -> bytes:
    """A stream of lines."""
    return b"".join(encode_line(line) for line in text.splitlines() if line)
