"""WireFormat: what a format finds in a request and a response, and the JSON base of most."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import unquote, unquote_plus

import orjson

from gateway.models.conversation import Conversation, Message
from gateway.models.exchange import Exchange, RawHeaders, first_value, value_class
from gateway.models.ids import is_session_id
from gateway.models.request import NO_BILLING, Billing, Usage
from gateway.wire.content_encoding import decode
from gateway.wire.conversation import read_input, read_output, read_tools
from gateway.wire.event_streams import Event, Stream, read_events
from gateway.wire.json_fields import (
    MAX_JSON_VALUES,
    MAX_TEXT,
    JsonObject,
    has_too_many_values,
    object_in,
    objects_in,
    parse_json,
    parse_object,
    text_in,
)

_BAGGAGE = b"baggage"
_CLAUDE_CODE_USER = re.compile(r"user_([0-9a-f]+)_account_([0-9a-f-]*)_session_([0-9a-f-]+)")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which conversation.

    Args:
        previous_response_id: the answer, to an earlier request, that this one continues.
    """

    user: str | None = None
    session: str | None = None
    previous_response_id: str | None = None


NO_CALLER = Caller()


def read_caller(request: JsonObject, user: str | None) -> Caller:
    """Return what a request's body says.

    Args:
        asked: the body.
        user: the end user that it names, where its format has that.
    """
    user, session = _split_claude_code_user(user)
    sessions = (
        text_in(request, "conversation"),
        text_in(object_in(request, "conversation"), "id"),
        session,
        text_in(request, "prompt_cache_key"),
    )
    earlier = (text_in(request, "previous_response_id"), text_in(request, "previous_interaction_id"))
    return Caller(user, _first_session_id(sessions), _first_session_id(earlier))


def read_baggage(headers: RawHeaders) -> Caller:
    """Return what W3C baggage says by OpenTelemetry's names, `session.id` and `user.id`.

    Source: W3C Baggage, section 3.2, and OpenTelemetry's semantic conventions, "Session" and "User".
    """
    found: dict[str, str] = {}
    for name, text in headers:
        if len(name) == len(_BAGGAGE) and name.lower() == _BAGGAGE:
            for member in text.decode("utf-8", "replace").split(","):
                key, _, rest = member.partition("=")
                # A plus stands for itself there, but OpenTelemetry for Python writes it for a space.
                found.setdefault(key.strip(), unquote_plus(rest.partition(";")[0].strip()))
    return (
        Caller(_first_session_id([found.get("user.id")]), _first_session_id([found.get("session.id")]))
        if found
        else NO_CALLER
    )


def _split_claude_code_user(user: str | None) -> tuple[str | None, str | None]:
    """User and session of what Anthropic's coding agents send for a user; others' texts are the user."""
    if user is None:
        return None, None
    if user[:1] == "{" and (parts := parse_object(user.encode())) is not None:
        account, device = text_in(parts, "account_uuid"), text_in(parts, "device_id")
        return account or device, text_in(parts, "session_id")
    if found := _CLAUDE_CODE_USER.fullmatch(user):
        return found[2] or found[1], found[3]
    return user, None


def _first_session_id(texts: Iterable[str | None]) -> str | None:
    """The first text that names something."""
    return next((text for text in texts if text is not None and is_session_id(text)), None)


@value_class()
class WireMessage:
    """One side of an exchange: its body with the content-encoding undone, and what names the call.

    Args:
        path: path and query as the caller sent them.
        headers: of this side.
        body: may be cut or garbled anywhere.
    """

    path: str
    headers: RawHeaders
    body: bytes

    @classmethod
    def of_request(cls, exchange: Exchange) -> WireMessage:
        """Return the request of an exchange, decoded as far as that is possible."""
        headers = exchange.request_headers
        return cls(exchange.path, headers, decode(exchange.request_body, headers).data)

    @classmethod
    def of_response(cls, exchange: Exchange) -> WireMessage:
        """Return the response of an exchange, decoded as far as that is possible."""
        headers = exchange.response_headers
        return cls(exchange.path, headers, decode(exchange.response_body, headers).data)

    @property
    def content_type(self) -> str:
        """The media type with its parameters; empty without one."""
        return first_value(self.headers, b"content-type").decode("latin-1")


@value_class()
class RequestFacts:
    """What a request says.

    Args:
        caller: who asks, in which conversation.
        note: what could not be understood, here and below.
        units: what a good answer is billed by though it does not say so; see `Charge`.
    """

    model: str | None = None
    caller: Caller = NO_CALLER
    note: str | None = None
    units: Mapping[str, float] = field(default_factory=dict)


