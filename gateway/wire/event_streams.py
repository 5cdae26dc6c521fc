"""Streams of JSON in one body: server-sent events, lines, arrays, AWS event streams."""

import binascii
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from gateway.wire.json_fields import JsonObject, has_too_many_values, parse_object

# Type of an event that does not name its own.
DEFAULT_EVENT = "message"

_DATA_AFTER_NAME = b"\ndata: "
_BOM = b"\xef\xbb\xbf"

# Most events of a body, and lines of an event. In 16 MiB are no more of those that say anything.
MAX_EVENTS = 250_000

# Type and data.
Event = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Stream:
    """The events of a body.

    Args:
        unfinished: what had arrived of a last event, where it was cut.
        body: the bytes that the events were read from, where they stand in them as they are.
    """

    events: list[Event]
    unfinished: Event | None
    body: bytes = b""

    @property
    def all_events(self) -> list[Event]:
        return self.events if self.unfinished is None else [*self.events, self.unfinished]

    def objects(self) -> Iterator[JsonObject]:
        return (found for _, data in self.all_events if (found := parse_object(data)) is not None)

    def contains(self, text: bytes) -> bool:
        return text in self.body if self.body else any(text in data for _, data in self.all_events)


def read_sse(body: bytes) -> Stream:
    """Return the server-sent events of a body, whichever of the three line endings it uses."""
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # Streams of nothing but lines of data, as OpenAI's are, come apart in one step.
    if body.startswith(b"data: ") and body.endswith(b"\n\n"):
        lines = body[6:-2].split(b"\n\ndata: ", MAX_EVENTS)
        if len(lines) <= MAX_EVENTS and body.count(b"\n") == 2 * len(lines):
            return Stream([(DEFAULT_EVENT, line) for line in lines], None, body)
    *blocks, rest = body.split(b"\n\n", MAX_EVENTS)
    found: list[Event] = []
    for block in blocks:
        # Nearly every event is one line of data, or one below its name; a call for each would double the time.
        end = block.find(b"\n")
        if end < 0 and block.startswith(b"data: "):
            found.append((DEFAULT_EVENT, block[6:]))
        elif (
            end > 7
            and block.startswith(_DATA_AFTER_NAME, end)
            and block.startswith(b"event: ")
            and block.find(b"\n", end + 1) < 0
        ):
            found.append((block[7:end].decode(errors="replace"), block[end + 7 :]))
        elif (event := _read_block(block)) is not None:
            found.append(event)
    return Stream(found, _read_block(rest.partition(b"\n\n")[0]), body)


def _read_block(block: bytes) -> Event | None:
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n", MAX_EVENTS)[:MAX_EVENTS]:
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    if not data:
        return None
    return name.decode(errors="replace") or DEFAULT_EVENT, b"\n".join(data)


AWS_CONTENT_TYPE = "application/vnd.amazon.eventstream"

# Type given here to an event that says that the stream failed, whatever its exception is called.
AWS_ERROR_EVENT = "error"
# Type of an event that wraps one of the model's own, in base64.
AWS_CHUNK_EVENT = "chunk"

_PRELUDE = struct.Struct(">III")
_CRC_BYTES = 4
_MIN_MESSAGE_BYTES = _PRELUDE.size + _CRC_BYTES
_MAX_MESSAGE_BYTES = 24 * 1024 * 1024
_STRING = 7
_BYTE_ARRAY = 6
# Bytes that a header's value takes, by its type; strings and byte arrays state their own length.
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

_AWS_FAILURES = frozenset({"exception", "error"})
# Nothing of a message that is cut or damaged is usable.
_DAMAGED_EVENT: Event = (DEFAULT_EVENT, b"")


def is_aws_stream(body: bytes) -> bool:
    """Tell whether a body begins like an AWS event stream, by the checksum of its first twelve bytes."""
    if len(body) < _PRELUDE.size or not is_binary(body):
        return False
    length, _, crc = _PRELUDE.unpack_from(body)
    return bool(_MIN_MESSAGE_BYTES <= length <= _MAX_MESSAGE_BYTES and binascii.crc32(body[:8]) == crc)


def is_binary(body: bytes) -> bool:
    """Tell whether a body may begin with the length of a message."""
    # No text begins with such a byte.
    return body[:1] < b"\t"


