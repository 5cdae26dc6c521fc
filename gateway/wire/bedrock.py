"""Amazon Bedrock: Converse, which has one shape for all models, and what both of its calls say in headers.

Source: boto3 1.44's model of `bedrock-runtime`; Amazon Bedrock user guide, "Prompt caching" (tokens that were
cached are counted beside the others) and "Inference request parameters and response fields".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from gateway.domain.exchange import RawHeaders, first_value
from gateway.domain.request import NOTHING_STATED, Billing, Usage
from gateway.wire.endpoint import model_in_path
from gateway.wire.fields import (
    MAX_COUNT,
    MAX_TEXT,
    JsonObject,
    count_in,
    first_count,
    index_in,
    object_in,
    objects_in,
    parse_object,
    text_in,
)
from gateway.wire.folding import fold, join_text, parse_input
from gateway.wire.format import Answered, Asked, WireMessage
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message, states_error
from gateway.wire.sse import Stream

METRICS = "amazon-bedrock-invocationMetrics"
"""Field that the last event of an invoked model's stream has, whichever model it is."""

_REQUEST_ID = b"x-amzn-requestid"
_TIER = b"x-amzn-bedrock-service-tier"
_COUNTS = {
    "inputTokenCount": b"x-amzn-bedrock-input-token-count",
    "outputTokenCount": b"x-amzn-bedrock-output-token-count",
    "cacheReadInputTokenCount": b"x-amzn-bedrock-cache-read-input-token-count",
    "cacheWriteInputTokenCount": b"x-amzn-bedrock-cache-write-input-token-count",
}
"""Headers with counts, by what METRICS call the same."""

_WRAPPED = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)
"""Types of events. Invoked, Nova puts each event into a field that is called so."""

_SILENT = frozenset({"contentBlockStart", "contentBlockDelta", "contentBlockStop"})
"""Types of events that tell nothing but content."""

_AT_THE_END = (
    "stopReason",
    "usage",
    "metrics",
    "additionalModelResponseFields",
    "trace",
    "performanceConfig",
    "serviceTier",
)


@dataclass(frozen=True, slots=True)
class BedrockFormat:
    """A WireFormat whose answers say in their headers what their bodies leave out.

    Args:
        body: what the bodies say.
    """

    body: JsonFormat

    def recognises(self, answer: JsonObject) -> bool:
        """Tell whether an answer, or a stream's first object, calls itself one of this format."""
        return self.body.recognises(answer)

    def read_request(self, request: WireMessage) -> Asked:
        """Return what the request says. The path names the model, whatever the model's own body says."""
        asked = self.body.read_request(request)
        return replace(asked, model=model_in_path(request.path) or asked.model)

    def read_response(self, response: WireMessage) -> Answered:
        """Return what the response says."""
        answered = with_counts(self.body.read_response(response), _counts_in(response.headers))
        tier = first_value(response.headers, _TIER).decode("latin-1")
        if tier and "service_tier" not in answered.billing.terms:
            answered = replace(answered, billing=_with_tier(answered.billing, tier))
        request_id = first_value(response.headers, _REQUEST_ID).decode("latin-1")
        if not 0 < len(request_id) <= MAX_TEXT or request_id == answered.response_id:
            return answered
        # Who called by way of boto3 holds this one in any case: ResponseMetadata.RequestId.
        if answered.response_id is None:
            return replace(answered, response_id=request_id)
        return replace(answered, other_ids=(*answered.other_ids, request_id))

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a streamed answer as one object."""
        return self.body.reassemble(content_type, body)


def with_counts(answered: Answered, counts: JsonObject) -> Answered:
    """Return the answer with these counts, as METRICS have them, on the side on which it has none of its own."""
    own, usage = read_counts(counts), answered.usage
    if usage.prompt_tokens is None and own.prompt_tokens is not None:
        usage = replace(own, completion_tokens=usage.completion_tokens)
    if usage.completion_tokens is None and own.completion_tokens is not None:
        usage = replace(usage, completion_tokens=own.completion_tokens)
    return answered if usage is answered.usage else replace(answered, usage=usage)


def read_counts(counts: JsonObject) -> Usage:
    """Return tokens under the names that METRICS have, or those that Converse has for the same."""
    fresh = first_count((counts, "inputTokens"), (counts, "inputTokenCount"))
    cached = first_count((counts, "cacheReadInputTokens"), (counts, "cacheReadInputTokenCount"))
    written = first_count((counts, "cacheWriteInputTokens"), (counts, "cacheWriteInputTokenCount"))
    return Usage(
        prompt_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
        completion_tokens=first_count((counts, "outputTokens"), (counts, "outputTokenCount")),
        cached_tokens=cached,
        cache_write_tokens=written,
    )


def recognises(answer: JsonObject) -> bool:
    """Tell whether an answer is Converse's, or the first event of one."""
    begun = answer.get("messageStart", answer)
    if isinstance(begun, dict) and isinstance(begun.get("role"), str) and begun.keys() <= {"role", "p"}:
        return True
    return "stopReason" in answer and isinstance(object_in(answer, "output").get("message"), dict)


