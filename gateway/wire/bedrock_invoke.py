"""What models answer that are invoked at Amazon Bedrock: each in a shape of its own, told by what it looks like.

Source: Amazon Bedrock user guide, "Inference request parameters and response fields", by model: Anthropic Claude
(Messages; text completions), Amazon Nova (as Converse), Amazon Titan, Meta Llama, Mistral, Cohere Command and
Embed, AI21, DeepSeek, OpenAI and others (OpenAI's chat completions); and, of every stream's last event, the
field `amazon-bedrock-invocationMetrics`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gateway.domain.request import Usage
from gateway.wire import anthropic, bedrock, openai_chat
from gateway.wire.bedrock import METRICS, BedrockFormat
from gateway.wire.fields import (
    JsonObject,
    first_count,
    index_in,
    object_in,
    objects_in,
    parse_object,
    text_in,
)
from gateway.wire.folding import fold, join_text, latest
from gateway.wire.format import Answered
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message, states_error
from gateway.wire.openai_usage import read_usage
from gateway.wire.sse import Stream

_PARTS = ("results", "outputs", "generations", "choices", "completions")
"""Fields in which the answers stand where there may be several."""

_TEXTS = ("generation", "outputText", "completion", "text")
_REASONS = ("stop_reason", "finish_reason", "completionReason", "finishReason", "stopReason")
_IDS = ("id", "response_id", "generation_id")
_OF_THE_STREAM = ("index", "is_finished", "event_type", METRICS)
"""Fields that only events have."""


def read_answer(answer: JsonObject) -> Answered:
    """Return what a model's answer says."""
    return bedrock.with_counts(_shape_of(answer).read_answer(answer), object_in(answer, METRICS))


def read_stream(stream: Stream) -> Answered:
    """Return what a model's stream says."""
    opening = next((event for _, data in stream.arrived if (event := parse_object(data))), {})
    answered = _shape_of(opening).read_stream(stream)
    metrics = _last_metrics(stream)
    if metrics and not answered.is_over:
        answered = replace(
            answered, is_over=True, note=None if answered.note == ENDED_EARLY else answered.note
        )
    return bedrock.with_counts(answered, metrics)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the answer that the model would have given unstreamed. METRICS stay in it where they alone count."""
    shape = _shape_of(next((event for event in events if event), {}))
    whole = shape.rebuild(events)
    metrics = next((found for event in reversed(events) if (found := object_in(event, METRICS))), {})
    if whole is None or not metrics:
        return whole
    counted = shape.read_answer(whole)
    is_alone = bedrock.with_counts(counted, metrics) is not counted
    return whole | {METRICS: metrics} if is_alone else whole


def read_user(request: JsonObject) -> str | None:
    """Return the end user that a request names, in Anthropic's way or in OpenAI's."""
    return anthropic.read_user(request) or text_in(request, "user")


def _shape_of(answer: JsonObject) -> JsonFormat:
    """The format of an answer, or of the stream that begins with it."""
    if anthropic.recognises(answer):
        return anthropic.FORMAT
    if bedrock.recognises(answer):
        return bedrock.CONVERSE
    # Mistral's and DeepSeek's have choices as well, but neither deltas nor a `finish_reason`.
    first = next(iter(objects_in(answer, "choices")), {})
    if "object" in answer or "delta" in first or "finish_reason" in first:
        return openai_chat.FORMAT
    return _PLAIN


def _last_metrics(stream: Stream) -> JsonObject:
    name = METRICS.encode()
    ends = (parse_object(data) for _, data in reversed(stream.arrived) if name in data)
    return object_in(next((end for end in ends if end is not None), {}), METRICS)


def _read_plain(answer: JsonObject) -> Answered:
    part = _first_part(answer)
    finish_reason = next(
        (found for source in (answer, part) for name in _REASONS if (found := text_in(source, name))), None
    )
    return Answered(
        usage=_read_plain_usage(answer, part),
        response_id=next((found for name in _IDS if (found := text_in(answer, name))), None),
        finish_reason=finish_reason,
        # What comes under `message` is an error only where there is no answer: one model writes its text there.
        note=error_message(answer) if finish_reason is None or states_error(answer) else None,
        has_failed=states_error(answer),
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


def _read_plain_stream(stream: Stream) -> Answered:
    parsed = (parse_object(data) for _, data in stream.arrived)
    whole = _rebuild_plain([event for event in parsed if event is not None])
    answered = _read_plain(whole or {})
    is_over = answered.finish_reason is not None
    note = answered.note or (None if is_over or answered.has_failed else ENDED_EARLY)
    return replace(answered, note=note, is_over=is_over)


def _rebuild_plain(events: list[JsonObject]) -> JsonObject | None:
    whole = latest(events)
    if response := object_in(whole, "response"):
        # Cohere's last event repeats the answer.
        return {name: whole[name] for name in ("finish_reason", "error") if whole.get(name)} | response
    for name in _PARTS:
        if any(objects_in(event, name) for event in events):
            whole[name] = _fold_parts(events, name)
    for name in _TEXTS:
        if isinstance(whole.get(name), str):
            whole[name] = join_text([event.get(name) for event in events])
    if states_error(whole):
        whole.pop("type", None)
    is_titan = "outputText" in whole
    is_command = "is_finished" in whole and "event_type" not in whole and "generations" not in whole
    for name in _OF_THE_STREAM:
        whole.pop(name, None)
    if is_titan:
        return _to_titan(whole)
    if is_command:
        said = {name: whole.pop(name) for name in ("text", "finish_reason") if name in whole}
        whole["generations"] = [said]
    return whole or None


def _to_titan(whole: JsonObject) -> JsonObject:
    count = whole.pop("totalOutputTextTokenCount", None)
    said = {name: whole.pop(name, None) for name in ("outputText", "completionReason")}
    return whole | {"results": [{"tokenCount": count} | said]}


def _fold_parts(events: Iterable[JsonObject], name: str) -> list[JsonObject]:
    pieces: dict[int, list[JsonObject]] = {}
    for event in events:
        for position, part in enumerate(objects_in(event, name)):
            index = index_in(part) if "index" in part else position
            pieces.setdefault(index, []).append(part)
    return [fold(pieces[index]) for index in sorted(pieces)]


def _first_part(answer: JsonObject) -> JsonObject:
    return next((parts[0] for name in _PARTS if (parts := objects_in(answer, name))), {})


_PLAIN = JsonFormat(lambda _: False, _read_plain, _read_plain_stream, _rebuild_plain)

FORMAT = BedrockFormat(JsonFormat(lambda _: False, read_answer, read_stream, rebuild, read_user))
