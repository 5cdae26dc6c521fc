"""The shape most formats share: a JSON object in; a JSON object, or a stream of such, out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.domain.json_volume import MAX_VALUES, holds_too_much
from gateway.wire.conversation import read_caller
from gateway.wire.endpoint import model_in_path
from gateway.wire.fields import JsonObject, object_in, objects_in, parse_object, text_in
from gateway.wire.format import Answered, Asked, WireMessage
from gateway.wire.framing import read_framing
from gateway.wire.sse import Event, Stream

DONE = b"[DONE]"
"""Data of the event that ends OpenAI's streams (and those of everybody who imitates them)."""

ENDED_EARLY = "the stream ended early"

_MAX_MESSAGE = 300
_MESSAGE_NAMES = frozenset({"errors", "message", "detail", "error_msg", "msg", "base_resp"})
_FAULT_NAMES = frozenset({"errors", "error_code", "success", "base_resp"})
"""Where errors and their messages stand beside `error`; most answers have none of them."""
_NO_MESSAGE = "an error without a message"

_ERROR_EVENT = "error"
_ERROR = b'"error'
_NULL_ERRORS = (b'"error":null', b'"error": null')


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """A WireFormat made of the functions in which formats differ.

    Args:
        recognises: whether an answer, or a stream's first object, calls itself one of this format.
        read_answer: what an unstreamed answer, or an error in its place, says.
        read_stream: what a stream says. Gets the events unparsed, to parse only those that matter.
        rebuild: the unstreamed answer, from the objects of a stream; None where they make none.
        read_user: the end user that a request names.
        read_model: the model that a request's body names, which goes before the one in its path.
        states_fault: whether an object of a stream says that the call failed, wherever in the stream it stands.
    """

    recognises: Callable[[JsonObject], bool]
    read_answer: Callable[[JsonObject], Answered]
    read_stream: Callable[[Stream], Answered]
    rebuild: Callable[[list[JsonObject]], JsonObject | None]
    read_user: Callable[[JsonObject], str | None] = lambda request: text_in(request, "user")
    read_model: Callable[[JsonObject], str | None] = lambda request: (
        text_in(request, "model") or text_in(request, "model_id")
    )
    states_fault: Callable[[JsonObject], bool] = lambda event: states_error(event)

    def read_request(self, request: WireMessage) -> Asked:
        """Return what the request says."""
        if not request.body:
            return Asked(model=model_in_path(request.path))
        asked = parse_object(request.body)
        if asked is None:
            return Asked(model=model_in_path(request.path), note=unreadable("request", request.body))
        model = self.read_model(asked) or model_in_path(request.path)
        return Asked(model=model, caller=read_caller(asked, self.read_user(asked)))

    def read_response(self, response: WireMessage) -> Answered:
        """Return what the response says."""
        if not response.body:
            return Answered()
        stream = read_framing(response.content_type, response.body)
        if stream is not None:
            return self._read_whole_stream(stream)
        answer = parse_object(response.body)
        if answer is None:
            return Answered(note=unreadable("response", response.body))
        return self.read_answer(answer)

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a streamed answer as one object."""
        stream = read_framing(content_type, body)
        if stream is None:
            return None
        parsed = [parse_object(data) for _, data in stream.arrived]
        whole = self.rebuild([event for event in parsed if event is not None])
        if whole is None or self.read_answer(whole).has_failed or (fault := self._fault_in(stream)) is None:
            return whole
        return whole | {"error": {"message": fault}}

    def _read_whole_stream(self, stream: Stream) -> Answered:
        answered = self.read_stream(stream)
        if answered.is_over is None:
            answered = replace(answered, is_over=answered.finish_reason is not None)
        if not answered.has_failed and (fault := self._fault_in(stream)) is not None:
            return replace(answered, has_failed=True, note=fault)
        if answered.note is None and stream.unfinished is not None and not _is_usable(stream.unfinished):
            return replace(answered, note="the stream ended inside an event")
        return answered

    def _fault_in(self, stream: Stream) -> str | None:
        """The message of an error that stands anywhere among the events, whatever came after it."""
        if stream.body and b"error" not in stream.body:
            return None
        for name, data in stream.arrived:
            # Some servers repeat a null in each event.
            if name != _ERROR_EVENT and (
                _ERROR not in data or data.count(_ERROR) == sum(map(data.count, _NULL_ERRORS))
            ):
                continue
            event = parse_object(data)
            if name == _ERROR_EVENT and event is None:
                return _one_line(data.decode(errors="replace")) or _NO_MESSAGE
            if event is not None and (name == _ERROR_EVENT or self.states_fault(event)):
                return error_message(event) or _NO_MESSAGE
        return None


def error_message(answer: JsonObject) -> str | None:
    """Return the message of an error body or error event, whosever shape it has, as one short line."""
    error = answer.get("error")
    if not error and _MESSAGE_NAMES.isdisjoint(answer):
        return None
    first = next(iter(objects_in(answer, "errors")), {})
    for candidate in (
        error.get("message") if isinstance(error, dict) else error,
        first.get("message"),
        answer.get("message"),
        answer.get("detail"),
        answer.get("error_msg"),
        answer.get("msg"),
        object_in(answer, "base_resp").get("status_msg"),
    ):
        if isinstance(candidate, str) and candidate:
            return _one_line(candidate)
    return _NO_MESSAGE if error else None


def states_error(answer: JsonObject) -> bool:
    """Tell whether an answer or an event says that the call failed, whatever its status says."""
    if answer.get("error") or answer.get("type") == "error" or answer.get("object") == "error":
        return True
    if _FAULT_NAMES.isdisjoint(answer):
        return False
    return (
        bool(answer.get("errors") or answer.get("error_code"))
        # Cloudflare's and Zhipu's, and MiniMax', which all come with a good status.
        or answer.get("success") is False
        or bool(object_in(answer, "base_resp").get("status_code"))
    )


def unreadable(which: str, body: bytes) -> str:
    """Return the note on a body, of the request or the response, that is not the JSON object it should be."""
    if holds_too_much(body):
        return f"the {which} holds more than {MAX_VALUES:,} values"
    return f"the {which} is not a JSON object"


def _one_line(text: str) -> str:
    return " ".join(text[: 4 * _MAX_MESSAGE].split())[:_MAX_MESSAGE]


def _is_usable(event: Event) -> bool:
    return event[1] == DONE or parse_object(event[1]) is not None
