"""Cohere's chat of both versions, generation, embeddings and classification.

Sources: https://docs.cohere.com/reference; types of the SDK `cohere` 7.3.1.
"""

from dataclasses import replace

from gateway.models.request import NO_BILLING, Billing, Usage
from gateway.wire.event_streams import Stream
from gateway.wire.formats import JsonFormat, ResponseFacts, error_message, states_error
from gateway.wire.json_fields import (
    JsonObject,
    count_in,
    group_by_index,
    index_in,
    join_deltas,
    join_text,
    object_in,
    objects_in,
    text_in,
    without_zeros,
)
from gateway.wire.openai_usage import read_usage

# `ERROR_TOXIC` and `ERROR_LIMIT` are blocks and length stops.
_FAILED_REASONS = frozenset({"ERROR", "TIMEOUT"})

_ERROR_END_EVENT = "stream-error"
_END_EVENTS = ("message-end", "stream-end", _ERROR_END_EVENT)


def recognises(answer: JsonObject) -> bool:
    return (
        text_in(answer, "event_type") is not None
        or text_in(answer, "type") == "message-start"
        or "billed_units" in object_in(answer, "usage")
        or ("text" in answer and "billed_units" in object_in(answer, "meta"))
    )


def read_answer(answer: JsonObject) -> ResponseFacts:
    usage, billing = read_billed(answer)
    generation = next(iter(objects_in(answer, "generations")), {})
    # A stream shows the first of these from its start; it is the one that feedback is meant to name.
    ids = [found for name in ("generation_id", "response_id", "id") if (found := text_in(answer, name))]
    finish_reason = text_in(answer, "finish_reason") or text_in(generation, "finish_reason")
    # A message that is text is an error's; the answer's own is an object.
    note = error_message(answer) or text_in(answer, "err")
    return ResponseFacts(
        model=text_in(answer, "model"),
        usage=usage,
        response_id=ids[0] if ids else None,
        finish_reason=finish_reason,
        note=note,
        billing=billing,
        has_failed=note is not None or states_error(answer) or finish_reason in _FAILED_REASONS,
        other_ids=tuple(ids[1:]),
    )


def read_billed(answer: JsonObject) -> tuple[Usage, Billing]:
    """Return what is billed, which is less than what the model saw; that where nothing else is stated."""
    said = object_in(answer, "usage") or object_in(answer, "meta")
    billed = object_in(said, "billed_units")
    counted = billed if _counts_tokens(billed) or not object_in(said, "tokens") else object_in(said, "tokens")
    prompt_tokens, image_tokens = count_in(counted, "input_tokens"), count_in(counted, "image_tokens")
    if prompt_tokens is None or (image_tokens or 0) > prompt_tokens:
        parts = (prompt_tokens, image_tokens, count_in(counted, "text_tokens"))
        prompt_tokens = sum(part or 0 for part in parts) if any(part is not None for part in parts) else None
    cached_tokens = count_in(said, "cached_tokens")
    usage = Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=count_in(counted, "output_tokens"),
        # Of what the model saw, which is more than what is billed: no part of it where it is larger.
        cached_tokens=cached_tokens
        if cached_tokens is not None and cached_tokens <= (prompt_tokens or 0)
        else None,
    )
    if not billed and usage == Usage():
        return read_usage(said), NO_BILLING
    found = {
        "rerank_searches": count_in(billed, "search_units"),
        "input_image_tokens": image_tokens,
        "input_document_pages": count_in(billed, "pages"),
    }
    units = without_zeros(found)
    return usage, Billing(units=units) if units else NO_BILLING


def read_stream(stream: Stream) -> ResponseFacts:
    events = list(stream.objects())
    has_ended = any((event.get("type") or event.get("event_type")) in _END_EVENTS for event in events)
    facts = replace(read_answer(rebuild(events) or {}), has_ended=has_ended)
    # An error may come in an event's place, as it would unstreamed.
    untyped = (event for event in events if not event.keys() & {"type", "event_type"})
    error = next(filter(None, map(error_message, untyped)), None)
    return replace(facts, note=error, has_failed=True) if error and not facts.note else facts


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    if not events:
        return None
    if any("event_type" in event for event in events):
        return _rebuild_version_1(events)
    whole: JsonObject = {}
    for event in events:
        if event.get("type") == "message-start":
            whole = {"id": event.get("id")}
        elif event.get("type") == "message-end":
            whole |= object_in(event, "delta")
    logprobs = [event["logprobs"] for event in events if event.get("logprobs")]
    message = _build_message(events)
    if not whole and len(message) == 1:
        return None
    return whole | {"message": message} | ({"logprobs": logprobs} if logprobs else {})


def _rebuild_version_1(events: list[JsonObject]) -> JsonObject:
    ends = [event for event in events if event.get("event_type") in _END_EVENTS]
    if ends and (answer := object_in(ends[-1], "response")):
        reason = ends[-1].get("finish_reason")
        errors = [end["err"] for end in ends if end.get("event_type") == _ERROR_END_EVENT and "err" in end]
        answer = answer | {"err": errors[-1]} if errors else answer
        return answer if reason is None or "generations" in answer else {"finish_reason": reason} | answer
    whole: JsonObject = {"text": join_text([event.get("text") for event in events])}
    if not any(event.get("event_type") == "stream-start" for event in events):
        # Only a chat announces itself. Several generations may come side by side.
        pieces = group_by_index((index_in(event), event) for event in events)
        texts = [join_text([event.get("text") for event in group]) for group in pieces]
        whole = {"generations": [{"text": text} for text in texts]}
    for event in events:
        # Each of the other kinds of events brings a list that is whole, or the next of its members.
        for key in (
            "finish_reason",
            "err",
            "generation_id",
            "search_queries",
            "search_results",
            "documents",
            "tool_calls",
        ):
            if key in event:
                whole[key] = event[key]
        if "citations" in event:
            whole.setdefault("citations", []).extend(objects_in(event, "citations"))
    return whole


def _build_message(events: list[JsonObject]) -> JsonObject:
    message: JsonObject = {"role": "assistant"}
    parts: dict[str, list[tuple[int, JsonObject]]] = {"content": [], "tool_calls": []}
    for event in events:
        said = object_in(object_in(event, "delta"), "message")
        for key, pieces in parts.items():
            if isinstance(said.get(key), dict):
                pieces.append((index_in(event), said[key]))
        if isinstance(said.get("citations"), dict):
            message.setdefault("citations", []).append(said["citations"])
        if isinstance(said.get("tool_plan"), str) and said["tool_plan"]:
            message["tool_plan"] = message.get("tool_plan", "") + said["tool_plan"]
    for key, pieces in parts.items():
        if pieces:
            message[key] = list(map(join_deltas, group_by_index(pieces)))
    return message


def _counts_tokens(billed: JsonObject) -> bool:
    names = ("input_tokens", "output_tokens", "image_tokens", "text_tokens")
    return any(count_in(billed, name) is not None for name in names)


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild)
