"""Anthropic's Messages, streamed or not, and batches of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import unquote

from gateway.models.conversation import Conversation
from gateway.models.request import NO_BILLING, Billing, Charge, Usage
from gateway.wire.event_streams import DEFAULT_EVENT, MAX_EVENTS, Stream
from gateway.wire.formats import (
    JsonFormat,
    RequestFacts,
    ResponseFacts,
    WireMessage,
    error_message,
    model_in_path,
    states_error,
    unreadable_note,
)
from gateway.wire.json_fields import (
    MAX_TEXT,
    JsonObject,
    count_in,
    first_count,
    index_in,
    join_text,
    object_in,
    objects_in,
    parse_object,
    parse_tool_input,
    text_in,
)
from gateway.wire.openai_usage import add_usage, stated_cost, usage_beside_cache

# Events that say more than a piece of text.
_FACT_EVENTS = frozenset({"message_start", "message_delta", "error"})
# The counts at the top are the sum of these iterations.
_COUNTED_ITERATIONS = frozenset({"message", "fallback_message", None})
# Bedrock, and servers that do not name events, make us parse most of them.
_UNNAMED_EVENTS = frozenset({DEFAULT_EVENT, "chunk"})

_DELTA_TYPES = (b'"content_block_delta"', b'"ping"')


def recognises_message(answer: JsonObject) -> bool:
    """Tell whether an answer is a message, or an event of one."""
    return answer.get("type") in ("message", "message_start") or "stop_sequence" in answer


def read_user(request: JsonObject) -> str | None:
    return text_in(object_in(request, "metadata"), "user_id")


def read_message_stream(stream: Stream) -> ResponseFacts:
    events: list[JsonObject] = []
    has_ended = False
    for name, data in stream.all_events:
        if name in _FACT_EVENTS or (
            name in _UNNAMED_EVENTS and not any(kind in data[:64] for kind in _DELTA_TYPES)
        ):
            event = parse_object(data)
            if event is not None:
                events.append(event)
                has_ended = has_ended or event.get("type") == "message_stop"
        elif name == "message_stop":
            has_ended = True
    message = _build_envelope(_last_message_events(events))
    has_ended = has_ended or text_in(message, "stop_reason") is not None
    return read_message(message, has_ended, _other_ids(events))


def read_message(
    message: JsonObject, has_ended: bool | None = None, other_ids: tuple[str, ...] = ()
) -> ResponseFacts:
    usage = object_in(message, "usage")
    finish_reason, note = text_in(message, "stop_reason"), error_message(message)
    counted = _read_usage(usage)
    if has_ended is not None and finish_reason is None:
        # The first event's output count is not the answer's; only the last one has that.
        counted = replace(counted, completion_tokens=None)
    charges: tuple[Charge, ...] = ()
    if "iterations" in usage:
        parts = objects_in(usage, "iterations")
        extra = [part for part in parts if text_in(part, "type") not in _COUNTED_ITERATIONS]
        charges = tuple(_read_charge(part, message) for part in extra)
        counted = add_usage([counted, *(charge.usage for charge in charges)])
    return ResponseFacts(
        model=text_in(message, "model"),
        usage=counted,
        response_id=text_in(message, "id"),
        finish_reason=finish_reason,
        note=note,
        billing=_read_billing(usage, charges),
        has_failed=states_error(message),
        has_ended=has_ended,
        other_ids=other_ids,
    )


def rebuild_message(events: list[JsonObject]) -> JsonObject | None:
    # Where a server began again, the last message is the answer.
    events = _last_message_events(events)
    message = _build_envelope(events)
    blocks = _build_blocks(events)
    return message | {"content": blocks} if blocks else message or None


def _last_message_events(events: list[JsonObject]) -> list[JsonObject]:
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
    indexes = sorted(starts.keys() | deltas.keys())
    return [_build_block(starts.get(index, {}), deltas.get(index, [])) for index in indexes]


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
        block["input"] = parse_tool_input(join_text(pieces), block.get("input"))
    for key, texts in added.items():
        block[key] = join_text([block.get(key), *texts])
    return block


def _known(fields: JsonObject) -> JsonObject:
    return {key: value for key, value in fields.items() if value is not None}


def _read_usage(usage: JsonObject) -> Usage:
    return usage_beside_cache(
        count_in(usage, "input_tokens"),
        count_in(usage, "cache_read_input_tokens"),
        first_count((usage, "cache_creation_input_tokens"), (usage, "cache_write_input_tokens")),
        count_in(usage, "output_tokens"),
        count_in(object_in(usage, "output_tokens_details"), "thinking_tokens"),
    )


def _merge_usage(earlier: JsonObject, later: JsonObject) -> JsonObject:
    # Counts run up to the last, but none becomes zero again; the output count at the start is not the answer's.
    zeros = (key for key, value in later.items() if value == 0 and key != "output_tokens")
    kept = {key: earlier[key] for key in zeros if earlier.get(key)}
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
        return NO_BILLING
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


MESSAGES = JsonFormat(recognises_message, read_message, read_message_stream, rebuild_message, read_user)


_BATCH_IN_PATH = re.compile(r"/batches/([^/?]+)/results(?:[/?]|$)")
_MODEL_FIELD = "model"


def read_batch(answer: JsonObject) -> ResponseFacts:
    return ResponseFacts(
        response_id=text_in(answer, "id"), note=error_message(answer), has_failed=states_error(answer)
    )


class _BatchFormat(JsonFormat):
    def read_request(self, request: WireMessage) -> RequestFacts:
        asked = parse_object(request.body) or {}
        models = {text_in(object_in(one, "params"), _MODEL_FIELD) for one in objects_in(asked, "requests")}
        return RequestFacts(model=models.pop() if len(models) == 1 else model_in_path(request.path))


class BatchResultsFormat:
    """The WireFormat of results: usage is the sum over all messages, each at the batch price of its own model."""

    def recognises(self, answer: JsonObject) -> bool:
        """Tell whether an answer's first line is a result."""
        return "custom_id" in answer and "type" in object_in(answer, "result")

    def read_request(self, request: WireMessage) -> RequestFacts:
        return RequestFacts()

    def read_response(self, response: WireMessage) -> ResponseFacts:
        found = _BATCH_IN_PATH.search(response.path)
        batch_id = unquote(found[1]) if found else None
        parsed = map(parse_object, response.body.split(b"\n", MAX_EVENTS)[:MAX_EVENTS])
        lines = [line for line in parsed if line is not None]
        if len(lines) == 1 and states_error(lines[0]) and "custom_id" not in lines[0]:
            return ResponseFacts(note=error_message(lines[0]), has_failed=True)
        if response.body.strip() and not lines:
            return ResponseFacts(note=unreadable_note("response", response.body))
        messages = [message for line in lines if (message := object_in(object_in(line, "result"), "message"))]
        charges = _add_charges(charge for message in messages for charge in _message_charges(message))
        own, others = (charges[0], charges[1:]) if charges else (Charge(), ())
        return ResponseFacts(
            model=own.model,
            usage=add_usage(charge.usage for charge in charges),
            response_id=batch_id if batch_id and len(batch_id) <= MAX_TEXT else None,
            billing=Billing(units=own.units, terms=own.terms, others=tuple(others)),
        )

    def reassemble(self, content_type: str, body: bytes) -> None:
        return None

    def conversation(self, request: WireMessage, response: WireMessage) -> Conversation:
        # A batch is of many.
        return Conversation()


