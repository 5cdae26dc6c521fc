"""WireFormat: what a format reads in a request and a response, and the JSON base of most."""

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
    """Who asks, and in which conversation."""

    user: str | None = None
    session: str | None = None
    previous_response_id: str | None = None


NO_CALLER = Caller()


def read_caller(request: JsonObject, user: str | None) -> Caller:
    """Return who asks, by a request's body and the end user that its format names."""
    user, session = _split_claude_code_user(user)
    stored = text_in(request, "conversation") or text_in(object_in(request, "conversation"), "id")
    sessions = (stored, session, text_in(request, "prompt_cache_key"))
    earlier = (text_in(request, "previous_response_id"), text_in(request, "previous_interaction_id"))
    return Caller(user, _first_session_id(sessions), _first_session_id(earlier))


def read_baggage(headers: RawHeaders) -> Caller:
    """Return who asks by OpenTelemetry's `session.id` and `user.id` (W3C Baggage, section 3.2)."""
    found: dict[str, str] = {}
    for name, text in headers:
        if len(name) == len(_BAGGAGE) and name.lower() == _BAGGAGE:
            for member in text.decode("utf-8", "replace").split(","):
                key, _, rest = member.partition("=")
                # A plus stands for itself there, but OpenTelemetry for Python writes it for a space.
                found.setdefault(key.strip(), unquote_plus(rest.partition(";")[0].strip()))
    if not found:
        return NO_CALLER
    return Caller(_first_session_id([found.get("user.id")]), _first_session_id([found.get("session.id")]))


def _split_claude_code_user(user: str | None) -> tuple[str | None, str | None]:
    # Anthropic's coding agents send both in one text.
    if user is None:
        return None, None
    if user[:1] == "{" and (parts := parse_object(user.encode())) is not None:
        account, device = text_in(parts, "account_uuid"), text_in(parts, "device_id")
        return account or device, text_in(parts, "session_id")
    if found := _CLAUDE_CODE_USER.fullmatch(user):
        return found[2] or found[1], found[3]
    return user, None


def _first_session_id(texts: Iterable[str | None]) -> str | None:
    return next((text for text in texts if text is not None and is_session_id(text)), None)


@value_class()
class WireMessage:
    """One side of an exchange: path with query, headers, and the decoded body, which may be cut anywhere."""

    path: str
    headers: RawHeaders
    body: bytes

    @classmethod
    def of_request(cls, exchange: Exchange) -> WireMessage:
        headers = exchange.request_headers
        return cls(exchange.path, headers, decode(exchange.request_body, headers).data)

    @classmethod
    def of_response(cls, exchange: Exchange) -> WireMessage:
        headers = exchange.response_headers
        return cls(exchange.path, headers, decode(exchange.response_body, headers).data)

    @property
    def content_type(self) -> str:
        return first_value(self.headers, b"content-type").decode("latin-1")


@value_class()
class RequestFacts:
    """What a request says; the note is on what could not be understood."""

    model: str | None = None
    caller: Caller = NO_CALLER
    note: str | None = None
    # Some answers do not say what they are billed by; see `Charge`.
    units: Mapping[str, float] = field(default_factory=dict)