def read_answer(answer: JsonObject) -> Answered:
    """Return what an answer of Converse, or an error in its place, says."""
    usage = object_in(answer, "usage")
    return Answered(
        # Only a prompt router says who answered.
        model=text_in(object_in(object_in(answer, "trace"), "promptRouter"), "invokedModelId"),
        usage=read_counts(usage),
        finish_reason=text_in(answer, "stopReason"),
        note=error_message(answer),
        billing=_read_billing(answer, usage),
        has_failed=states_error(answer),
    )


def read_stream(stream: Stream) -> Answered:
    """Return what a stream of Converse says."""
    parsed = (
        parse_object(data)
        for name, data in stream.arrived
        if name not in _SILENT and not data.startswith(b'{"contentBlock')
    )
    answered = read_answer(_build_envelope(event for event in parsed if event is not None))
    is_over = answered.finish_reason is not None
    note = answered.note or (None if is_over or answered.has_failed else ENDED_EARLY)
    return replace(answered, note=note, is_over=is_over)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the answer that these events build."""
    whole = _build_envelope(events)
    blocks = _build_blocks(events)
    if blocks:
        message = object_in(object_in(whole, "output"), "message")
        whole["output"] = {"message": {"role": "assistant"} | message | {"content": blocks}}
    return whole or None


def _counts_in(headers: RawHeaders) -> JsonObject:
    found: JsonObject = {}
    for name, header in _COUNTS.items():
        text = first_value(headers, header)
        if text.isdigit() and len(text) <= len(str(MAX_COUNT)):
            found[name] = int(text)
    return found


def _read_billing(answer: JsonObject, usage: JsonObject) -> Billing:
    written = [
        count_in(detail, "inputTokens") or 0
        for detail in objects_in(usage, "cacheDetails")
        if detail.get("ttl") == "1h"
    ]
    tier = text_in(object_in(answer, "serviceTier"), "type")
    billing = Billing(units={"cache_write_1h_tokens": sum(written)}) if any(written) else NOTHING_STATED
    return _with_tier(billing, tier) if tier else billing


def _with_tier(billing: Billing, tier: str) -> Billing:
    if tier == "default" or len(tier) > MAX_TEXT:
        return billing
    return replace(billing, terms={**billing.terms, "service_tier": tier})


def _unwrapped(event: JsonObject) -> JsonObject:
    return next((inner for name in _WRAPPED if isinstance(inner := event.get(name), dict)), event)


def _build_envelope(events: Iterable[JsonObject]) -> JsonObject:
    whole: JsonObject = {}
    for event in map(_unwrapped, events):
        if states_error(event):
            whole["error"] = event.get("error") or event
        elif isinstance(event.get("role"), str):
            whole["output"] = {"message": {"role": event["role"], "content": []}}
        else:
            whole |= {name: event[name] for name in _AT_THE_END if event.get(name) is not None}
    return whole


def _build_blocks(events: Iterable[JsonObject]) -> list[JsonObject]:
    pieces: dict[int, list[JsonObject]] = {}
    for event in map(_unwrapped, events):
        for key in ("start", "delta"):
            if piece := object_in(event, key):
                pieces.setdefault(index_in(event, "contentBlockIndex"), []).append(piece)
    return [_build_block(pieces[index]) for index in sorted(pieces)]


def _build_block(pieces: list[JsonObject]) -> JsonObject:
    citations = [piece["citation"] for piece in pieces if "citation" in piece]
    results = [part for piece in pieces for part in objects_in(piece, "toolResult")]
    begun = [
        piece for piece in pieces if "citation" not in piece and not isinstance(piece.get("toolResult"), list)
    ]
    block = fold(begun)
    if isinstance(called := block.get("toolUse"), dict):
        called["input"] = parse_input(join_text([called.get("input")]), {})
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


CONVERSE = JsonFormat(recognises, read_answer, read_stream, rebuild, lambda _: None)
"""What Converse's bodies say."""

FORMAT = BedrockFormat(CONVERSE)