@value_class()
class ResponseFacts:
    """What a response says.

    Args:
        billing: what decides the cost beside the tokens.
        has_failed: the provider states an error inside the answer.
        is_over: whether a stream came to its own end; None where the answer is no stream.
        other_ids: ids that were shown beside `response_id`.
    """

    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    response_id: str | None = None
    finish_reason: str | None = None
    note: str | None = None
    billing: Billing = NO_BILLING
    has_failed: bool = False
    has_ended: bool | None = None
    other_ids: tuple[str, ...] = ()


class WireFormat(Protocol):
    """One kind of call as it looks on the wire. Nothing raises, whatever the bytes are."""

    def recognises(self, answer: JsonObject) -> bool:
        """Tell whether an answer, or a stream's first object, calls itself one of this format."""

    def read_request(self, request: WireMessage) -> RequestFacts:
        """Return what the request says."""

    def read_response(self, response: WireMessage) -> ResponseFacts:
        """Return what the response says, streamed or not; which it is is judged by the response alone."""

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a streamed answer as the object that the provider would have sent unstreamed.

        None if it is not a stream of this format.
        """

    def conversation(self, request: WireMessage, response: WireMessage) -> Conversation:
        """Return what both sides say, as far as it can be read."""


STREAM_END = b"[DONE]"
"""Data of the event that ends OpenAI's streams (and those of everybody who imitates them)."""

ENDED_EARLY = "the stream ended early"

_MAX_MESSAGE = 300
_MESSAGE_FIELDS = frozenset({"errors", "message", "detail", "error_msg", "msg", "base_resp"})
_ERROR_FIELDS = frozenset({"errors", "error_code", "success", "base_resp"})
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
    read_answer: Callable[[JsonObject], ResponseFacts]
    read_stream: Callable[[Stream], ResponseFacts]
    rebuild: Callable[[list[JsonObject]], JsonObject | None]
    read_user: Callable[[JsonObject], str | None] = lambda request: text_in(request, "user")
    read_model: Callable[[JsonObject], str | None] = lambda request: (
        text_in(request, "model") or text_in(request, "model_id")
    )
    is_error_event: Callable[[JsonObject], bool] = lambda event: states_error(event)
    read_input: Callable[[JsonObject], Iterable[Message]] = read_input
    read_output: Callable[[JsonObject], Iterable[Message]] = read_output

    def read_request(self, request: WireMessage) -> RequestFacts:
        """Return what the request says."""
        if not request.body:
            return RequestFacts(model=model_in_path(request.path))
        asked = parse_object(request.body)
        if asked is None:
            return RequestFacts(
                model=model_in_path(request.path), note=unreadable_note("request", request.body)
            )
        model = self.read_model(asked) or model_in_path(request.path)
        return RequestFacts(model=model, caller=read_caller(asked, self.read_user(asked)))

    def read_response(self, response: WireMessage) -> ResponseFacts:
        """Return what the response says."""
        if not response.body:
            return ResponseFacts()
        stream = read_events(response.content_type, response.body)
        if stream is not None:
            return self._read_whole_stream(stream)
        answer = parse_object(response.body)
        if answer is None:
            return ResponseFacts(note=unreadable_note("response", response.body))
        return self.read_answer(answer)

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a streamed answer as one object."""
        stream = read_events(content_type, body)
        if stream is None:
            return None
        parsed = [parse_object(data) for _, data in stream.all_events]
        whole = self.rebuild([event for event in parsed if event is not None])
        if whole is None or self.read_answer(whole).has_failed or (fault := self._find_error(stream)) is None:
            return whole
        return whole | {"error": {"message": fault}}

    def conversation(self, request: WireMessage, response: WireMessage) -> Conversation:
        """Return what both sides say."""
        asked = parse_object(request.body) or {}
        whole = self.reassemble(response.content_type, response.body)
        answers = parse_answers(response.body) if whole is None else [whole]
        return Conversation(
            input=tuple(self.read_input(asked)),
            output=tuple(message for answer in answers for message in self.read_output(answer)),
            tools=tuple(read_tools(asked)),
        )

    def _read_whole_stream(self, stream: Stream) -> ResponseFacts:
        facts = self.read_stream(stream)
        if facts.has_ended is None:
            facts = replace(facts, has_ended=facts.finish_reason is not None)
        if not facts.has_failed and (fault := self._find_error(stream)) is not None:
            return replace(facts, has_failed=True, note=fault)
        if facts.note is None and stream.unfinished is not None and not _is_parsable(stream.unfinished):
            return replace(facts, note="the stream ended inside an event")
        return facts

    def _find_error(self, stream: Stream) -> str | None:
        """The message of an error that stands anywhere among the events, whatever came after it."""
        if stream.body and b"error" not in stream.body:
            return None
        for name, data in stream.all_events:
            # Some servers repeat a null in each event.
            if name != _ERROR_EVENT and (
                _ERROR not in data or data.count(_ERROR) == sum(map(data.count, _NULL_ERRORS))
            ):
                continue
            event = parse_object(data)
            if name == _ERROR_EVENT and event is None:
                return _one_line(data.decode(errors="replace")) or _NO_MESSAGE
            if event is not None and (name == _ERROR_EVENT or self.is_error_event(event)):
                return error_message(event) or _NO_MESSAGE
        return None


# Gemini's and Vertex's `models/NAME:verb`, Azure's `deployments/NAME/…`.
_MODEL_IN_PATH = re.compile(
    r"/(?:publishers/[^/]+/models|models|tunedModels|endpoints|model|deployments)/([^/?]+?)"
    r"(?:(?::|%3[Aa])[A-Za-z]+)?(?=[/?]|$)"
)
# Bedrock's may be an ARN, whose slashes not everybody encodes.
_BEDROCK_MODEL = re.compile(
    r"(?:/model/(.*))?/(?:converse|converse-stream|invoke|invoke-with-response-stream|count-tokens)$"
)


def model_in_path(path: str) -> str | None:
    """Return the model that a path names, as Google's, Amazon's and Azure's do."""
    asked = path.partition("?")[0].rstrip("/")
    found = _BEDROCK_MODEL.search(asked) or _MODEL_IN_PATH.search(asked)
    name = unquote(found[1] or "") if found else ""
    return name if 0 < len(name) <= MAX_TEXT else None