@value_class()
class ResponseFacts:
    """What a response says.

    Args:
        has_failed: the provider states an error inside the answer.
        has_ended: whether a stream came to its own end; None where the answer is no stream.
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

    def read_request(self, request: WireMessage) -> RequestFacts: ...

    def read_response(self, response: WireMessage) -> ResponseFacts:
        """Read a response; whether it is a stream is decided by the response alone."""

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        """Return a stream as the object that the provider would have sent unstreamed; None for no stream."""

    def conversation(self, request: WireMessage, response: WireMessage) -> Conversation:
        """Return what both sides say, as far as it can be read."""


# The data of OpenAI's last event.
STREAM_END = b"[DONE]"

ENDED_EARLY = "the stream ended early"

_MAX_MESSAGE = 300
_MESSAGE_FIELDS = frozenset({"errors", "message", "detail", "error_msg", "msg", "base_resp"})
# Most answers have none of these.
_ERROR_FIELDS = frozenset({"errors", "error_code", "success", "base_resp"})
_NO_MESSAGE = "an error without a message"

_ERROR_EVENT = "error"
_ERROR = b'"error'
_NULL_ERRORS = (b'"error":null', b'"error": null')


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """A WireFormat made of the functions in which formats differ.

    Args:
        read_answer: reads an unstreamed answer, or an error in its place.
        read_stream: gets the events unparsed, to parse only those that matter; None: as the rebuilt answer.
        rebuild: makes the unstreamed answer of a stream's objects; None where they make none.
        read_model: the model in a request's body, which goes before the one in its path.
        is_error_event: whether an object anywhere in a stream says that the call failed.
        model_path: where paths name the model in a way of their own.
    """

    recognises: Callable[[JsonObject], bool]
    read_answer: Callable[[JsonObject], ResponseFacts]
    read_stream: Callable[[Stream], ResponseFacts] | None = None
    rebuild: Callable[[list[JsonObject]], JsonObject | None] = lambda events: None
    read_user: Callable[[JsonObject], str | None] = lambda request: text_in(request, "user")
    read_model: Callable[[JsonObject], str | None] = lambda request: model_in(request)
    is_error_event: Callable[[JsonObject], bool] = lambda event: states_error(event)
    model_path: re.Pattern[str] | None = None
    read_input: Callable[[JsonObject], Iterable[Message]] = read_input
    read_output: Callable[[JsonObject], Iterable[Message]] = read_output

    def read_request(self, request: WireMessage) -> RequestFacts:
        asked = parse_object(request.body) if request.body else {}
        if asked is None:
            note = unreadable_note("request", request.body)
            return RequestFacts(model=model_in_path(request.path, self.model_path), note=note)
        model = self.read_model(asked) or model_in_path(request.path, self.model_path)
        if not asked:
            return RequestFacts(model)
        return RequestFacts(model=model, caller=read_caller(asked, self.read_user(asked)))

    def read_response(self, response: WireMessage) -> ResponseFacts:
        if not response.body:
            return ResponseFacts()
        stream = read_events(response.content_type, response.body)
        if stream is not None:
            return self.read_events(stream)
        answer = parse_object(response.body)
        if answer is None:
            return ResponseFacts(note=unreadable_note("response", response.body))
        return self.read_answer(answer)

    def reassemble(self, content_type: str, body: bytes) -> JsonObject | None:
        stream = read_events(content_type, body)
        if stream is None:
            return None
        whole = self.rebuild(list(stream.objects()))
        if whole is None or self.read_answer(whole).has_failed or (fault := self._find_error(stream)) is None:
            return whole
        return whole | {"error": {"message": fault}}

    def conversation(self, request: WireMessage, response: WireMessage) -> Conversation:
        asked = parse_object(request.body) or {}
        whole = self.reassemble(response.content_type, response.body)
        answers = parse_answers(response.body) if whole is None else [whole]
        return Conversation(
            input=tuple(self.read_input(asked)),
            output=tuple(message for answer in answers for message in self.read_output(answer)),
            tools=tuple(read_tools(asked)),
        )

    def read_events(self, stream: Stream) -> ResponseFacts:
        """Return what a stream says, and whether it failed or was cut."""
        if self.read_stream is None:
            facts = self.read_answer(self.rebuild(list(stream.objects())) or {})
        else:
            facts = self.read_stream(stream)
        fault = None if facts.has_failed else self._find_error(stream)
        has_failed = facts.has_failed or fault is not None
        has_ended = facts.finish_reason is not None if facts.has_ended is None else facts.has_ended
        note = fault or facts.note
        if note is None and not has_ended and not has_failed:
            note = ENDED_EARLY
        elif note is None and stream.unfinished is not None and not _is_parsable(stream.unfinished):
            note = "the stream ended inside an event"
        if (note, has_failed, has_ended) == (facts.note, facts.has_failed, facts.has_ended):
            return facts
        return replace(facts, note=note, has_failed=has_failed, has_ended=has_ended)

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
# Bedrock's may be an ARN, whose slashes some clients leave as they are.
_BEDROCK_MODEL = re.compile(
    r"(?:/model/(.*))?/(?:converse|converse-stream|invoke|invoke-with-response-stream|count-tokens)$"
)


def model_in(body: JsonObject) -> str | None:
    """Return the model that a request or an answer names."""
    return text_in(body, "model") or text_in(body, "model_id") or text_in(body, "modelId")


def model_in_path(path: str, pattern: re.Pattern[str] | None = None) -> str | None:
    """Return the model that a path names, by a pattern or as Google's, Amazon's and Azure's do."""
    asked = path.partition("?")[0].rstrip("/")
    found = pattern and pattern.search(asked)
    found = found or _BEDROCK_MODEL.search(asked) or _MODEL_IN_PATH.search(asked)
    name = unquote(found[1] or "") if found else ""
    return name if 0 < len(name) <= MAX_TEXT else None


def parse_answers(body: bytes) -> list[JsonObject]:
    """Return the object that a body is, or those of the list that it is."""
    try:
        value = parse_json(body)
    except orjson.JSONDecodeError:
        return []
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def error_message(answer: JsonObject) -> str | None:
    """Return the message of an error body or event, in any provider's shape, as one short line."""
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
    """Tell whether an answer or an event says that the call failed, whatever its HTTP status."""
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
    """Return the note on a body that is not the JSON object it should be."""
    if has_too_many_values(body):
        return f"the {which} holds more than {MAX_JSON_VALUES:,} values"
    return f"the {which} is not a JSON object"


def _one_line(text: str) -> str:
    return " ".join(text[: 4 * _MAX_MESSAGE].split())[:_MAX_MESSAGE]


def _is_parsable(event: Event) -> bool:
    return event[1] == STREAM_END or parse_object(event[1]) is not None


class OpaqueFormat:
    """A WireFormat that guesses nothing but the model, and what was said where most formats have it."""

    def recognises(self, answer: JsonObject) -> bool:
        return False

    def read_request(self, request: WireMessage) -> RequestFacts:
        asked = parse_object(request.body) if request.body.startswith(b"{") else None
        return RequestFacts(model=(asked and model_in(asked)) or model_in_path(request.path))

    def read_response(self, response: WireMessage) -> ResponseFacts:
        return ResponseFacts()

    def reassemble(self, content_type: str, body: bytes) -> None:
        return None

    def conversation(self, request: WireMessage, response: WireMessage) -> Conversation:
        asked = parse_object(request.body) or {}
        output = (message for answer in parse_answers(response.body) for message in read_output(answer))
        return Conversation(tuple(read_input(asked)), tuple(output), tuple(read_tools(asked)))


OPAQUE = OpaqueFormat()
