"""Amazon's binary event streams, in which Bedrock frames what others send as server-sent events.

Source: the AWS SDKs' developer documentation, "Event stream encoding": total length, length of the headers, CRC
of these two, headers (name, type, value), payload, CRC of all that; numbers are big-endian.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator

import orjson

from gateway.wire.fields import parse_object
from gateway.wire.sse import DEFAULT_EVENT, MAX_EVENTS, Event, Stream

CONTENT_TYPE = "application/vnd.amazon.eventstream"

ERROR_EVENT = "error"
"""Type given here to an event that says that the stream failed, whatever its exception is called."""

_PRELUDE = struct.Struct(">III")
_CRC_BYTES = 4
_MAX_MESSAGE_BYTES = 24 * 1024 * 1024
_STRING_TYPES = frozenset({6, 7})
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes that a header's value takes, by its type; strings and byte arrays tell their own length."""


def looks_like_one(body: bytes) -> bool:
    """Tell whether a body begins like an event stream, by the checksum of its first twelve bytes."""
    if len(body) < _PRELUDE.size or body[0] >= 0x20:
        return False
    length, _, crc = _PRELUDE.unpack_from(body)
    return bool(16 <= length <= _MAX_MESSAGE_BYTES and binascii.crc32(body[:8]) == crc)


def read_stream(body: bytes) -> Stream:
    """Return the events of a body up to the first one that is cut or whose checksum is wrong."""
    found: list[Event] = []
    at = 0
    while at < len(body) and len(found) < MAX_EVENTS:
        message = _message_at(body, at)
        if message is None:
            return Stream(found, (DEFAULT_EVENT, body[at : at + 64]))
        headers, payload = message
        found.append(_to_event(dict(_read_headers(headers)), payload))
        at += len(headers) + len(payload) + _PRELUDE.size + _CRC_BYTES
    return Stream(found, None)


def _message_at(body: bytes, at: int) -> tuple[bytes, bytes] | None:
    if len(body) - at < _PRELUDE.size:
        return None
    length, headers_length, crc = _PRELUDE.unpack_from(body, at)
    end = at + length
    start = at + _PRELUDE.size
    if length < headers_length + _PRELUDE.size + _CRC_BYTES or end > len(body):
        return None
    if binascii.crc32(body[at : at + 8]) != crc:
        return None
    if binascii.crc32(body[at : end - _CRC_BYTES]) != int.from_bytes(body[end - _CRC_BYTES : end], "big"):
        return None
    return body[start : start + headers_length], body[start + headers_length : end - _CRC_BYTES]


def _read_headers(block: bytes) -> Iterator[tuple[str, str]]:
    """Yield the headers that are text, as far as they can be read."""
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        if name_end >= len(block):
            return
        name, kind = block[at + 1 : name_end].decode(errors="replace"), block[name_end]
        at = name_end + 1
        if kind in _STRING_TYPES:
            size = int.from_bytes(block[at : at + 2], "big")
            at += 2
            yield name, block[at : at + size].decode(errors="replace")
            at += size
        elif kind in _FIXED_SIZES:
            at += _FIXED_SIZES[kind]
        else:
            return


def _to_event(headers: dict[str, str], payload: bytes) -> Event:
    """A message as an event of JSON: `{"<event type>": payload}` would say it twice, so the type is its name."""
    if headers.get(":message-type", "event") == "event":
        return headers.get(":event-type") or DEFAULT_EVENT, _unwrapped(payload)
    kind = headers.get(":exception-type") or headers.get(":error-code") or "error"
    message = (parse_object(payload) or {}).get("message") or headers.get(":error-message") or kind
    return ERROR_EVENT, orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})


def _unwrapped(payload: bytes) -> bytes:
    """Bedrock's `/invoke` wraps the model's own events once more, in base64."""
    if not payload.startswith(b'{"') or b'"bytes"' not in payload:
        return payload
    wrapped = (parse_object(payload) or {}).get("bytes")
    if not isinstance(wrapped, str):
        return payload
    try:
        return binascii.a2b_base64(wrapped)
    except (ValueError, binascii.Error):
        return payload