def read_aws_stream(body: bytes) -> Stream:
    """Return the AWS events of a body up to the first that is cut or whose checksum is wrong."""
    found: list[Event] = []
    known: dict[bytes, dict[str, str]] = {}
    view = memoryview(body)
    at = 0
    while at < len(body):
        end = _end_of_message(view, at)
        if end is None or len(found) >= MAX_EVENTS:
            return Stream(found, _DAMAGED_EVENT)
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
    if len(body) - at < _MIN_MESSAGE_BYTES:
        return None
    length, headers_length, crc = _PRELUDE.unpack_from(body, at)
    prelude_crc = binascii.crc32(body[at : at + 8])
    end = at + length
    if prelude_crc != crc or length < headers_length + _MIN_MESSAGE_BYTES or end > len(body):
        return None
    # The second checksum goes on from the first, which is itself a part of what it covers.
    whole_crc = binascii.crc32(body[at + 8 : end - _CRC_BYTES], prelude_crc)
    return end if whole_crc == int.from_bytes(body[end - _CRC_BYTES : end], "big") else None


def _read_headers(block: bytes) -> Iterator[tuple[str, str]]:
    """Yield the headers that are text, up to the first that is cut."""
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
    if headers.get(":message-type") in _AWS_FAILURES:
        return AWS_ERROR_EVENT, _describe_failure(headers, parse_object(payload) or {})
    name = headers.get(":event-type") or DEFAULT_EVENT
    return name, _unwrap_chunk(payload) if name == AWS_CHUNK_EVENT else payload


def _describe_failure(headers: dict[str, str], stated: JsonObject) -> bytes:
    kind = headers.get(":exception-type") or headers.get(":error-code") or "error"
    texts = (stated.get("message"), stated.get("Message"), headers.get(":error-message"))
    message = next((text for text in texts if isinstance(text, str) and text), kind)
    error: JsonObject = {"type": kind, "message": message}
    error |= {
        name: value
        for name in ("originalStatusCode", "originalMessage")
        if isinstance(value := stated.get(name), int | str)
    }
    return orjson.dumps({"type": "error", "error": error})


def _unwrap_chunk(payload: bytes) -> bytes:
    wrapped = (parse_object(payload) or {}).get("bytes")
    if not isinstance(wrapped, str):
        return payload
    try:
        return binascii.a2b_base64(wrapped)
    except ValueError:
        return payload


_SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
               "application/stream+json")  # fmt: skip
_WHITESPACE = b" \t\r\n"
_ARRAY_GAP = re.compile(r"[ \t\r\n,]*")
_DECODER = json.JSONDecoder()


def read_events(content_type: str, body: bytes) -> Stream | None:
    """Return the events of a body; None if it is one JSON object, or nothing that is known here."""
    # What the body looks like goes before its content type: an error in place of a stream is sent as JSON.
    start = body[:64].removeprefix(_BOM).lstrip()
    if start.startswith(b"{"):
        return _read_lines(body) if _is_json_lines(content_type, body) else None
    if start.startswith(b"["):
        return _read_array(body)
    kind = content_type.lower()
    if is_binary(body) and (kind.startswith(AWS_CONTENT_TYPE) or is_aws_stream(body)):
        return read_aws_stream(body)
    if kind.startswith("text/event-stream") or start.startswith(_SSE_STARTS):
        return read_sse(body)
    return None


def _is_json_lines(content_type: str, body: bytes) -> bool:
    at = body.find(b"\n")
    if at < 0 and content_type.startswith("application/json"):
        return False
    if content_type.lower().startswith(_LINE_TYPES):
        return True
    return at > 0 and body[at:].lstrip(_WHITESPACE).startswith(b"{") and parse_object(body[:at]) is not None


def _read_lines(body: bytes) -> Stream:
    # The last line is whole where it reads as an object, newline or not.
    lines = body.split(b"\n", MAX_EVENTS)[:MAX_EVENTS]
    found: list[Event] = [(DEFAULT_EVENT, line) for part in lines if (line := part.strip(_WHITESPACE))]
    if found and parse_object(found[-1][1]) is None:
        return Stream(found[:-1], found[-1])
    return Stream(found, None)


def _read_array(body: bytes) -> Stream:
    if has_too_many_values(body):
        return Stream([], None)
    try:
        members = orjson.loads(body)
        return Stream([(DEFAULT_EVENT, orjson.dumps(member)) for member in members], None)
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _read_cut_array(body.decode(errors="replace"))


def _read_cut_array(text: str) -> Stream:
    found: list[Event] = []
    at = text.index("[") + 1
    while len(found) < MAX_EVENTS:
        start = _ARRAY_GAP.match(text, at).end()  # type: ignore[union-attr]
        try:
            at = _DECODER.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            rest = text[start:].strip("] \t\r\n").encode(errors="replace")
            return Stream(found, (DEFAULT_EVENT, rest) if rest else None)
        found.append((DEFAULT_EVENT, text[start:at].encode(errors="replace")))
    return Stream(found, None)
