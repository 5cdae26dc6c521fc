"""Text generation of watsonx and of Hugging Face's TGI."""

from collections.abc import Iterable
from dataclasses import replace

from gateway.models.exchange import RawHeaders, first_value
from gateway.models.request import Usage
from gateway.wire.event_streams import read_events
from gateway.wire.formats import JsonFormat, ResponseFacts, WireMessage, error_message, model_in, states_error
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
    return any("generated_text" in result for result in objects_in(answer, "results"))


def read_watsonx(answer: JsonObject) -> ResponseFacts:
    results = objects_in(answer, "results")
    finish_reason = text_in(results[0], "stop_reason") if results else None
    return ResponseFacts(
        model=model_in(answer),
        usage=Usage(_sum_counts(results, "input_token_count"), _sum_counts(results, "generated_token_count")),
        finish_reason=None if finish_reason == _UNFINISHED_REASON else finish_reason,
        note=error_message(answer),
        has_failed=states_error(answer) or finish_reason == _FAILED_REASON,
    )


def rebuild_watsonx(events: list[JsonObject]) -> JsonObject | None:
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
    return "generated_text" in answer or ("token" in answer and "details" in answer)


def read_tgi(answer: JsonObject) -> ResponseFacts:
    details = object_in(answer, "details")
    # The tokens of the prompt are listed if the caller asked for them.
    prefill = len(objects_in(details, "prefill")) or None
    stated = count_in(details, "input_length")
    return ResponseFacts(
        usage=Usage(prefill if stated is None else stated, count_in(details, "generated_tokens")),
        finish_reason=text_in(details, "finish_reason"),
        note=error_message(answer),
        has_failed=states_error(answer),
    )


def rebuild_tgi(events: list[JsonObject]) -> JsonObject | None:
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
    def read_response(self, response: WireMessage) -> ResponseFacts:
        # Hugging Face's own API puts an answer that is no stream into a list.
        stream = read_events(response.content_type, response.body) if response.body.startswith(b"[") else None
        first = parse_object(stream.all_events[0][1]) if stream and stream.all_events else None
        facts = read_tgi(first) if first is not None else super().read_response(response)
        # The headers state the counts of an answer that is no stream, asked for details or not.
        prompt = header_count(response.headers, b"x-prompt-tokens")
        generated = header_count(response.headers, b"x-generated-tokens")
        usage = Usage(
            facts.usage.prompt_tokens if prompt is None else prompt,
            facts.usage.completion_tokens if generated is None else generated,
        )
        return facts if usage == facts.usage else replace(facts, usage=usage)


def header_count(headers: RawHeaders, name: bytes) -> int | None:
    """Return the count that a header field called `name` (lower case) states."""
    value = first_value(headers, name)
    count = int(value) if value.isdigit() and len(value) < 20 else None
    return count if count is not None and count <= MAX_COUNT else None


def _sum_counts(results: Iterable[JsonObject], name: str) -> int | None:
    counted = [count for result in results if (count := count_in(result, name)) is not None]
    return sum(counted) if counted else None


WATSONX = JsonFormat(recognises_watsonx, read_watsonx, rebuild=rebuild_watsonx)
TGI = _TgiFormat(recognises_tgi, read_tgi, rebuild=rebuild_tgi)
