"""Token counts of streams whose callers did not ask for them: asked for upstream, and taken out on the way back.

Source: https://platform.openai.com/docs/api-reference/chat/create, `stream_options.include_usage`.
"""

import json
import re

import orjson

from gateway.models.exchange import RawHeaders, first_value
from gateway.wire.event_streams import read_sse
from gateway.wire.json_fields import JsonObject, parse_object

USAGE_OPTION_ENDPOINTS = frozenset({"chat.completions", "completions"})

# A longer event is not the chunk with the usage.
MAX_HELD_BYTES = 64 * 1024

_USAGE_OPTION = b'"stream_options":{"include_usage":true},'
_SPACE = re.compile(r"[ \t\r\n]*")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_NO_CHOICES = re.compile(rb'"choices"[ \t]*:[ \t]*\[[ \t]*\]')
_EVENT_END = re.compile(rb"\n\r?\n|\r\r")
_ENDINGS = (b"\n\n", b"\n\r\n", b"\r\r")
_LONGEST_ENDING = 3


def add_usage_option(body: bytes) -> bytes | None:
    """Return the body of a request with `include_usage` added; None where it asks for no stream, or has it."""
    asked = parse_object(body) if b'"stream"' in body else None
    if asked is None or asked.get("stream") is not True:
        return None
    options = asked.get("stream_options")
    if "stream_options" not in asked:
        start = body.index(b"{") + 1
        return body[:start] + _USAGE_OPTION + body[start:]
    if not isinstance(options, dict | None) or (options and options.get("include_usage") is True):
        return None
    return _merge_option(body, options or {})


def may_hold_usage(headers: RawHeaders) -> bool:
    """Tell whether an answer is a stream that is not compressed."""
    encoding = first_value(headers, b"content-encoding").lower()
    kind = first_value(headers, b"content-type").lower()
    return encoding in (b"", b"identity") and kind.startswith(b"text/event-stream")


class UsageChunkFilter:
    """Takes the chunk with nothing but the usage out of a stream as it comes."""

    def __init__(self) -> None:
        # An event that has not arrived whole is held back until it has, or is too long for the chunk.
        self._held = b""
        self._passes_long_event = False

    def feed(self, piece: bytes) -> bytes:
        """Return the bytes to pass on after this piece."""
        data = self._held + piece if self._held else piece
        passed = b""
        if self._passes_long_event:
            end = _EVENT_END.search(data)
            if end is None:
                return self._hold_end_of(data)
            passed, data, self._passes_long_event = data[: end.end()], data[end.end() :], False
        whole = _length_of_whole_events(data)
        events, self._held = data[:whole], data[whole:]
        passed += _without_usage(events) if _NO_CHOICES.search(events) else events
        if len(self._held) > MAX_HELD_BYTES:
            self._passes_long_event = True
            passed += self._hold_end_of(self._held)
        return passed

    def flush(self) -> bytes:
        """Return the bytes to pass on at the end of the stream."""
        held, self._held = self._held, b""
        return b"" if not self._passes_long_event and _is_usage_chunk(held) else held

    def _hold_end_of(self, data: bytes) -> bytes:
        # The end of the event may come in two pieces.
        self._held = data[-_LONGEST_ENDING:]
        return data[:-_LONGEST_ENDING]


def _merge_option(body: bytes, options: JsonObject) -> bytes | None:
    try:
        text = body.decode()
        start, end = _last_value(text, "stream_options")
        written = orjson.dumps({**options, "include_usage": True}).decode()
    except (ValueError, RecursionError, orjson.JSONEncodeError):
        return None
    return (text[:start] + written + text[end:]).encode()


def _last_value(text: str, name: str) -> tuple[int, int]:
    """Return where the value of a member of a JSON object begins and ends."""
    found = 0, 0
    at = _skip(_SPACE, text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(_COLON, text, at)
        _, end = _DECODER.raw_decode(text, start)
        # Of several members of one name the last counts.
        if key == name:
            found = start, end
        at = _skip(_SPACE, text, end)
        if text[at] == ",":
            at = _skip(_SPACE, text, at + 1)
    return found


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _length_of_whole_events(data: bytes) -> int:
    if data.endswith(b"\n\n"):
        return len(data)
    ends = (data.rfind(ending) + len(ending) for ending in _ENDINGS if ending in data)
    return max(ends, default=0)


def _without_usage(events: bytes) -> bytes:
    kept: list[bytes] = []
    start = 0
    for end in _EVENT_END.finditer(events):
        event = events[start : end.end()]
        if not _is_usage_chunk(event):
            kept.append(event)
        start = end.end()
    return b"".join(kept) + events[start:]


def _is_usage_chunk(event: bytes) -> bool:
    if not _NO_CHOICES.search(event):
        return False
    all_events = read_sse(event).all_events
    chunk = parse_object(all_events[0][1]) if len(all_events) == 1 else None
    return chunk is not None and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)
