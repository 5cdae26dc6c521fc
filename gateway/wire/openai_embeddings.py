"""OpenAI's embeddings, which are never streamed.

Source: https://platform.openai.com/docs/api-reference/embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.wire.fields import JsonObject, object_in, text_in
from gateway.wire.format import Answered
from gateway.wire.json_format import JsonFormat, error_message
from gateway.wire.openai_usage import read_usage
from gateway.wire.sse import Event


def read_user(request: JsonObject) -> str | None:
    """Return the end user that an embeddings request names."""
    return text_in(request, "user")


def read_answer(answer: JsonObject) -> Answered:
    """Return what a list of embeddings, or an error in its place, says."""
    return Answered(
        model=text_in(answer, "model"),
        usage=read_usage(object_in(answer, "usage")),
        response_id=text_in(answer, "id"),
        note=error_message(answer),
    )


def read_events(events: Sequence[Event]) -> Answered:
    """Return nothing but a note: there is no stream of embeddings."""
    return Answered(note="embeddings came as a stream of events")


def rebuild(events: list[JsonObject]) -> None:
    """Return None: there is no stream of embeddings."""


FORMAT = JsonFormat(read_user, read_answer, read_events, rebuild)
