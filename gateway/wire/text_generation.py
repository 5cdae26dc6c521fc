"""Text generation of watsonx and of Hugging Face's TGI."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gateway.models.exchange import RawHeaders, first_value
from gateway.models.request import Usage
from gateway.wire.event_streams import Stream, read_events
from gateway.wire.formats import (
    ENDED_EARLY,
    JsonFormat,
    ResponseFacts,
    WireMessage,
    error_message,
    states_error,
)
from gateway.wire.json_fields import (
    MAX_COUNT,
    JsonObject,
    count_in,
    join_text,
    last_values,
    object_in,
    objects_in,
    parse_object,
    text_in,
)

_UNFINISHED_REASON = "not_finished"
_FAILED_REASON = "error"


def recognises_watsonx(answer: JsonObject) -> bool:
    """Tell whether an answer or an event has results of watsonx' generation."""
    return any("generated_text" in result for result in objects_in(answer, "results"))


def read_watsonx(answer: JsonObject) -> ResponseFacts:
    """Return what watsonx' answer, or an error in its place, says."""
    results = objects_in(answer, "results")
    finish_reason = text_in(results[0], "stop_reason") if results else None
    return ResponseFacts(
        model=_model_in(answer),
        usage=Usage(_sum_counts(results, "input_token_count"), _sum_counts(results, "generated_token_count")),
        finish_reason=None if finish_reason == _UNFINISHED_REASON else finish_reason,
        note=error_message(answer),
        has_failed=states_error(answer) or finish_reason == _FAILED_REASON,
    )


def read_watsonx_stream(stream: Stream) -> ResponseFacts:
    """Return what a stream of watsonx says. Its first event counts the prompt, each what was generated so far."""
    whole = ResponseFacts()
    for _, data in stream.all_events:
        event = parse_object(data)
        if not event:
            continue
        found = read_watsonx(event)
        whole = ResponseFacts(
            model=whole.model or found.model,
            usage=Usage(
                _max_count(whole.usage.prompt_tokens, found.usage.prompt_tokens),
                _max_count(whole.usage.completion_tokens, found.usage.completion_tokens),
            ),
            finish_reason=found.finish_reason or whole.finish_reason,
            note=found.note or whole.note,
            has_failed=found.has_failed or whole.has_failed,
        )
    return whole if whole.finish_reason or whole.note else replace(whole, note=ENDED_EARLY)


def rebuild_watsonx(events: list[JsonObject]) -> JsonObject | None:
    """Return watsonx' answer to these events."""
    results = [result for event in events for result in objects_in(event, "results")]
    if not results:
        return next((event for event in events if states_error(event)), None)
    counts = {
        name: max(counted)
        for name in ("generated_token_count", "input_token_count")
        if (counted := [count for result in results if (count := count_in(result, name)) is not None])
    }
    text = join_text([result.get("generated_text") for result in results])
    return last_values(events) | {"results": [last_values(results) | {"generated_text": text} | counts]}


def recognises_tgi(answer: JsonObject) -> bool:
    """Tell whether an answer is one of TGI's, or a token of its stream."""
    return "generated_text" in answer or ("token" in answer and "details" in answer)


def read_tgi(answer: JsonObject) -> ResponseFacts:
    """Return what TGI's answer, the last event of its stream, or an error in its place says."""
    details = object_in(answer, "details")
    # The tokens of the prompt are listed if the caller asked for them.
    prefill = len(objects_in(details, "prefill")) or None
    prompt_tokens = count_in(details, "input_length")
    return ResponseFacts(
        usage=Usage(
            prefill if prompt_tokens is None else prompt_tokens, count_in(details, "generated_tokens")
        ),
        finish_reason=text_in(details, "finish_reason"),
        note=error_message(answer),
        has_failed=states_error(answer),
    )


def read_tgi_stream(stream: Stream) -> ResponseFacts:
    """Return what TGI's stream says: all of it in its last event."""
    for _, data in reversed(stream.all_events):
        event = parse_object(data)
        if event is not None and (event.get("details") or states_error(event)):
            return read_tgi(event)
    return ResponseFacts(note=ENDED_EARLY)


def rebuild_tgi(events: list[JsonObject]) -> JsonObject | None:
    """Return TGI's answer to these events."""
    tokens = [token for event in events if (token := object_in(event, "token"))]
    if not tokens:
        return next((event for event in events if states_error(event)), None)
    text = join_text([token.get("text") for token in tokens if not token.get("special")])
    last = events[-1]
    details = object_in(last, "details") | {"tokens": tokens} if last.get("details") else {}
    generated = last.get("generated_text")
    return {"generated_text": generated if isinstance(generated, str) else text} | (
        {"details": details} if details else {}
    )


class _TgiFormat(JsonFormat):
    """TGI states the counts of an answer that is no stream in its headers, asked for details or not."""

    def read_response(self, response: WireMessage) -> ResponseFacts:
        # Hugging Face's own API puts an answer that is no stream into a list.
        stream = read_events(response.content_type, response.body) if response.body.startswith(b"[") else None
        first = parse_object(stream.all_events[0][1]) if stream and stream.all_events else None
        facts = read_tgi(first) if first is not None else super().read_response(response)
        counted = Usage(
            header_count(response.headers, b"x-prompt-tokens"),
            header_count(response.headers, b"x-generated-tokens"),
        )
        if counted == Usage():
            return facts
        usage = Usage(
            *(
                stated if counted is None else counted
                for stated, counted in (
                    (facts.usage.prompt_tokens, counted.prompt_tokens),
                    (facts.usage.completion_tokens, counted.completion_tokens),
                )
            )
        )
        return replace(facts, usage=usage)


def header_count(headers: RawHeaders, name: bytes) -> int | None:
    """Return the count that a header field called `name` (lower case) states."""
    value = first_value(headers, name)
    count = int(value) if value.isdigit() and len(value) < 20 else None
    return count if count is not None and count <= MAX_COUNT else None


def _model_in(answer: JsonObject) -> str | None:
    return text_in(answer, "model_id") or text_in(answer, "modelId") or text_in(answer, "model")


def _sum_counts(results: Iterable[JsonObject], name: str) -> int | None:
    counted = [count for result in results if (count := count_in(result, name)) is not None]
    return sum(counted) if counted else None


def _max_count(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


WATSONX = JsonFormat(recognises_watsonx, read_watsonx, read_watsonx_stream, rebuild_watsonx)
TGI = _TgiFormat(recognises_tgi, read_tgi, read_tgi_stream, rebuild_tgi)
