"""Where an answer begins to say something: until there, another provider may give it in its place."""

import re
from enum import Enum
from http import HTTPStatus

from gateway.models.conversation import Conversation, Part, Reasoning, Refusal, Text
from gateway.models.exchange import RawHeaders, declares_stream, first_value, value_class
from gateway.wire.content_encoding import decode
from gateway.wire.endpoints import OTHER_ENDPOINT, format_of
from gateway.wire.event_streams import Event, Stream, read_events
from gateway.wire.formats import ENDED_EARLY, OPAQUE, ResponseFacts, WireMessage
from gateway.wire.json_fields import is_json

# An answer of which so much arrived is passed on, whatever it says.
MAX_HELD_BYTES = 256 * 1024


class Beginning(Enum):
    """What the beginning of an answer says."""

    # Roles, ids, pings: nothing that a caller waits for.
    SILENT = "silent"
    MEANINGFUL = "meaningful"
    # It states an error.
    FAILED = "failed"
    # It is none: empty, malformed, or over without its end.
    BROKEN = "broken"


@value_class()
class AnswerBeginning:
    """What the bytes of an answer say that have arrived; message and status are those of what is no good."""

    state: Beginning
    message: str | None = None
    status: int = HTTPStatus.OK


# Their answers are not made of messages, and each of their events is worth having.
_WITHOUT_MESSAGES = ("audio.", "images")

# Anthropic's, OpenAI's, Google's and Amazon's names of errors.
_STATED_STATUSES = (
    (
        re.compile(rb"overloaded_error|modelNotReadyException|serviceUnavailableException|UNAVAILABLE", re.I),
        529,
    ),
    (re.compile(rb"rate_limit|throttling|RESOURCE_EXHAUSTED|insufficient_quota", re.I), 429),
)

_SILENT = AnswerBeginning(Beginning.SILENT)
_MEANINGFUL = AnswerBeginning(Beginning.MEANINGFUL)


def may_be_silent(endpoint: str, status: int, headers: RawHeaders) -> bool:
    """Tell whether an answer may begin with bytes that say nothing, or be an error with a good status."""
    if endpoint == OTHER_ENDPOINT or not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return False
    if status == HTTPStatus.NO_CONTENT:
        return False
    return declares_stream(headers) or b"json" in first_value(headers, b"content-type").lower()


def read_beginning(
    endpoint: str, path: str, headers: RawHeaders, body: bytes, *, is_whole: bool
) -> AnswerBeginning:
    """Return what the bytes of an answer say that have arrived.

    Args:
        headers: of the response, by which its body is decompressed.
        is_whole: whether these are all bytes of it.
    """
    if len(body) >= MAX_HELD_BYTES:
        return _MEANINGFUL
    answer = WireMessage(path, headers, decode(body, headers).data)
    wire_format = format_of(endpoint, answer.content_type, answer.body)
    if wire_format is OPAQUE:
        return _MEANINGFUL
    if not is_whole and not declares_stream(headers) and not answer.body.lstrip().startswith(b"["):
        # One object, which can be understood at its end alone; Gemini streams a list of them.
        return _SILENT
    facts = wire_format.read_response(answer)
    if facts.has_failed:
        return AnswerBeginning(Beginning.FAILED, facts.note, _stated_status(answer.body))
    stream = read_events(answer.content_type, answer.body)
    if (fault := _fault_in(answer.body, stream, facts, is_whole=is_whole)) is not None:
        return AnswerBeginning(Beginning.BROKEN, fault, HTTPStatus.BAD_GATEWAY)
    has_ended = is_whole or facts.has_ended or facts.finish_reason is not None
    if has_ended or endpoint.startswith(_WITHOUT_MESSAGES):
        return _MEANINGFUL
    conversation = wire_format.conversation(WireMessage(path, (), b""), answer)
    return _MEANINGFUL if says_something(conversation) else _SILENT


def _fault_in(body: bytes, stream: Stream | None, facts: ResponseFacts, *, is_whole: bool) -> str | None:
    """Return what makes an answer none, which states no error."""
    if stream is not None and any(map(_is_malformed, stream.events)):
        return "an event of the stream is no JSON"
    if not is_whole:
        return None
    if not body.strip():
        return "the answer is empty"
    if stream is None:
        return None if is_json(body) else "the answer is no JSON"
    return ENDED_EARLY if facts.has_ended is False else None


def _is_malformed(event: Event) -> bool:
    # Marks of the end and of life are words.
    return event[1].startswith(b"{") and not is_json(event[1])


def _stated_status(body: bytes) -> int:
    """Return the status that a provider would have sent, had it failed before its head went out."""
    return next((status for pattern, status in _STATED_STATUSES if pattern.search(body)), 500)


def says_something(conversation: Conversation) -> bool:
    """Tell whether an answer has text, reasoning, a refusal, a tool call or anything else but roles."""
    return any(_is_content(part) for message in conversation.output for part in message.parts)


def _is_content(part: Part) -> bool:
    return bool(part.content) if isinstance(part, Text | Reasoning | Refusal) else True
