"""Anthropic's Messages: one object, or a stream of typed events that build it block by block.

Source: https://docs.anthropic.com/en/api/messages and /messages-streaming.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import orjson

from gateway.domain.request import Usage
from gateway.wire.fields import JsonObject, count_in, index_in, object_in, parse_object, text_in
from gateway.wire.folding import join_text
from gateway.wire.format import Answered
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message
from gateway.wire.json_text import loads
from gateway.wire.sse import DEFAULT_EVENT, Event

_TELLING = frozenset({DEFAULT_EVENT, "message_start", "message_delta", "error"})
"""Events worth parsing for facts. Servers that do not name their events make us parse all."""


def read_user(request: JsonObject) -> str | None:
    """Return the end user that a Messages request names."""
    return text_in(object_in(request, "metadata"), "user_id")


def read_answer(answer: JsonObject) -> Answered:
    """Return what a message, or an error in its place, says."""
    return Answered(
        model=text_in(answer, "model"),
        usage=_read_usage(object_in(answer, "usage")),
        response_id=text_in(answer, "id"),
        finish_reason=text_in(answer, "stop_reason"),
        note=error_message(answer),
    )


def read_events(events: Sequence[Event]) -> Answered:
    """Return what a streamed message says."""
    parsed = (parse_object(data) for name, data in events if name in _TELLING)
    message = _build_envelope(event for event in parsed if event is not None)
    answered = read_answer(message)
    if answered.finish_reason is not None:
        return answered
    # The first event's output count is not the answer's; only the last one has that.
    usage = replace(answered.usage, completion_tokens=None)
    return replace(answered, usage=usage, note=answered.note or ENDED_EARLY)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the message that these events build."""
    message = _build_envelope(events)
    blocks = _build_blocks(events)
    return message | {"content": blocks} if blocks else message or None


def _build_envelope(events: Iterable[JsonObject]) -> JsonObject:
    message: JsonObject = {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(object_in(event, "message"))
        elif kind == "message_delta":
            usage = object_in(message, "usage") | _known(object_in(event, "usage"))
            rest = {key: value for key, value in event.items() if key not in ("type", "delta", "usage")}
            message |= _known(object_in(event, "delta")) | _known(rest) | {"usage": usage}
        elif kind == "error":
            message |= {"error": event.get("error")} if message else event
    return message


def _build_blocks(events: list[JsonObject]) -> list[JsonObject]:
    starts: dict[int, JsonObject] = {}
    deltas: dict[int, list[JsonObject]] = {}
    for event in events:
        kind, index = event.get("type"), index_in(event)
        if kind == "content_block_start":
            starts[index] = object_in(event, "content_block")
        elif kind == "content_block_delta":
            deltas.setdefault(index, []).append(object_in(event, "delta"))
    return [
        _build_block(starts.get(index, {}), deltas.get(index, []))
        for index in sorted(starts.keys() | deltas.keys())
    ]


def _build_block(start: JsonObject, deltas: list[JsonObject]) -> JsonObject:
    added: dict[str, list[object]] = {}
    for delta in deltas:
        for key, value in delta.items():
            if key != "type":
                added.setdefault(key, []).append(value)
    block = dict(start)
    if citations := added.pop("citation", []):
        earlier = block.get("citations")
        block["citations"] = [*(earlier if isinstance(earlier, list) else []), *citations]
    if pieces := added.pop("partial_json", []):
        block["input"] = _parse_input(join_text(pieces), block.get("input"))
    for key, texts in added.items():
        block[key] = join_text([block.get(key), *texts])
    return block


def _parse_input(text: str, announced: object) -> object:
    if not text:
        return announced
    try:
        return loads(text)
    except orjson.JSONDecodeError:
        # Cut before its end: the text that arrived is better than an empty object.
        return text


def _known(fields: JsonObject) -> JsonObject:
    return {key: value for key, value in fields.items() if value is not None}


def _read_usage(usage: JsonObject) -> Usage:
    fresh = count_in(usage, "input_tokens")
    cached = count_in(usage, "cache_read_input_tokens")
    written = count_in(usage, "cache_creation_input_tokens")
    return Usage(
        # Anthropic counts the three apart.
        prompt_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
        completion_tokens=count_in(usage, "output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=count_in(object_in(usage, "output_tokens_details"), "thinking_tokens"),
    )


FORMAT = JsonFormat(read_user, read_answer, read_events, rebuild)
