"""OpenAI's Responses: one object, or a stream of typed events that build its output."""

from dataclasses import dataclass, field, replace

from gateway.models.request import Billing
from gateway.wire.event_streams import DEFAULT_EVENT, Stream
from gateway.wire.formats import JsonFormat, ResponseFacts, error_message, states_error
from gateway.wire.json_fields import (
    JsonObject,
    index_in,
    join_text,
    object_in,
    objects_in,
    parse_object,
    text_in,
    without_zeros,
)
from gateway.wire.openai_usage import read_billing, read_usage

# Stem of a delta's event type → list of the item, index into it, field of that part.
_PART_TEXT = {
    "response.output_text": ("content", "content_index", "text"),
    "response.refusal": ("content", "content_index", "refusal"),
    "response.reasoning_text": ("content", "content_index", "text"),
    "response.reasoning_summary_text": ("summary", "summary_index", "text"),
}

# Stem of a delta's event type → field of the item.
_ITEM_TEXT = {
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
}

_PART = {
    "response.content_part": ("content", "content_index"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
}

_PART_TYPES = {
    "response.output_text": "output_text",
    "response.refusal": "refusal",
    "response.reasoning_text": "reasoning_text",
    "response.reasoning_summary_text": "summary_text",
}


@dataclass(slots=True)
class _OutputPart:
    """An item, or a part of one: as it was announced, and the text added since."""

    announced: JsonObject = field(default_factory=dict)
    added: dict[str, list[object]] = field(default_factory=dict)
    annotations: list[object] = field(default_factory=list)

    def announce(self, value: JsonObject) -> None:
        self.announced = value
        self.added.clear()
        self.annotations.clear()

    def build(self) -> JsonObject:
        whole = dict(self.announced)
        for key, texts in self.added.items():
            whole[key] = join_text([whole.get(key), *texts])
        if self.annotations:
            earlier = whole.get("annotations")
            whole["annotations"] = [*(earlier if isinstance(earlier, list) else []), *self.annotations]
        return whole


@dataclass(slots=True)
class _OutputItem(_OutputPart):
    parts: dict[tuple[str, int], _OutputPart] = field(default_factory=dict)

    def announce(self, value: JsonObject) -> None:
        _OutputPart.announce(self, value)
        self.parts.clear()

    def part(self, place: str, index: int) -> _OutputPart:
        return self.parts.setdefault((place, index), _OutputPart())

    def build(self) -> JsonObject:
        whole = _OutputPart.build(self)
        for place in dict.fromkeys(place for place, _ in self.parts):
            whole[place] = [self.parts[key].build() for key in sorted(self.parts) if key[0] == place]
        return whole


def build_output(events: list[JsonObject]) -> list[JsonObject]:
    """Return the items as far as these events go."""
    items: dict[int, _OutputItem] = {}
    for event in events:
        if "output_index" in event:
            _apply_event(event, items.setdefault(index_in(event, "output_index"), _OutputItem()))
    return [built for index in sorted(items) if (built := items[index].build())]


def _apply_event(event: JsonObject, item: _OutputItem) -> None:
    stem, _, step = str(event.get("type")).rpartition(".")
    if stem == "response.output_item":
        item.announce(object_in(event, "item"))
    elif stem in _PART:
        place, index = _PART[stem]
        item.part(place, index_in(event, index)).announce(object_in(event, "part"))
    elif stem == "response.output_text.annotation":
        item.part("content", index_in(event, "content_index")).annotations.append(event.get("annotation"))
    elif stem in _PART_TEXT:
        place, index, key = _PART_TEXT[stem]
        part = item.part(place, index_in(event, index))
        part.announced.setdefault("type", _PART_TYPES[stem])
        _add_part_text(part, key, event, step)
    elif stem in _ITEM_TEXT:
        _add_part_text(item, _ITEM_TEXT[stem], event, step)


def _add_part_text(piece: _OutputPart, key: str, event: JsonObject, step: str) -> None:
    if step == "delta":
        piece.added.setdefault(key, []).append(event.get("delta"))
    elif isinstance(event.get(key), str):
        piece.announced[key] = event[key]
        piece.added.pop(key, None)


# For servers that leave the status out.
_STATUS_BY_EVENT = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}

# Servers that do not name their events make us parse all.
_FACT_EVENTS = frozenset(
    {DEFAULT_EVENT, "error", "response.queued", "response.created", "response.in_progress", *_STATUS_BY_EVENT}
)

_RUNNING = frozenset({"queued", "in_progress"})
_FAILED = "failed"


def recognises(answer: JsonObject) -> bool:
    return text_in(answer, "object") in ("response", "response.compaction") or (
        (text_in(answer, "type") or "").startswith("response.")
    )


def read_answer(answer: JsonObject) -> ResponseFacts:
    usage = object_in(answer, "usage")
    finish_reason = _finish_reason(answer)
    return ResponseFacts(
        model=text_in(answer, "model"),
        usage=read_usage(usage, "input", "output"),
        response_id=text_in(answer, "id"),
        finish_reason=finish_reason,
        note=error_message(answer),
        billing=_with_tool_calls(read_billing(answer, usage, "input", "output"), answer),
        has_failed=finish_reason == _FAILED or states_error(answer),
    )


def read_stream(stream: Stream) -> ResponseFacts:
    # The last event that carries the response says all.
    error = None
    has_failed = False
    facts = ResponseFacts()
    for name, data in reversed(stream.all_events):
        event = parse_object(data) if name in _FACT_EVENTS else None
        if event is None:
            continue
        error = error or error_message(event)
        has_failed = has_failed or states_error(event)
        if response := object_in(event, "response"):
            facts = read_answer(_with_status(event, response))
            break
    has_failed, has_ended = has_failed or facts.has_failed, facts.finish_reason is not None
    return replace(facts, note=error or facts.note, has_failed=has_failed, has_ended=has_ended)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    # The last event has the whole response; of a cut stream it is built from deltas.
    carriers = [_with_status(event, found) for event in events if (found := object_in(event, "response"))]
    if carriers and _finish_reason(carriers[-1]) is not None:
        return carriers[-1]
    output = build_output(events)
    errors = [_read_error(event) for event in events if event.get("type") == "error"]
    if not carriers and not output and not errors:
        return None
    whole = {"object": "response"} | (carriers[-1] if carriers else {}) | {"output": output}
    return whole | {"error": errors[-1]} if errors else whole


def _with_status(event: JsonObject, response: JsonObject) -> JsonObject:
    status = _STATUS_BY_EVENT.get(text_in(event, "type") or "")
    return response if status is None or "status" in response else response | {"status": status}


def _finish_reason(response: JsonObject) -> str | None:
    status = text_in(response, "status")
    reason = text_in(object_in(response, "incomplete_details"), "reason")
    if status is None or status in _RUNNING:
        return None
    return f"{status}:{reason}" if reason else status


def _with_tool_calls(billing: Billing, answer: JsonObject) -> Billing:
    # Searches are billed by the call; opening a page that was found is not.
    searches = storage_searches = 0
    for item in objects_in(answer, "output"):
        if item.get("type") == "web_search_call":
            searches += text_in(object_in(item, "action"), "type") in (None, "search")
        storage_searches += item.get("type") == "file_search_call"
    units = without_zeros({"web_searches": searches, "storage_searches": storage_searches})
    return replace(billing, units={**billing.units, **units}) if units else billing


def _read_error(event: JsonObject) -> JsonObject:
    return object_in(event, "error") or {"code": event.get("code"), "message": event.get("message")}


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild)
