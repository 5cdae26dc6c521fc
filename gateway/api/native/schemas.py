"""Schemas of requests, messages, feedback, traces and sessions in the native API."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from gateway.api.native.http_responses import NextCursor, Schema, UnknownKeys, embed_json, embed_json_text
from gateway.models import clock
from gateway.models.exchange import Outcome, RawHeaders
from gateway.models.feedback import (
    MAX_SUMMARY_PAIRS,
    NO_FEEDBACK,
    Feedback,
    FeedbackSummary,
    Kind,
    ScoreSummary,
    Source,
    Target,
    summarise_feedback,
)
from gateway.models.request import NANOUSD_PER_USD, RequestRecord
from gateway.models.trace import Session, Trace
from gateway.query.requests import LoggedRequest, Message, RequestSlice

Encoding = Literal["json", "text", "base64"]


class HeaderShape(Schema):
    name: str
    value: str


class BodyShape(Schema):
    """A decoded body."""

    encoding: Encoding = Field(
        description="`json`: content is the JSON value that was sent. `text`: a string, for other UTF-8 such as "
        "event streams. `base64`: a string, for all else."
    )
    content: object
    truncated: bool = Field(description="Whether only the beginning was stored.")
    size: int = Field(description="Bytes on the wire, however many were stored.")


class RequestMessage(Schema):
    headers: list[HeaderShape] = Field(description="In their order on the wire, with secrets replaced.")
    body: BodyShape


class ResponseMessage(RequestMessage):
    reassembled: object = Field(
        description="The stream as the object that the same call would have returned without streaming; null "
        "where the response is not a stream of a known format."
    )


def request_message(logged: LoggedRequest) -> RequestMessage | None:
    """Return what was sent upstream; None where it was not stored."""
    if logged.request is None:
        return None
    return RequestMessage(headers=_headers(logged.request.headers), body=_body(logged.request))


def response_message(logged: LoggedRequest) -> ResponseMessage | None:
    """Return what the provider sent; None where it was not stored."""
    if logged.response is None:
        return None
    return ResponseMessage(
        headers=_headers(logged.response.headers),
        body=_body(logged.response),
        reassembled=embed_json(logged.reassembled),
    )


def _headers(headers: RawHeaders) -> list[HeaderShape]:
    return [HeaderShape(name=_header_text(name), value=_header_text(value)) for name, value in headers]


def _header_text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _body(message: Message) -> BodyShape:
    encoding, content = _encode_content(message.body, message.is_truncated)
    return BodyShape(
        encoding=encoding, content=content, truncated=message.is_truncated, size=message.size_bytes
    )


def _encode_content(body: bytes, is_truncated: bool) -> tuple[Encoding, object]:
    if value := embed_json_text(body):
        return "json", value
    try:
        # A truncated body may end inside a character and is still text.
        text = codecs.getincrementaldecoder("utf-8")().decode(body, final=not is_truncated)
    except UnicodeDecodeError:
        return "base64", base64.b64encode(body).decode()
    return "text", text


# RFC 3339 in UTC, with microseconds.
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]

Object = Annotated[object, WithJsonSchema({"type": "object", "additionalProperties": True})]


class ValueWeight(Schema):
    value: float = Field(description="As it was given.")
    weight: float


class LoggedRow(Schema):
    """A logged request. Model, tokens and cost are null until its payload was read, some ms after its end."""

    request_id: str
    trace_id: str
    span_id: str | None
    parent_span_id: str | None
    span_name: str | None
    tenant: str | None
    key_name: str | None = Field(description="Name of the caller's API key.")
    provider: str
    endpoint: str = Field(
        description="Kind of call, such as `chat.completions`; `other` where it is unknown."
    )
    method: str
    path: str
    started_at: Time
    first_byte_at: Time | None
    ended_at: Time
    latency_ms: float = Field(description="From the request's arrival to the end of its response.")
    time_to_first_byte_ms: float | None
    status: int | None = Field(description="Status sent to the caller; null if the caller left before.")
    outcome: Outcome = Field(description="How it ended.")
    error: str | None
    is_stream: bool
    attempt: int = Field(description="Number of the gateway's own attempt, from 0.")
    client_retry: int = Field(
        description="Number of the client's attempt, from 0, as the client states it (`x-stainless-retry-count`)."
    )
    cache_status: str | None
    user: str | None
    organisation: str | None
    prompt: str | None
    environment: str | None
    session: str | None = Field(description="Conversation or agent run that its trace belongs to.")
    metadata: Object
    request_size: int = Field(description="Bytes of the request's body on the wire.")
    response_size: int = Field(description="Bytes of the response's body on the wire.")
    requested_model: str | None
    model: str | None = Field(description="Model that answered.")
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None = Field(description="Those of `prompt_tokens` that were read from a cache.")
    cache_write_tokens: int | None = Field(
        description="Those of `prompt_tokens` that were written to a cache."
    )
    reasoning_tokens: int | None = Field(
        description="Those of `completion_tokens` that were spent on reasoning."
    )
    cost_usd: float | None
    cost_nanousd: int | None = Field(description="The cost in billionths of a US dollar, exact.")
    price_version: str | None
    response_id: str | None = Field(description="The provider's id of its response.")
    finish_reason: str | None
    note: str | None = Field(description="What could not be read in the payload.")
    interpreted_at: Time | None
    feedback_count: int = Field(description="Feedback entries on it, its trace and its session.")
    mean_score: float | None = Field(
        description="Sum of weight × score over sum of weights of these entries, from -1 to 1; null where the "
        "weights are 0."
    )
    feedback_pairs: list[ValueWeight] = Field(
        description=f"Value and weight of the entries with a value, latest first, at most {MAX_SUMMARY_PAIRS}."
    )

    @classmethod
    def of(cls, record: RequestRecord, feedback: FeedbackSummary) -> LoggedRow:
        return cls.model_validate(_request_fields(record, feedback))


def logged_rows(
    records: Iterable[RequestRecord], feedback: Mapping[int, FeedbackSummary]
) -> Iterator[LoggedRow]:
    """Return the rows of requests.

    Args:
        feedback: by `seq` of the request.
    """
    return (LoggedRow.of(record, feedback.get(record.seq, NO_FEEDBACK)) for record in records)


class FeedbackRow(Schema):
    """The latest version of a feedback entry of any API."""

    feedback_id: str
    version: int
    tenant: str | None
    subject_id: str = Field(description="The id as it was given.")
    target: Target
    trace_id: str | None
    request_id: str | None
    session: str | None
    joined_at: Time | None = Field(description="When its trace, request or session was found; null before.")
    kind: Kind
    metric: str | None
    value: float | None = Field(description="As it was given.")
    weight: float
    score: float | None = Field(description="`value` on the scale from -1 to 1.")
    grade: float | None = Field(description="`value` on the scale from -10 to 10.")
    label: str | None
    comment: str | None
    original_text: str | None
    edited_text: str | None
    original_id: str | None = Field(
        description="The entry of kind `original` with the original text; null where this entry has its own."
    )
    author: str | None
    app_id: str | None
    app_version: str | None
    source: Source
    metadata: Object
    dialect: str
    raw: object = Field(description="The entry as it came in.")
    key_name: str | None
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, entry: Feedback) -> FeedbackRow:
        return cls.model_validate(
            {
                **_copy_fields(entry, cls),
                "metadata": embed_json(dict(entry.metadata)),
                "raw": embed_json_text(entry.raw) or entry.raw,
                "joined_at": format_time(entry.joined_at_us),
                "created_at": format_time(entry.created_at_us),
                "updated_at": format_time(entry.updated_at_us),
            }
        )


class AppendedFeedback(FeedbackRow):
    """A feedback entry as part of a request."""

    via: Target = Field(description="What it was given on: the `request`, or its whole `trace` or `session`.")

    @classmethod
    def of(cls, entry: Feedback) -> AppendedFeedback:
        return cls.model_validate({**dict(FeedbackRow.of(entry)), "via": entry.target})


class LoggedRequestReply(LoggedRow):
    """A logged request with its feedback. Request and response are null where they were not stored."""

    request: RequestMessage | None
    response: ResponseMessage | None
    feedback: list[AppendedFeedback] = Field(
        description="On this request, its trace and its session, oldest first."
    )

    @classmethod
    def of_logged(cls, logged: LoggedRequest) -> LoggedRequestReply:
        return cls.model_validate(
            {
                **_request_fields(logged.record, summarise_feedback(logged.feedback)),
                "request": request_message(logged),
                "response": response_message(logged),
                "feedback": [AppendedFeedback.of(entry) for entry in logged.feedback],
            }
        )


class ListReply(Schema):
    data: list[LoggedRow] = Field(description="Newest first.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys

    @classmethod
    def of(cls, found: RequestSlice) -> ListReply:
        cursor = None if found.next_cursor is None else str(found.next_cursor)
        return cls(
            data=list(logged_rows(found.records, found.feedback)),
            next_cursor=cursor,
            unknown_keys=list(found.unknown_keys),
        )


class ScoreShape(Schema):
    """Feedback as one score. Entries without a score are counted, but have no weight."""

    count: int
    weighted_mean: float | None = Field(description="`weighted_sum` / `total_weight`, from -1 to 1.")
    weighted_sum: float
    total_weight: float

    @classmethod
    def of(cls, score: ScoreSummary) -> ScoreShape:
        return cls(**{name: getattr(score, name) for name in cls.model_fields})


class TraceReply(Schema):
    trace_id: str
    requests: list[LoggedRow] = Field(description="In the order in which they started.")
    feedback: list[AppendedFeedback] = Field(
        description="On the trace, its requests and their session, oldest first."
    )
    score: ScoreShape = Field(description="Of what counts for its requests.")

    @classmethod
    def of(cls, trace: Trace) -> TraceReply:
        return cls(
            trace_id=trace.trace_id,
            requests=list(logged_rows(trace.requests, trace.feedback_on)),
            feedback=[AppendedFeedback.of(entry) for entry in trace.feedback],
            score=ScoreShape.of(trace.score),
        )


class SessionReply(Schema):
    session: str
    traces: list[str] = Field(description="Ids of its traces, in the order in which they started.")
    requests: list[LoggedRow] = Field(description="In the order in which they started.")
    feedback: list[AppendedFeedback] = Field(
        description="On the session, its traces and its requests, oldest first."
    )
    score: ScoreShape = Field(description="Of what counts for its requests.")

    @classmethod
    def of(cls, session: Session) -> SessionReply:
        return cls(
            session=session.session,
            traces=list(session.trace_ids),
            requests=list(logged_rows(session.requests, session.feedback_on)),
            feedback=[AppendedFeedback.of(entry) for entry in session.feedback],
            score=ScoreShape.of(session.score),
        )


def format_time(time_us: int | None) -> str | None:
    """Return microseconds since the epoch as RFC 3339 in UTC."""
    return None if time_us is None else clock.format_rfc3339(time_us)


def _request_fields(record: RequestRecord, feedback: FeedbackSummary) -> dict[str, object]:
    first_byte, cost = record.first_byte_at_us, record.cost_nanousd
    return {
        **_copy_fields(record, LoggedRow),
        "metadata": embed_json(dict(record.metadata)),
        "started_at": format_time(record.started_at_us),
        "first_byte_at": format_time(first_byte),
        "ended_at": format_time(record.ended_at_us),
        "interpreted_at": format_time(record.interpreted_at_us),
        "latency_ms": (record.ended_at_us - record.started_at_us) / 1000,
        "time_to_first_byte_ms": None if first_byte is None else (first_byte - record.started_at_us) / 1000,
        "cost_usd": None if cost is None else cost / NANOUSD_PER_USD,
        "feedback_count": feedback.score.count,
        "mean_score": feedback.score.weighted_mean,
        "feedback_pairs": [ValueWeight(value=value, weight=weight) for value, weight in feedback.pairs],
    }


def _copy_fields(source: RequestRecord | Feedback, schema: type[Schema]) -> dict[str, object]:
    return {name: getattr(source, name) for name in schema.model_fields if hasattr(source, name)}