def parse_answers(body: bytes) -> list[JsonObject]:
    """Return the object that a body is, or those of the list that it is."""
    try:
        value = parse_json(body)
    except orjson.JSONDecodeError:
        return []
    return objects_in({"answers": value if isinstance(value, list) else [value]}, "answers")


def error_message(answer: JsonObject) -> str | None:
    """Return the message of an error body or error event, whosever shape it has, as one short line."""
    error = answer.get("error")
    if not error and _MESSAGE_FIELDS.isdisjoint(answer):
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
    if _ERROR_FIELDS.isdisjoint(answer):
        return False
    return (
        bool(answer.get("errors") or answer.get("error_code"))
        # Cloudflare's and Zhipu's, and MiniMax', which all come with a good status.
        or answer.get("success") is False
        or bool(object_in(answer, "base_resp").get("status_code"))
    )


def unreadable_note(which: str, body: bytes) -> str:
    """Return the note on a body, of the request or the response, that is not the JSON object it should be."""
    if has_too_many_values(body):
        return f"the {which} holds more than {MAX_JSON_VALUES:,} values"
    return f"the {which} is not a JSON object"


def _one_line(text: str) -> str:
    return " ".join(text[: 4 * _MAX_MESSAGE].split())[:_MAX_MESSAGE]


def _is_parsable(event: Event) -> bool:
    return event[1] == STREAM_END or parse_object(event[1]) is not None


class OpaqueFormat:
    """A WireFormat that guesses nothing; it takes only the model that the request's body or path names."""

    def recognises(self, answer: JsonObject) -> bool:
        """Return False: nothing calls itself one of no format."""
        return False

    def read_request(self, request: WireMessage) -> RequestFacts:
        """Return the model that is asked for, if the request says so."""
        asked = parse_object(request.body) if request.body.startswith(b"{") else None
        model = text_in(asked, "model") or text_in(asked, "model_id") if asked else None
        return RequestFacts(model=model or model_in_path(request.path))

    def read_response(self, response: WireMessage) -> ResponseFacts:
        """Return nothing."""
        return ResponseFacts()

    def reassemble(self, content_type: str, body: bytes) -> None:
        """Return None."""

    def conversation(self, request: WireMessage, response: WireMessage) -> Conversation:
        """Return what stands where most formats have it."""
        asked = parse_object(request.body) or {}
        output = (message for answer in parse_answers(response.body) for message in read_output(answer))
        return Conversation(tuple(read_input(asked)), tuple(output), tuple(read_tools(asked)))


OPAQUE = OpaqueFormat()
