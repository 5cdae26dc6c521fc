"""The shape most formats share: a JSON object in; a JSON object, or a stream of events around such, out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.domain.json_volume import MAX_VALUES, holds_too_much
from gateway.wire.fields import JsonObject, parse_object, text_in
from gateway.wire.format import Answered, Asked
from gateway.wire.sse import Event, Stream, read_stream

DONE = b"[DONE]"
"""Data of the event that ends OpenAI's streams (and those of everybody who imitates them)."""

ENDED_EARLY = "the stream ended early"

_MAX_MESSAGE = 300
_STREAM_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """A WireFormat made of the functions in which formats differ.

    Args:
        read_user: the end user that a request names.
        read_answer: what an unstreamed answer, or an error in its place, says.
        read_events: what a stream says. Gets the events unparsed, to parse only those that matter.
        rebuild: the unstreamed answer, from the objects of a stream; None where they make none.
    """

    read_user: Callable[[JsonObject], str | None]
    read_answer: Callable[[JsonObject], Answered]
    read_events: Callable[[Sequence[Event]], Answered]
    rebuild: Callable[[list[JsonObject]], JsonObject | None]

    def read_request(self, body: bytes) -> Asked:
        """Return what the request says."""
        if not body:
            return Asked()
        request = parse_object(body)
        if request is None:
            return Asked(note=_unreadable("request", body))
        return Asked(model=text_in(request, "model"), user=self.read_user(request))

    def read_response(self, content_type: str, body: bytes) -> Answered:
        """Return what the response says."""
        if not body:
            return Answered()
        if is_event_stream(content_type, body):
            return self._read_stream(read_stream(body))
        answer = parse_object(body)
        if answer is None:
            return Answered(note=_unreadable("response", body))
        return self.read_answer(answer)

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a streamed answer as one object."""
        if not is_event_stream(content_type, body):
            return None
        parsed = [parse_object(data) for _, data in read_stream(body).arrived]
        return self.rebuild([event for event in parsed if event is not None])

    def _read_stream(self, stream: Stream) -> Answered:
        answered = self.read_events(stream.arrived)
        if answered.note is None and stream.unfinished is not None and not _is_usable(stream.unfinished):
            return replace(answered, note="the stream ended inside an event")
        return answered


def is_event_stream(content_type: str, body: bytes) -> bool:
    """Tell whether a response is a stream of events. A JSON error under a stream's content type is none."""
    start = body[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"{", b"[")):
        return False
    return content_type.lower().startswith("text/event-stream") or start.startswith(_STREAM_STARTS)


def error_message(answer: JsonObject) -> str | None:
    """Return the message of an error body or error event, whosever shape it has, as one short line."""
    error = answer.get("error")
    for candidate in (
        error.get("message") if isinstance(error, dict) else error,
        answer.get("message"),
        answer.get("detail"),
    ):
        if isinstance(candidate, str) and candidate:
            return " ".join(candidate[: 4 * _MAX_MESSAGE].split())[:_MAX_MESSAGE]
    return "an error without a message" if error else None


def _unreadable(which: str, body: bytes) -> str:
    if holds_too_much(body):
        return f"the {which} holds more than {MAX_VALUES:,} values"
    return f"the {which} is not a JSON object"


def _is_usable(event: Event) -> bool:
    return event[1] == DONE or parse_object(event[1]) is not None
