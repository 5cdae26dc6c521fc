"""Embeddings as OpenAI's API has them, and rerankers that state usage alike; neither is ever streamed.

Sources: https://platform.openai.com/docs/api-reference/embeddings, and the API references of Voyage, Jina,
Volcengine (multimodal embeddings, whose `data` is one object) and Hugging Face.
"""

from __future__ import annotations

from gateway.wire.fields import JsonObject, object_in, objects_in, text_in
from gateway.wire.format import Answered
from gateway.wire.json_format import JsonFormat, error_message, states_error
from gateway.wire.openai_usage import read_billing, read_usage
from gateway.wire.sse import Stream


def recognises(answer: JsonObject) -> bool:
    """Tell whether an answer is a list of embeddings or of scores."""
    data = answer.get("data")
    first = data if isinstance(data, dict) else next(iter(objects_in(answer, "data")), {})
    return first.get("object") == "embedding" or "embedding" in first or "relevance_score" in first


def read_answer(answer: JsonObject) -> Answered:
    """Return what a list of embeddings, or an error in its place, says."""
    usage = object_in(answer, "usage")
    return Answered(
        model=text_in(answer, "model"),
        usage=read_usage(usage),
        response_id=text_in(answer, "id"),
        note=error_message(answer),
        billing=read_billing(answer, usage),
        has_failed=states_error(answer),
    )


def read_stream(stream: Stream) -> Answered:
    """Return nothing but a note: there is no stream of embeddings."""
    return Answered(note="embeddings came as a stream of events", is_over=True)


def rebuild(events: list[JsonObject]) -> None:
    """Return None: there is no stream of embeddings."""


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild)
