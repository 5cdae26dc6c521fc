"""Anthropic's Messages: one object, or a stream of typed events that build it block by block.

Source: https://docs.anthropic.com/en/api/messages and /messages-streaming.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.domain.request import NOTHING_STATED, Billing, Charge, Usage
from gateway.wire.fields import (
    JsonObject,
    count_in,
    first_count,
    index_in,
    object_in,
    objects_in,
    parse_object,
    text_in,
)
from gateway.wire.folding import join_text, parse_input
from gateway.wire.format import Answered
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message, states_error
from gateway.wire.openai_usage import add_usage, stated_cost
from gateway.wire.sse import DEFAULT_EVENT, Stream

_TELLING = frozenset({"message_start", "message_delta", "error"})
"""Events worth parsing for facts."""

_WITHIN = frozenset({"message", "fallback_message", None})
"""Iterations that the counts at the top are the sum of."""

_UNNAMED = frozenset({DEFAULT_EVENT, "chunk"})
"""What the events of servers that do not name them are called, and Bedrock's: most of them have to be parsed."""

_DELTA_TYPES = (b'"content_block_delta"', b'"ping"')


def recognises(answer: JsonObject) -> bool:
    """Tell whether an answer is a message, or an event of one."""
    return answer.get("type") in ("message", "message_start") or "stop_sequence" in answer


def read_user(request: JsonObject) -> str | None:
    """Return the end user that a Messages request names."""
    return text_in(object_in(request, "metadata"), "user_id")


def read_answer(answer: JsonObject) -> Answered:
    """Return what a message, or an error in its place, says."""
    return _read_message(answer)


def read_stream(stream: Stream) -> Answered:
    """Return what a streamed message says."""
    events: list[JsonObject] = []
    is_over = False
    for name, data in stream.arrived:
        if name in _TELLING or (name in _UNNAMED and not any(kind in data[:64] for kind in _DELTA_TYPES)):
            event = parse_object(data)
            if event is not None:
                events.append(event)
                is_over = is_over or event.get("type") == "message_stop"
        elif name == "message_stop":
            is_over = True
    message = _build_envelope(_since_last_start(events))
    is_over = is_over or text_in(message, "stop_reason") is not None
    return _read_message(message, is_over, _other_ids(events))


def _read_message(
    message: JsonObject, is_over: bool | None = None, other_ids: tuple[str, ...] = ()
) -> Answered:
    usage = object_in(message, "usage")
    finish_reason, note = text_in(message, "stop_reason"), error_message(message)
    counted = _read_usage(usage)
    if is_over is not None and finish_reason is None:
        # The first event's output count is not the answer's; only the last one has that.
        counted = replace(counted, completion_tokens=None)
        note = note or (None if is_over else ENDED_EARLY)
    charges: tuple[Charge, ...] = ()
    if "iterations" in usage:
        beside = [part for part in objects_in(usage, "iterations") if text_in(part, "type") not in _WITHIN]
        charges = tuple(_read_charge(part, message) for part in beside)
        counted = add_usage([counted, *(charge.usage for charge in charges)])
    return Answered(
        model=text_in(message, "model"),
        usage=counted,
        response_id=text_in(message, "id"),
        finish_reason=finish_reason,
        note=note,
        billing=_read_billing(usage, charges),
        has_failed=states_error(message),
        is_over=is_over,
        other_ids=other_ids,
    )


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the message that these events build: the last one, where a server began again."""
    events = _since_last_start(events)
    message = _build_envelope(events)
    blocks = _build_blocks(events)
    return message | {"content": blocks} if blocks else message or None


def _since_last_start(events: list[JsonObject]) -> list[JsonObject]:
    """The events from the start of the last message, where another was begun and not ended before it."""
    begins, message_id = 0, None
    for position, event in enumerate(events):
        if event.get("type") == "message_start":
            started = text_in(object_in(event, "message"), "id")
            if message_id is not None and started != message_id:
                begins = position
            message_id = started
    return events[begins:]


def _other_ids(events: list[JsonObject]) -> tuple[str, ...]:
    started = [object_in(event, "message") for event in events if event.get("type") == "message_start"]
    if len(started) < 2:
        return ()
    ids = dict.fromkeys(found for message in started if (found := text_in(message, "id")))
    return tuple(ids)[:-1]


def _build_envelope(events: Iterable[JsonObject]) -> JsonObject:
    message: JsonObject = {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(object_in(event, "message"))
        elif kind == "message_delta":
            usage = _merge_usage(object_in(message, "usage"), _known(object_in(event, "usage")))
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
        block["input"] = parse_input(join_text(pieces), block.get("input"))
    for key, texts in added.items():
        block[key] = join_text([block.get(key), *texts])
    return block


def _known(fields: JsonObject) -> JsonObject:
    return {key: value for key, value in fields.items() if value is not None}


def _read_usage(usage: JsonObject) -> Usage:
    fresh = count_in(usage, "input_tokens")
    cached = count_in(usage, "cache_read_input_tokens")
    written = first_count((usage, "cache_creation_input_tokens"), (usage, "cache_write_input_tokens"))
    return Usage(
        # Anthropic counts the three apart.
        prompt_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
        completion_tokens=count_in(usage, "output_tokens"),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=count_in(object_in(usage, "output_tokens_details"), "thinking_tokens"),
    )


def _merge_usage(earlier: JsonObject, later: JsonObject) -> JsonObject:
    """Counts run up to the last, but nothing that was counted becomes nought again. What the start has of the
    output is not the answer's."""
    kept = {
        key: earlier[key]
        for key, value in later.items()
        if value == 0 and key != "output_tokens" and earlier.get(key)
    }
    return earlier | later | kept


def _read_charge(iteration: JsonObject, message: JsonObject) -> Charge:
    model = text_in(iteration, "model")
    is_alike = model is None or model == text_in(message, "model")
    terms = _terms_of(object_in(message, "usage")) if is_alike else {}
    return Charge(model, _read_usage(iteration), _units_of(iteration), {**terms, **_terms_of(iteration)})


def _read_billing(usage: JsonObject, others: tuple[Charge, ...]) -> Billing:
    stated = None if "cost" not in usage else stated_cost(usage)
    units, terms = _units_of(usage), _terms_of(usage)
    if stated is None and not (units or terms or others):
        return NOTHING_STATED
    return Billing(stated, units, terms, others)


def _units_of(usage: JsonObject) -> Mapping[str, int]:
    units: dict[str, int] = {}
    if written := count_in(object_in(usage, "cache_creation"), "ephemeral_1h_input_tokens"):
        units["cache_write_1h_tokens"] = written
    if searches := count_in(object_in(usage, "server_tool_use"), "web_search_requests"):
        units["web_searches"] = searches
    return units


def _terms_of(usage: JsonObject) -> Mapping[str, str]:
    terms: dict[str, str] = {}
    speed = text_in(usage, "speed")
    if speed is not None and speed != "standard":
        terms["speed"] = speed
    if usage.get("service_tier") == "batch":
        terms["processing"] = "batch"
    return terms


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild, read_user)
