"""Amazon's binary event streams, in which Bedrock frames what others send as server-sent events.

Source: the AWS SDKs' developer documentation, "Event stream encoding": total length, length of the headers, CRC
of these two, headers (name, type, value), payload, CRC of all that; numbers are big-endian.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator

import orjson

from gateway.wire.fields import JsonObject, parse_object
from gateway.wire.sse import DEFAULT_EVENT, MAX_EVENTS, Event, Stream

CONTENT_TYPE = "application/vnd.amazon.eventstream"

ERROR_EVENT = "error"
"""Type given here to an event that says that the stream failed, whatever its exception is called."""

CHUNK_EVENT = "chunk"
"""Type of an event that wraps one of the model's own, in base64."""

_PRELUDE = struct.Struct(">III")
_CRC_BYTES = 4
_LEAST_MESSAGE_BYTES = _PRELUDE.size + _CRC_BYTES
_MAX_MESSAGE_BYTES = 24 * 1024 * 1024
_STRING = 7
_BYTE_ARRAY = 6
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes that a header's value takes, by its type; strings and byte arrays tell their own length."""

_FAILURES = frozenset({"exception", "error"})
_DAMAGED: Event = (DEFAULT_EVENT, b"")
"""Stands for a message that is cut or damaged: nothing of it is usable."""


def looks_like_one(body: bytes) -> bool:
    """Tell whether a body begins like an event stream, by the checksum of its first twelve bytes."""
    if len(body) < _PRELUDE.size or not begins_in_binary(body):
        return False
    length, _, crc = _PRELUDE.unpack_from(body)
    return bool(_LEAST_MESSAGE_BYTES <= length <= _MAX_MESSAGE_BYTES and binascii.crc32(body[:8]) == crc)


def begins_in_binary(body: bytes) -> bool:
    """Tell whether a body's first byte may be that of a message's length, which no text begins with."""
    return body[:1] < b"\t"


def read_stream(body: bytes) -> Stream:
    """Return the events of a body up to the first one that is cut or whose checksum is wrong."""
    found: list[Event] = []
    known: dict[bytes, dict[str, str]] = {}
    view = memoryview(body)
    at = 0
    while at < len(body):
        end = _end_of_message(view, at)
        if end is None or len(found) >= MAX_EVENTS:
            return Stream(found, _DAMAGED)
        headers_length = int.from_bytes(view[at + 4 : at + 8], "big")
        payload_start = at + _PRELUDE.size + headers_length
        block = body[at + _PRELUDE.size : payload_start]
        # Nearly all messages of a stream have the same headers, byte for byte.
        headers = known.get(block)
        if headers is None:
            headers = known[block] = dict(_read_headers(block))
        found.append(_to_event(headers, body[payload_start : end - _CRC_BYTES]))
        at = end
    return Stream(found, None)


def _end_of_message(body: memoryview, at: int) -> int | None:
    """Where the message that starts at `at` ends; None if it is cut or damaged."""
    if len(body) - at < _LEAST_MESSAGE_BYTES:
        return None
    length, headers_length, crc = _PRELUDE.unpack_from(body, at)
    prelude_crc = binascii.crc32(body[at : at + 8])
    end = at + length
    if prelude_crc != crc or length < headers_length + _LEAST_MESSAGE_BYTES or end > len(body):
        return None
    # The second checksum goes on from the first, which is itself a part of what it covers.
    whole_crc = binascii.crc32(body[at + 8 : end - _CRC_BYTES], prelude_crc)
    return end if whole_crc == int.from_bytes(body[end - _CRC_BYTES : end], "big") else None


def _read_headers(block: bytes) -> Iterator[tuple[str, str]]:
    """Yield the headers that are text, as far as they are whole."""
    at = 0
    while at < len(block):
        name_end = at + 1 + block[at]
        if name_end >= len(block):
            return
        name, kind = block[at + 1 : name_end], block[name_end]
        at = name_end + 1
        if kind in (_STRING, _BYTE_ARRAY):
            size = int.from_bytes(block[at : at + 2], "big")
            value = block[at + 2 : at + 2 + size]
            at += 2 + size
            if at > len(block):
                return
            if kind == _STRING:
                yield name.decode(errors="replace"), value.decode(errors="replace")
        elif kind in _FIXED_SIZES:
            at += _FIXED_SIZES[kind]
        else:
            return


def _to_event(headers: dict[str, str], payload: bytes) -> Event:
    """A message as an event of JSON: `{"<event type>": payload}` would say it twice, so the type is its name."""
    if headers.get(":message-type") in _FAILURES:
        return ERROR_EVENT, _describe_failure(headers, parse_object(payload) or {})
    name = headers.get(":event-type") or DEFAULT_EVENT
    return name, _unwrapped(payload) if name == CHUNK_EVENT else payload


def _describe_failure(headers: dict[str, str], stated: JsonObject) -> bytes:
    kind = headers.get(":exception-type") or headers.get(":error-code") or "error"
    texts = (stated.get("message"), stated.get("Message"), headers.get(":error-message"))
    error: JsonObject = {
        "type": kind,
        "message": next((text for text in texts if isinstance(text, str) and text), kind),
    }
    error |= {
        name: value
        for name in ("originalStatusCode", "originalMessage")
        if isinstance(value := stated.get(name), int | str)
    }
    return orjson.dumps({"type": "error", "error": error})


def _unwrapped(payload: bytes) -> bytes:
    wrapped = (parse_object(payload) or {}).get("bytes")
    if not isinstance(wrapped, str):
        return payload
    try:
        return binascii.a2b_base64(wrapped)
    except ValueError:
        return payload
