"""Gemini's generateContent and embedContent, on the Gemini API and on Vertex: one object, or a stream of such.

Sources: https://ai.google.dev/api/generate-content and /embeddings;
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference and
/text-embeddings-api (`predict`); google-genai 3.6.1. Streams come as server-sent events with `alt=sse`, and
as one JSON array without.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.domain.request import Billing, Usage
from gateway.wire.fields import JsonObject, count_in, index_in, object_in, objects_in, parse_object, text_in
from gateway.wire.folding import latest
from gateway.wire.format import Answered
from gateway.wire.gemini_candidates import build_candidates
from gateway.wire.gemini_usage import (
    add_up,
    billing_of,
    count_modalities,
    count_searches,
    split_by_modality,
    terms_of,
)
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message, states_error
from gateway.wire.openai_usage import says_anything
from gateway.wire.sse import Stream

_UNSPECIFIED = frozenset(
    {"FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"}
)

_OF_MANY_CHUNKS = (b'"index":1', b'"index": 1', b"SearchQueries")
"""What is known only once all chunks have been read: several candidates, and searches."""


def recognises(answer: JsonObject) -> bool:
    """Tell whether an answer or a chunk is Gemini's."""
    return (
        isinstance(answer.get("candidates"), list)
        or isinstance(answer.get("usageMetadata"), dict)
        or any("embeddings" in prediction for prediction in objects_in(answer, "predictions"))
    )


def read_model(request: JsonObject) -> str | None:
    """Return None: the path names the model, and goes before what a body repeats with another prefix."""


def read_answer(answer: JsonObject) -> Answered:
    """Return what an unstreamed answer, or an error in its place, says."""
    counts = object_in(answer, "usageMetadata")
    usage = _read_usage(counts) if counts else _read_predictions(answer)
    model = _model_in(answer)
    return Answered(
        model=model,
        usage=usage,
        response_id=text_in(answer, "responseId"),
        finish_reason=_finish_reason(answer),
        note=error_message(answer),
        billing=_read_billing(answer, counts, usage, model),
        has_failed=states_error(answer),
    )


def read_stream(stream: Stream) -> Answered:
    """Return what a streamed answer says."""
    chunks = _read_backwards(stream)
    answered = read_answer(_sum_up(chunks) | _unframed_error(stream))
    is_over = _is_finished(chunks)
    return replace(answered, note=answered.note or (None if is_over else ENDED_EARLY), is_over=is_over)


def rebuild(chunks: list[JsonObject]) -> JsonObject | None:
    """Return the answer that these chunks are of."""
    return _sum_up(chunks) if chunks else None


def _read_backwards(stream: Stream) -> list[JsonObject]:
    """The chunks from the first that has to be known on, in order."""
    needs_all = any(stream.mentions(text) for text in _OF_MANY_CHUNKS)
    found: list[JsonObject] = []
    has_usage = False
    for _, data in reversed(stream.arrived):
        chunk = parse_object(data)
        if chunk is None:
            continue
        found.append(chunk)
        has_usage = has_usage or _counts_answer(object_in(chunk, "usageMetadata"))
        if has_usage and not needs_all and _finish_reason(chunk) and _model_in(chunk):
            break
    return found[::-1]


def _sum_up(chunks: Sequence[JsonObject]) -> JsonObject:
    whole = latest(chunks)
    counts = [found for chunk in chunks if says_anything(found := object_in(chunk, "usageMetadata"))]
    # Counts run up to the last, which some servers follow with one of the prompt alone.
    if counts:
        whole["usageMetadata"] = next((one for one in reversed(counts) if _counts_answer(one)), counts[-1])
    if candidates := build_candidates(chunks):
        whole["candidates"] = candidates
    return whole


def _unframed_error(stream: Stream) -> JsonObject:
    """An error that follows the events of a stream without being one, as Google's servers send it too."""
    at = stream.body.rfind(b"\n\n{")
    tail = parse_object(stream.body[at + 2 :]) if at >= 0 else None
    return tail if tail is not None and states_error(tail) else {}


def _counts_answer(counts: JsonObject) -> bool:
    return "candidatesTokenCount" in counts or "thoughtsTokenCount" in counts


def _is_finished(chunks: Iterable[JsonObject]) -> bool:
    begun: set[int] = set()
    finished: set[int] = set()
    is_blocked = False
    for chunk in chunks:
        is_blocked = is_blocked or _block_reason(chunk) is not None
        for candidate in objects_in(chunk, "candidates"):
            begun.add(index_in(candidate))
            if _stated(candidate, "finishReason"):
                finished.add(index_in(candidate))
    return begun <= finished if finished else is_blocked


def _model_in(answer: JsonObject) -> str | None:
    model = text_in(answer, "modelVersion")
    return model.rpartition("models/")[2] or model if model else None


def _finish_reason(answer: JsonObject) -> str | None:
    first = next((one for one in objects_in(answer, "candidates") if index_in(one) == 0), {})
    return _stated(first, "finishReason") or _block_reason(answer)


def _block_reason(answer: JsonObject) -> str | None:
    """Why there are no candidates, or no more of them: the prompt was refused."""
    return _stated(object_in(answer, "promptFeedback"), "blockReason")


def _stated(source: JsonObject, key: str) -> str | None:
    reason = text_in(source, key)
    return None if reason in _UNSPECIFIED else reason


def _read_usage(counts: JsonObject) -> Usage:
    return add_up(
        count_in(counts, "promptTokenCount"),
        count_in(counts, "toolUsePromptTokenCount"),
        count_in(counts, "candidatesTokenCount"),
        count_in(counts, "thoughtsTokenCount"),
        count_in(counts, "cachedContentTokenCount"),
        count_in(counts, "totalTokenCount"),
    )


def _read_predictions(answer: JsonObject) -> Usage:
    """Vertex' `predict` counts the tokens of each text that it embeds."""
    statistics = (
        object_in(object_in(prediction, "embeddings"), "statistics")
        for prediction in objects_in(answer, "predictions")
    )
    counts = [count for one in statistics if (count := count_in(one, "token_count")) is not None]
    return Usage(prompt_tokens=sum(counts)) if counts else Usage()


def _read_billing(answer: JsonObject, counts: JsonObject, usage: Usage, model: str | None) -> Billing:
    prompt_details = objects_in(counts, "promptTokensDetails") + objects_in(
        counts, "toolUsePromptTokensDetails"
    )
    units = split_by_modality(
        usage,
        count_modalities(prompt_details, "tokenCount"),
        count_modalities(objects_in(counts, "cacheTokensDetails"), "tokenCount"),
        count_modalities(objects_in(counts, "candidatesTokensDetails"), "tokenCount"),
    )
    units |= count_searches(_queries(answer), model)
    return billing_of(units, terms_of(text_in(counts, "serviceTier"), text_in(counts, "trafficType")))


def _queries(answer: JsonObject) -> int:
    """How many different searches were made; empty queries are none."""
    grounding = [object_in(candidate, "groundingMetadata") for candidate in objects_in(answer, "candidates")]
    made = {
        (key, query)
        for one in grounding
        for key in ("webSearchQueries", "imageSearchQueries")
        for query in (one[key] if isinstance(one.get(key), list) else [])
        if isinstance(query, str) and query
    }
    return len(made)


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild, read_model=read_model)
