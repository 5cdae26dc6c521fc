"""Amazon Bedrock: Converse, models invoked in their own shapes, counts in headers."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby

from gateway.models.conversation import Message, Part, Reasoning, Text
from gateway.models.exchange import RawHeaders, first_value
from gateway.models.request import NO_BILLING, Billing, Usage
from gateway.wire import anthropic, conversation, formats, openai_chat
from gateway.wire.event_streams import Stream
from gateway.wire.json_fields import (
    MAX_COUNT,
    MAX_TEXT,
    JsonObject,
    count_in,
    first_count,
    group_by_index,
    index_in,
    join_deltas,
    join_text,
    last_values,
    object_in,
    objects_in,
    parse_object,
    parse_tool_input,
    text_in,
)
from gateway.wire.openai_usage import read_usage, usage_beside_cache

# The last event of an invoked model's stream has it, whichever model it is.
METRICS_FIELD = "amazon-bedrock-invocationMetrics"

_REQUEST_ID_HEADER = b"x-amzn-requestid"
_TIER_HEADER = b"x-amzn-bedrock-service-tier"
# Counts in headers, by the names in METRICS_FIELD.
_COUNT_HEADERS = {
    "inputTokenCount": b"x-amzn-bedrock-input-token-count",
    "outputTokenCount": b"x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": b"x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": b"x-amzn-bedrock-cache-write-input-token-count",
}

# Types of events. Invoked, Nova puts each event into a field that is called so.
_CONTENT_EVENTS = ("contentBlockStart", "contentBlockDelta", "contentBlockStop")
_WRAPPERS = ("messageStart", *_CONTENT_EVENTS, "messageStop", "metadata")

_ENDS = (
    "stopReason",
    "usage",
    "metrics",
    "additionalModelResponseFields",
    "trace",
    "performanceConfig",
    "serviceTier",
)


class BedrockFormat(formats.JsonFormat):
    """A JsonFormat whose answers state in their headers what their bodies leave out."""

    def read_request(self, request: formats.WireMessage) -> formats.RequestFacts:
        # The path names the model, whatever the model's own body says.
        asked = super().read_request(request)
        return replace(asked, model=formats.model_in_path(request.path) or asked.model)

    def read_response(self, response: formats.WireMessage) -> formats.ResponseFacts:
        facts = fill_counts(super().read_response(response), _read_count_headers(response.headers))
        tier = first_value(response.headers, _TIER_HEADER).decode("latin-1")
        if tier and "service_tier" not in facts.billing.terms:
            facts = replace(facts, billing=_with_tier(facts.billing, tier))
        request_id = first_value(response.headers, _REQUEST_ID_HEADER).decode("latin-1")
        if not 0 < len(request_id) <= MAX_TEXT or request_id == facts.response_id:
            return facts
        # Callers by way of boto3 have this one in any case: ResponseMetadata.RequestId.
        if facts.response_id is None:
            return replace(facts, response_id=request_id)
        return replace(facts, other_ids=(*facts.other_ids, request_id))


def fill_counts(facts: formats.ResponseFacts, counts: JsonObject) -> formats.ResponseFacts:
    """Return the facts with these counts on the side on which they have none."""
    own, usage = read_counts(counts), facts.usage
    if usage.prompt_tokens is None and own.prompt_tokens is not None:
        usage = replace(own, completion_tokens=usage.completion_tokens)
    if usage.completion_tokens is None and own.completion_tokens is not None:
        usage = replace(usage, completion_tokens=own.completion_tokens)
    return facts if usage is facts.usage else replace(facts, usage=usage)


def read_counts(counts: JsonObject) -> Usage:
    """Return tokens under the names of METRICS_FIELD, or Converse's for the same."""
    names = ("inputToken", "cacheReadInputToken", "cacheWriteInputToken", "outputToken")
    return usage_beside_cache(*(first_count((counts, f"{key}s"), (counts, f"{key}Count")) for key in names))


