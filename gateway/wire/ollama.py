"""Ollama's own API: chat, generate, embed and the older embeddings; streams are one object a line.

Sources: https://docs.ollama.com/api and /api/errors; ollama 0.6.3, `_types.py`.
"""

from dataclasses import replace

from gateway.models.request import Usage
from gateway.wire import embeddings
from gateway.wire.event_streams import Stream
from gateway.wire.formats import JsonFormat, ResponseFacts, error_message, states_error
from gateway.wire.json_fields import (
    JsonObject,
    count_in,
    join_text,
    last_values,
    object_in,
    objects_in,
    text_in,
)

_STREAMED_TEXTS = ("response", "thinking")


def recognises(answer: JsonObject) -> bool:
    return isinstance(answer.get("done"), bool) and (
        isinstance(answer.get("message"), dict) or isinstance(answer.get("response"), str)
    )


def read_answer(answer: JsonObject) -> ResponseFacts:
    return ResponseFacts(
        model=text_in(answer, "model"),
        usage=Usage(
            prompt_tokens=count_in(answer, "prompt_eval_count"),
            completion_tokens=count_in(answer, "eval_count"),
            cached_tokens=count_in(answer, "prompt_eval_cached_count"),
        ),
        finish_reason=text_in(answer, "done_reason"),
        note=error_message(answer),
        has_failed=states_error(answer),
    )


def read_stream(stream: Stream) -> ResponseFacts:
    whole = rebuild(list(stream.objects())) or {}
    return replace(read_answer(whole), has_ended=whole.get("done") is True)


def rebuild(lines: list[JsonObject]) -> JsonObject | None:
    if not lines:
        return None
    whole = last_values(lines)
    messages = [object_in(line, "message") for line in lines if "message" in line]
    if messages:
        whole["message"] = _build_message(messages)
    for key in _STREAMED_TEXTS:
        if key in whole:
            whole[key] = join_text([line.get(key) for line in lines])
    if logprobs := [member for line in lines for member in objects_in(line, "logprobs")]:
        whole["logprobs"] = logprobs
    return whole


def read_embeddings(answer: JsonObject) -> ResponseFacts:
    # Others than Ollama have OpenAI's under the same path.
    if embeddings.recognises(answer):
        return embeddings.read_answer(answer)
    return read_answer(answer)


def _build_message(messages: list[JsonObject]) -> JsonObject:
    whole = last_values(messages)
    for key in ("content", "thinking"):
        if key in whole:
            whole[key] = join_text([message.get(key) for message in messages])
    # A call comes whole, and each line has other ones.
    if calls := [call for message in messages for call in objects_in(message, "tool_calls")]:
        whole["tool_calls"] = calls
    return whole


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild)
EMBEDDINGS = JsonFormat(recognises, read_embeddings, read_stream, rebuild, read_output=lambda _: ())
