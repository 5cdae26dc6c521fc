"""OpenAI's Responses: one object, or a stream of typed events around it.

Source: https://platform.openai.com/docs/api-reference/responses and /responses-streaming. Some events carry
the whole response so far: the first ones, and the last one if the stream was not cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.wire.fields import JsonObject, object_in, parse_object, text_in
from gateway.wire.format import Answered
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message
from gateway.wire.openai_usage import read_usage
from gateway.wire.responses_output import build_output
from gateway.wire.sse import DEFAULT_EVENT, Event

_TELLING = frozenset(
    {
        DEFAULT_EVENT,
        "error",
        "response.queued",
        "response.created",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    }
)
"""Events worth parsing for facts. Servers that do not name their events make us parse all."""

_RUNNING = frozenset({"queued", "in_progress"})


def read_user(request: JsonObject) -> str | None:
    """Return the end user that a Responses request names."""
    return text_in(request, "user")


def read_answer(answer: JsonObject) -> Answered:
    """Return what a response object, or an error in its place, says."""
    return Answered(
        model=text_in(answer, "model"),
        usage=read_usage(object_in(answer, "usage"), "input", "output"),
        response_id=text_in(answer, "id"),
        finish_reason=_finish_reason(answer),
        note=error_message(answer),
    )


def read_events(events: Sequence[Event]) -> Answered:
    """Return what the last event that carries the response says."""
    error = None
    answered = Answered()
    for name, data in reversed(events):
        event = parse_object(data) if name in _TELLING else None
        if event is None:
            continue
        error = error or error_message(event)
        if response := object_in(event, "response"):
            answered = read_answer(response)
            break
    early = ENDED_EARLY if answered.finish_reason is None else None
    return replace(answered, note=error or answered.note or early)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the response of these events: the last one's, or one built from deltas if the end never came."""
    carriers = [response for event in events if (response := object_in(event, "response"))]
    if carriers and _finish_reason(carriers[-1]) is not None:
        return carriers[-1]
    output = build_output(events)
    errors = [_error_of(event) for event in events if event.get("type") == "error"]
    if not carriers and not output and not errors:
        return None
    whole = {"object": "response"} | (carriers[-1] if carriers else {}) | {"output": output}
    return whole | {"error": errors[-1]} if errors else whole


def _finish_reason(response: JsonObject) -> str | None:
    status = text_in(response, "status")
    reason = text_in(object_in(response, "incomplete_details"), "reason")
    if status is None or status in _RUNNING:
        return None
    return f"{status}:{reason}" if reason else status


def _error_of(event: JsonObject) -> JsonObject:
    return object_in(event, "error") or {"code": event.get("code"), "message": event.get("message")}


FORMAT = JsonFormat(read_user, read_answer, read_events, rebuild)