def recognises_converse(answer: JsonObject) -> bool:
    """Tell whether an answer is Converse's, or the first event of one."""
    begun = answer.get("messageStart", answer)
    if isinstance(begun, dict) and isinstance(begun.get("role"), str) and begun.keys() <= {"role", "p"}:
        return True
    return "stopReason" in answer and isinstance(object_in(answer, "output").get("message"), dict)


def read_converse(answer: JsonObject) -> formats.ResponseFacts:
    usage = object_in(answer, "usage")
    return formats.ResponseFacts(
        # Only a prompt router says who answered.
        model=text_in(object_in(object_in(answer, "trace"), "promptRouter"), "invokedModelId"),
        usage=read_counts(usage),
        finish_reason=text_in(answer, "stopReason"),
        note=formats.error_message(answer),
        billing=_read_billing(answer, usage),
        has_failed=formats.states_error(answer),
    )


def read_converse_stream(stream: Stream) -> formats.ResponseFacts:
    parsed = (
        parse_object(data)
        for name, data in stream.all_events
        if name not in _CONTENT_EVENTS and not data.startswith(b'{"contentBlock')
    )
    return read_converse(_build_envelope(event for event in parsed if event is not None))


def rebuild_converse(events: list[JsonObject]) -> JsonObject | None:
    whole = _build_envelope(events)
    blocks = _build_blocks(events)
    if blocks:
        message = object_in(object_in(whole, "output"), "message")
        whole["output"] = {"message": {"role": "assistant"} | message | {"content": blocks}}
    return whole or None


def _read_count_headers(headers: RawHeaders) -> JsonObject:
    found: JsonObject = {}
    for name, header in _COUNT_HEADERS.items():
        text = first_value(headers, header)
        if text.isdigit() and len(text) <= len(str(MAX_COUNT)):
            found[name] = int(text)
    return found


def _read_billing(answer: JsonObject, usage: JsonObject) -> Billing:
    details = objects_in(usage, "cacheDetails")
    written = [count_in(detail, "inputTokens") or 0 for detail in details if detail.get("ttl") == "1h"]
    tier = text_in(object_in(answer, "serviceTier"), "type")
    billing = Billing(units={"cache_write_1h_tokens": sum(written)}) if any(written) else NO_BILLING
    return _with_tier(billing, tier) if tier else billing


def _with_tier(billing: Billing, tier: str) -> Billing:
    if tier == "default" or len(tier) > MAX_TEXT:
        return billing
    return replace(billing, terms={**billing.terms, "service_tier": tier})


def _unwrap_event(event: JsonObject) -> JsonObject:
    return next((inner for name in _WRAPPERS if isinstance(inner := event.get(name), dict)), event)


def _build_envelope(events: Iterable[JsonObject]) -> JsonObject:
    whole: JsonObject = {}
    for event in map(_unwrap_event, events):
        if formats.states_error(event):
            whole["error"] = event.get("error") or event
        elif isinstance(event.get("role"), str):
            whole["output"] = {"message": {"role": event["role"], "content": []}}
        else:
            whole |= {name: event[name] for name in _ENDS if event.get(name) is not None}
    return whole


def _build_blocks(events: Iterable[JsonObject]) -> list[JsonObject]:
    pieces = (
        (index_in(event, "contentBlockIndex"), piece)
        for event in map(_unwrap_event, events)
        for key in ("start", "delta")
        if (piece := object_in(event, key))
    )
    return list(map(_build_block, group_by_index(pieces)))


def _build_block(pieces: list[JsonObject]) -> JsonObject:
    citations = [piece["citation"] for piece in pieces if "citation" in piece]
    results = [part for piece in pieces for part in objects_in(piece, "toolResult")]
    begun = [one for one in pieces if "citation" not in one and not isinstance(one.get("toolResult"), list)]
    block = join_deltas(begun)
    if isinstance(called := block.get("toolUse"), dict):
        called["input"] = parse_tool_input(join_text([called.get("input")]), {})
    if isinstance(reasoning := block.get("reasoningContent"), dict) and "redactedContent" not in reasoning:
        block["reasoningContent"] = {"reasoningText": reasoning}
    if results:
        block["toolResult"] = object_in(block, "toolResult") | {"content": _join_results(results)}
    if citations:
        text = block.pop("text", None)
        content = [] if text is None else [{"text": text}]
        block["citationsContent"] = {"content": content, "citations": citations}
    return block