def _message_charges(message: JsonObject) -> list[Charge]:
    facts = read_message(message)
    extra_charges = facts.billing.others
    own = facts.usage.without([charge.usage for charge in extra_charges])
    return [
        Charge(facts.model, own, facts.billing.units, facts.billing.terms),
        *(Charge(each.model or facts.model, each.usage, each.units, each.terms) for each in extra_charges),
    ]


def _add_charges(charges: Iterable[Charge]) -> list[Charge]:
    """Return one charge for each model and terms."""
    alike: dict[tuple[object, ...], list[Charge]] = {}
    for charge in charges:
        # All have the batch price, whether they say so or not.
        terms = dict(charge.terms) | {"processing": "batch"}
        alike.setdefault((charge.model, *sorted(terms.items())), []).append(charge)
    return [_sum_charges(found) for found in alike.values()]


def _sum_charges(charges: list[Charge]) -> Charge:
    units: dict[str, float] = {}
    for charge in charges:
        for name, count in charge.units.items():
            units[name] = units.get(name, 0) + count
    terms = dict(charges[0].terms) | {"processing": "batch"}
    return Charge(charges[0].model, add_usage(charge.usage for charge in charges), units, terms)


BATCHES = _BatchFormat(
    lambda answer: answer.get("type") == "message_batch",
    read_batch,
    lambda stream: ResponseFacts(note="a batch came as a stream of events", has_ended=True),
    read_input=lambda _: (),
    read_output=lambda _: (),
)
BATCH_RESULTS = BatchResultsFormat()
