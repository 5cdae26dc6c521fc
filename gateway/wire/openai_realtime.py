"""OpenAI's Realtime: responses of a session, as events; and what is said of a WebSocket connection as a whole.

Source: OpenAI API reference, "Realtime client events" and "Realtime server events".
"""

from collections.abc import Iterable
from dataclasses import replace

from gateway.models.conversation import Media, Message, Part, Text
from gateway.models.request import Billing
from gateway.wire import openai_responses
from gateway.wire.conversation import MAX_DEPTH, read_input, read_output, read_part
from gateway.wire.formats import JsonFormat, ResponseFacts
from gateway.wire.json_fields import JsonObject, count_in, object_in, text_in, without_zeros
from gateway.wire.openai_usage import token_details

# Endpoint of the row of a connection itself.
CONNECTION_ENDPOINT = "websocket"
CONNECTION_CLOSED = "websocket.closed"

SESSION_EVENTS = frozenset({"session.created", "session.updated"})

_SPOKEN_TYPES = frozenset({"audio", "input_audio", "output_audio"})

# By which parts of an answer grow as text, by the names of Responses; the beta's are the shorter ones.
_TEXT_EVENTS = {
    "response.text": "response.output_text",
    "response.audio_transcript": "response.output_text",
    "response.output_audio_transcript": "response.output_text",
}


def read_spoken_part(part: object, depth: int = MAX_DEPTH) -> list[Part]:
    """Return a part; what was spoken as text, where it was transcribed."""
    if isinstance(part, dict) and part.get("type") in _SPOKEN_TYPES:
        spoken = part.get("transcript") or part.get("text")
        return [Media("audio"), Text(spoken)] if isinstance(spoken, str) and spoken else [Media("audio")]
    return read_part(part, depth)


def recognises(answer: JsonObject) -> bool:
    return text_in(answer, "object") == "realtime.response" or answer.get("type") in SESSION_EVENTS


def read_answer(answer: JsonObject) -> ResponseFacts:
    details = object_in(answer, "status_details")
    reason, error = text_in(details, "reason"), object_in(details, "error")
    whole = answer | ({"incomplete_details": {"reason": reason}} if reason else {})
    facts = openai_responses.read_answer(whole | ({"error": error} if error else {}))
    return replace(facts, billing=_with_cached_audio(facts.billing, object_in(answer, "usage")))


def _with_cached_audio(billing: Billing, usage: JsonObject) -> Billing:
    cached = object_in(token_details(usage, "input"), "cached_tokens_details")
    units = without_zeros({"cache_audio_read_tokens": count_in(cached, "audio_tokens")})
    return replace(billing, units={**billing.units, **units}) if units else billing


def rebuild(events: list[JsonObject]) -> JsonObject | None:
    """Return the response of these events, with the model of the session that goes before them."""
    whole = openai_responses.rebuild([_as_text_event(event) for event in events])
    session = next((object_in(each, "session") for each in events if each.get("type") in SESSION_EVENTS), {})
    if whole is None or "model" in whole or "model" not in session:
        return whole
    return whole | {"model": session["model"]}


def _as_text_event(event: JsonObject) -> JsonObject:
    stem, _, step = str(event.get("type")).rpartition(".")
    if stem not in _TEXT_EVENTS:
        return event
    said = event.get("text", event.get("transcript"))
    return event | {"type": f"{_TEXT_EVENTS[stem]}.{step}", **({"text": said} if said is not None else {})}


def _read_input(request: JsonObject) -> Iterable[Message]:
    return read_input(request, read_spoken_part)


def _read_output(answer: JsonObject) -> Iterable[Message]:
    return read_output(answer, read_spoken_part)


FORMAT = JsonFormat(
    recognises, read_answer, rebuild=rebuild, read_input=_read_input, read_output=_read_output
)


def _read_closing(answer: JsonObject) -> ResponseFacts:
    code, by = count_in(answer, "code"), text_in(answer, "closed_by")
    return ResponseFacts(finish_reason=None if code is None else f"closed:{code}", note=f"closed by the {by}")


CONNECTION = JsonFormat(
    lambda answer: answer.get("type") == CONNECTION_CLOSED,
    _read_closing,
    is_error_event=lambda event: False,
    read_input=lambda request: (),
    read_output=lambda answer: (),
)