def _join_results(parts: list[JsonObject]) -> list[JsonObject]:
    joined: list[JsonObject] = []
    for is_text, group in groupby(parts, lambda part: isinstance(part.get("text"), str)):
        found = list(group)
        joined += [{"text": join_text([part["text"] for part in found])}] if is_text else found
    return joined


def read_block(block: object, depth: int) -> list[Part]:
    """Return the parts that a block of Converse's is, or one of a model's own shape."""
    if not isinstance(block, dict) or "type" in block or depth <= 0:
        return conversation.read_part(block, depth)
    if called := object_in(block, "toolUse"):
        return [conversation.read_tool_call(called.get("toolUseId"), called.get("name"), called.get("input"))]
    if result := object_in(block, "toolResult"):
        call_id, content = result.get("toolUseId"), result.get("content")
        return [conversation.read_tool_result(call_id, content, read=read_block, depth=depth)]
    if reasoning := object_in(block, "reasoningContent"):
        return [Reasoning(conversation.text_of(object_in(reasoning, "reasoningText").get("text")))]
    if guarded := object_in(block, "guardContent"):
        return conversation.read_part(object_in(guarded, "text") or guarded, depth)
    if cited := object_in(block, "citationsContent"):
        return conversation.read_parts(cited.get("content"), read_block, depth - 1)
    if "json" in block:
        return [Text(conversation.json_text(block["json"]))]
    return conversation.read_part(block, depth)


CONVERSE = BedrockFormat(
    recognises_converse,
    read_converse,
    read_converse_stream,
    rebuild_converse,
    lambda _: None,
    read_input=lambda request: conversation.read_input(request, read_block),
    read_output=lambda answer: conversation.read_output(answer, read_block),
)


# The answers stand in one of these where there may be several.
_PART_FIELDS = ("results", "outputs", "generations", "choices", "completions")

_TEXT_FIELDS = ("generation", "outputText", "completion", "text")
_REASON_FIELDS = ("stop_reason", "finish_reason", "completionReason", "finishReason", "stopReason")
_ID_FIELDS = ("id", "response_id", "generation_id")
_EVENT_FIELDS = ("index", "is_finished", "event_type", METRICS_FIELD)


def read_invoked(answer: JsonObject) -> formats.ResponseFacts:
    return fill_counts(_body_format(answer).read_answer(answer), object_in(answer, METRICS_FIELD))


def read_invoked_stream(stream: Stream) -> formats.ResponseFacts:
    facts = _body_format(next(filter(None, stream.objects()), {})).read_events(stream)
    metrics = _last_metrics(stream)
    if metrics and not facts.has_ended:
        facts = replace(facts, has_ended=True, note=None if facts.note == formats.ENDED_EARLY else facts.note)
    return fill_counts(facts, metrics)


def rebuild_invoked(events: list[JsonObject]) -> JsonObject | None:
    # The metrics stay in the answer where it has no counts of its own.
    shape = _body_format(next((event for event in events if event), {}))
    whole = shape.rebuild(events)
    metrics = next((found for event in reversed(events) if (found := object_in(event, METRICS_FIELD))), {})
    if whole is None or not metrics:
        return whole
    counted = shape.read_answer(whole)
    is_alone = fill_counts(counted, metrics) is not counted
    return whole | {METRICS_FIELD: metrics} if is_alone else whole


def read_invoked_user(request: JsonObject) -> str | None:
    return anthropic.read_user(request) or text_in(request, "user")


def _body_format(answer: JsonObject) -> formats.JsonFormat:
    """The format of an answer, or of the stream that begins with it."""
    if anthropic.recognises_message(answer):
        return anthropic.MESSAGES
    if recognises_converse(answer):
        return CONVERSE
    # Mistral's and DeepSeek's have choices as well, but neither deltas nor a `finish_reason`.
    first = next(iter(objects_in(answer, "choices")), {})
    if "object" in answer or "delta" in first or "finish_reason" in first:
        return openai_chat.FORMAT
    return _PLAIN_BODIES


