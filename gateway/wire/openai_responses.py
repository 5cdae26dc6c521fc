"""OpenAI's Responses: one object, or a stream of typed events around it.

Source: https://platform.openai.com/docs/api-reference/responses and /responses-streaming. Some events carry
the whole response so far: the first ones, and the last one if the stream was not cut.
"""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.request import Billing
from gateway.wire.fields import JsonObject, object_in, objects_in, parse_object, text_in
from gateway.wire.format import Answered
from gateway.wire.json_format import ENDED_EARLY, JsonFormat, error_message, states_error
from gateway.wire.openai_usage import read_billing, read_usage
from gateway.wire.responses_output import build_output
from gateway.wire.sse import DEFAULT_EVENT, Stream

_ENDS = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
"""Statuses by the types of the last events, for servers that leave the status out."""

_TELLING = frozenset(
    {DEFAULT_EVENT, "error", "response.queued", "response.created", "response.in_progress", *_ENDS}
)
"""Events worth parsing for facts. Servers that do not name their events make us parse all."""

_RUNNING = frozenset({"queued", "in_progress"})
_FAILED = "failed"


def recognises(answer: JsonObject) -> bool:
    """Tell whether an answer or an event is a response, or about one."""
    return text_in(answer, "object") in ("response", "response.compaction") or (
        (text_in(answer, "type") or "").startswith("response.")
    )


def read_answer(answer: JsonObject) -> Answered:
    """Return what a response object, or an error in its place, says."""
    usage = object_in(answer, "usage")
    finish_reason = _finish_reason(answer)
    return Answered(
        model=text_in(answer, "model"),
        usage=read_usage(usage, "input", "output"),
        response_id=text_in(answer, "id"),
        finish_reason=finish_reason,
        note=error_message(answer),
        billing=_with_tool_calls(read_billing(answer, usage, "input", "output"), answer),
        has_failed=finish_reason == _FAILED or states_error(answer),
    )


def read_stream(stream: Stream) -> Answered:
    """Return what the last event that carries the response says."""
    error = None
    has_failed = False
    answered = Answered()
    for name, data in reversed(stream.arrived):
        event = parse_object(data) if name in _TELLING else None
        if event is None:
            continue
        error = error or error_message(event)
        has_failed = has_failed or states_error(event)
        if response := object_in(event, "response"):
            answered = read_answer(_with_status(event, response))
            break
    has_failed = has_failed or answered.has_failed
    is_over = answered.finish_reason is not None
    early = None if is_over or has_failed else ENDED_EARLY
    note = error or answered.note or early
    return replace(answered, note=note, has_failed=has_failed, is_over=is_over)


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the response of these events: the last one's, or one built from deltas if the end never came."""
    carriers = [
        _with_status(event, response) for event in events if (response := object_in(event, "response"))
    ]
    if carriers and _finish_reason(carriers[-1]) is not None:
        return carriers[-1]
    output = build_output(events)
    errors = [_error_of(event) for event in events if event.get("type") == "error"]
    if not carriers and not output and not errors:
        return None
    whole = {"object": "response"} | (carriers[-1] if carriers else {}) | {"output": output}
    return whole | {"error": errors[-1]} if errors else whole


def _with_status(event: JsonObject, response: JsonObject) -> JsonObject:
    status = _ENDS.get(text_in(event, "type") or "")
    return response if status is None or "status" in response else response | {"status": status}


def _finish_reason(response: JsonObject) -> str | None:
    status = text_in(response, "status")
    reason = text_in(object_in(response, "incomplete_details"), "reason")
    if status is None or status in _RUNNING:
        return None
    return f"{status}:{reason}" if reason else status


def _with_tool_calls(billing: Billing, answer: JsonObject) -> Billing:
    """Searches are billed by the call; opening a page that was found is not."""
    searches = storage_searches = 0
    for item in objects_in(answer, "output"):
        if item.get("type") == "web_search_call":
            searches += text_in(object_in(item, "action"), "type") in (None, "search")
        storage_searches += item.get("type") == "file_search_call"
    calls = {"web_searches": searches, "storage_searches": storage_searches}
    units = {name: count for name, count in calls.items() if count}
    return replace(billing, units={**billing.units, **units}) if units else billing


def _error_of(event: JsonObject) -> JsonObject:
    return object_in(event, "error") or {"code": event.get("code"), "message": event.get("message")}


FORMAT = JsonFormat(recognises, read_answer, read_stream, rebuild)
