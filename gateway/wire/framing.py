"""The ways in which providers put many JSON objects into one body: each gives the same `Stream`."""

from __future__ import annotations

import json
import re

import orjson

from gateway.domain.json_volume import holds_too_much
from gateway.wire import aws_event_stream
from gateway.wire.fields import parse_object
from gateway.wire.sse import DEFAULT_EVENT, MAX_EVENTS, Event, Stream, read_stream

_SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines",
               "application/stream+json")  # fmt: skip
_SPACE = b" \t\r\n"
_BETWEEN = re.compile(r"[ \t\r\n,]*")
_DECODER = json.JSONDecoder()


def read_framing(content_type: str, body: bytes) -> Stream | None:
    """Return the events of a body; None if it is one JSON object, or nothing that is known here.

    What the body looks like goes before what its content type says: an error sent as JSON in place of a stream
    is JSON.
    """
    if body.startswith(b"{"):
        return _read_lines(body) if _has_lines(content_type, body) else None
    kind = content_type.lower()
    if kind.startswith(aws_event_stream.CONTENT_TYPE) or aws_event_stream.looks_like_one(body):
        return aws_event_stream.read_stream(body)
    start = body[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        return _read_array(body)
    if start.startswith(b"{"):
        return _read_lines(body) if _has_lines(content_type, body) else None
    if kind.startswith("text/event-stream") or start.startswith(_SSE_STARTS):
        return read_stream(body)
    return None


def _has_lines(content_type: str, body: bytes) -> bool:
    """Tell whether a body that starts with an object has one in each line."""
    end = body.find(b"\n")
    if end < 0 and content_type.startswith("application/json"):
        return False
    if content_type.lower().startswith(_LINE_TYPES):
        return True
    return end > 0 and body[end:].lstrip(_SPACE).startswith(b"{") and parse_object(body[:end]) is not None


def _read_lines(body: bytes) -> Stream:
    """One object a line. The last is whole where it reads as one, newline or not."""
    lines = body.split(b"\n", MAX_EVENTS)[:MAX_EVENTS]
    found: list[Event] = [(DEFAULT_EVENT, line) for part in lines if (line := part.strip(_SPACE))]
    if found and parse_object(found[-1][1]) is None:
        return Stream(found[:-1], found[-1])
    return Stream(found, None)


def _read_array(body: bytes) -> Stream:
    """The members of one JSON array, as far as they are whole."""
    if holds_too_much(body):
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
        start = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        try:
            at = _DECODER.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            rest = text[start:].strip("] \t\r\n").encode(errors="replace")
            return Stream(found, (DEFAULT_EVENT, rest) if rest else None)
        found.append((DEFAULT_EVENT, text[start:at].encode(errors="replace")))
    return Stream(found, None)