def _last_metrics(stream: Stream) -> JsonObject:
    name = METRICS_FIELD.encode()
    ends = (parse_object(data) for _, data in reversed(stream.all_events) if name in data)
    return object_in(next((end for end in ends if end is not None), {}), METRICS_FIELD)


def _read_plain(answer: JsonObject) -> formats.ResponseFacts:
    part = _first_part(answer)
    reasons = (text_in(source, name) for source in (answer, part) for name in _REASON_FIELDS)
    finish_reason = next(filter(None, reasons), None)
    return formats.ResponseFacts(
        usage=_read_plain_usage(answer, part),
        response_id=next((found for name in _ID_FIELDS if (found := text_in(answer, name))), None),
        finish_reason=finish_reason,
        # What comes under `message` is an error only where there is no answer: one model writes its text there.
        note=formats.error_message(answer) if finish_reason is None or formats.states_error(answer) else None,
        has_failed=formats.states_error(answer),
    )


def _read_plain_usage(answer: JsonObject, part: JsonObject) -> Usage:
    usage = object_in(answer, "usage")
    billed = object_in(usage, "billed_units") or object_in(object_in(answer, "meta"), "billed_units")
    prompt = first_count(
        (answer, "prompt_token_count"), (answer, "inputTextTokenCount"), (billed, "input_tokens")
    )
    completion = first_count(
        (answer, "generation_token_count"), (part, "tokenCount"), (billed, "output_tokens")
    )
    if prompt is None and completion is None:
        return read_usage(usage)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def _rebuild_plain(events: list[JsonObject]) -> JsonObject | None:
    whole = last_values(events)
    if response := object_in(whole, "response"):
        # Cohere's last event repeats the answer.
        return {name: whole[name] for name in ("finish_reason", "error") if whole.get(name)} | response
    for name in _PART_FIELDS:
        if any(objects_in(event, name) for event in events):
            whole[name] = _join_plain_parts(events, name)
    for name in _TEXT_FIELDS:
        if isinstance(whole.get(name), str):
            whole[name] = join_text([event.get(name) for event in events])
    if formats.states_error(whole):
        whole.pop("type", None)
    is_titan = "outputText" in whole
    is_command = "is_finished" in whole and "event_type" not in whole and "generations" not in whole
    for name in _EVENT_FIELDS:
        whole.pop(name, None)
    if is_titan:
        return _to_titan_answer(whole)
    if is_command:
        said = {name: whole.pop(name) for name in ("text", "finish_reason") if name in whole}
        whole["generations"] = [said]
    return whole or None


def _to_titan_answer(whole: JsonObject) -> JsonObject:
    count = whole.pop("totalOutputTextTokenCount", None)
    said = {name: whole.pop(name, None) for name in ("outputText", "completionReason")}
    return whole | {"results": [{"tokenCount": count} | said]}


def _join_plain_parts(events: Iterable[JsonObject], name: str) -> list[JsonObject]:
    pieces = (
        (index_in(part) if "index" in part else position, part)
        for event in events
        for position, part in enumerate(objects_in(event, name))
    )
    return list(map(join_deltas, group_by_index(pieces)))


def _first_part(answer: JsonObject) -> JsonObject:
    return next((parts[0] for name in _PART_FIELDS if (parts := objects_in(answer, name))), {})


_PLAIN_BODIES = formats.JsonFormat(lambda _: False, _read_plain, rebuild=_rebuild_plain)


def _read_invoked_output(answer: JsonObject) -> Iterable[Message]:
    if isinstance(answer.get("message"), str) and text_in(answer, "finishReason"):
        # TwelveLabs' Pegasus calls its text so.
        answer = {"text": answer["message"]} | answer
    return _body_format(answer).read_output(answer)


INVOKE = BedrockFormat(
    lambda _: False,
    read_invoked,
    read_invoked_stream,
    rebuild_invoked,
    read_invoked_user,
    read_input=CONVERSE.read_input,
    read_output=_read_invoked_output,
)
