"""Schemas of requests, messages, feedback, reviews, traces and sessions in the native API."""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import Field, WithJsonSchema, create_model

from gateway.api.native.http_responses import NextCursor, UnknownKeys, embed_json, embed_json_text
from gateway.models import clock
from gateway.models.columns import HIDDEN, Column
from gateway.models.exchange import RawHeaders
from gateway.models.feedback import (
    FEEDBACK_COLUMNS,
    MAX_SUMMARY_PAIRS,
    NO_FEEDBACK,
    Feedback,
    FeedbackSummary,
    Kind,
    ScoreSummary,
    Target,
    summarise_feedback,
)
from gateway.models.request import NANOUSD_PER_USD, REQUEST_COLUMNS, RequestRecord
from gateway.models.reviews import Review, ReviewState
from gateway.models.trace import Session, Trace
from gateway.query.requests import LoggedRequest, Message, RequestSlice
from gateway.web.endpoint import Schema

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
    headers, body = _headers(logged.response.headers), _body(logged.response)
    return ResponseMessage(headers=headers, body=body, reassembled=embed_json(logged.reassembled))


def _headers(headers: RawHeaders) -> list[HeaderShape]:
    return [HeaderShape(name=_header_text(name), value=_header_text(value)) for name, value in headers]


def _header_text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _body(message: Message) -> BodyShape:
    is_cut = message.is_truncated
    encoding, content = _encode_content(message.body, is_cut)
    return BodyShape(encoding=encoding, content=content, truncated=is_cut, size=message.size_bytes)


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
    """A feedback entry in short."""

    value: float = Field(description="As it was given.")
    weight: float
    kind: Kind
    via: Target = Field(description="What it was given on: the `request`, or its whole `trace` or `session`.")


S = TypeVar("S", bound=Schema)


@dataclass(frozen=True, slots=True)
class _ShownColumn:
    """A column as the native API returns it."""

    name: str
    hint: Any
    description: str
    read: Callable[[Any], object]


def _shown_columns(columns: Iterable[Column]) -> dict[str, _ShownColumn]:
    return {column.name: _shown_column(column) for column in columns if not column.uses & HIDDEN}


def _shown_column(column: Column) -> _ShownColumn:
    name, hint, get = column.name, column.hint, attrgetter(column.name)
    if name.endswith("_at_us"):
        time = Time | None if column.is_optional else Time
        return _ShownColumn(name[:-3], time, column.description, lambda row: format_time(get(row)))
    if name == "metadata":
        return _ShownColumn(name, Object, column.description, lambda row: embed_json(dict(get(row))))
    if name == "raw":
        return _ShownColumn(
            name, object, column.description, lambda row: embed_json_text(get(row)) or get(row)
        )
    return _ShownColumn(name, hint, column.description, get)


def _with_fields(
    shown: Mapping[str, _ShownColumn],
    computed: Mapping[str, Mapping[str, tuple[Any, str]]] = MappingProxyType({}),
) -> Callable[[type[S]], type[S]]:
    """Add the fields of columns to a schema.

    Args:
        computed: type and description of further fields, by the column that they come after.
    """
    fields: dict[str, tuple[Any, str]] = {}
    for column, field in shown.items():
        fields[field.name] = (field.hint, field.description)
        fields |= computed.get(column, {})
    definitions: dict[str, Any] = {
        name: (hint, Field(description=description)) for name, (hint, description) in fields.items()
    }

    def add(schema: type[S]) -> type[S]:
        name, module, doc = schema.__name__, schema.__module__, schema.__doc__
        return create_model(name, __base__=schema, __doc__=doc, __module__=module, **definitions)

    return add


def _values_of(shown: Mapping[str, _ShownColumn], row: object) -> dict[str, object]:
    return {field.name: field.read(row) for field in shown.values()}


_REQUEST_FIELDS = _shown_columns(REQUEST_COLUMNS)
_FEEDBACK_FIELDS = _shown_columns(FEEDBACK_COLUMNS)
_COMPUTED_FIELDS: Mapping[str, dict[str, tuple[Any, str]]] = {
    "ended_at_us": {
        "latency_ms": (float, "From the request's arrival to the end of its response."),
        "time_to_first_byte_ms": (float | None, "Null where nothing was answered."),
    },
    "reasoning_tokens": {"cost_usd": (float | None, "Null where no price is known.")},
    "interpreted_at_us": {
        "feedback_count": (int, "Entries of feedback on it, its trace and its session."),
        "mean_score": (
            float | None,
            "Sum of weight × score over sum of weights of these entries, from -1 to 1; null where nothing weighs"
            " anything.",
        ),
        "feedback_pairs": (
            list[ValueWeight],
            "Value, weight and kind of those entries that have a value, the latest first, at most"
            f" {MAX_SUMMARY_PAIRS}.",
        ),
    },
}


@_with_fields(_REQUEST_FIELDS, _COMPUTED_FIELDS)
class LoggedRow(Schema):
    """A logged request. Model, tokens and cost are null until its payload was read, some ms after its end."""

    @classmethod
    def of(cls, record: RequestRecord, feedback: FeedbackSummary) -> LoggedRow:
        return cls.model_validate(_request_fields(record, feedback))

    @classmethod
    def render(cls, record: RequestRecord, feedback: FeedbackSummary) -> bytes:
        """Return the JSON of a row, in half the time that checking its fields takes."""
        fields = _request_fields(record, feedback)
        return orjson.dumps({name: fields[name] for name in cls.model_fields}, default=Schema.model_dump)


def logged_rows(
    records: Iterable[RequestRecord], feedback: Mapping[int, FeedbackSummary]
) -> Iterator[LoggedRow]:
    """Return the rows of requests.

    Args:
        feedback: by `seq` of the request.
    """
    return (LoggedRow.of(record, feedback.get(record.seq, NO_FEEDBACK)) for record in records)


@_with_fields(_FEEDBACK_FIELDS)
class FeedbackRow(Schema):
    """The latest version of a feedback entry of any API."""

    @classmethod
    def of(cls, entry: Feedback) -> FeedbackRow:
        return cls.model_validate(_values_of(_FEEDBACK_FIELDS, entry))


class AppendedFeedback(FeedbackRow):
    """A feedback entry as part of a request."""

    via: Target = Field(description="What it was given on: the `request`, or its whole `trace` or `session`.")

    @classmethod
    def of(cls, entry: Feedback) -> AppendedFeedback:
        return cls.model_validate({**dict(FeedbackRow.of(entry)), "via": entry.target})


class ReviewShape(Schema):
    """A person's reservation or review of a request."""

    request_id: str
    trace_id: str
    tenant: str | None
    state: ReviewState
    reviewer: str = Field(description="Name of the reviewer's key.")
    note: str | None
    at: Time = Field(description="When it was last reserved, or was reviewed.")
    reserved_until: Time | None = Field(description="When the reservation ends; null once it is reviewed.")

    @classmethod
    def of(cls, review: Review | None) -> ReviewShape | None:
        if review is None:
            return None
        return cls(
            request_id=review.request_id, trace_id=review.trace_id, tenant=review.tenant, state=review.state,
            reviewer=review.reviewer, note=review.note, at=clock.format_rfc3339(review.at_us),
            reserved_until=format_time(review.reserved_until_us),
        )  # fmt: skip


# Of a request as it is now.
CurrentReview = Annotated[
    ReviewShape | None, Field(description="Null where nobody has reserved or reviewed it.")
]


class LoggedRequestReply(LoggedRow):
    """A logged request with its feedback. Request and response are null where they were not stored."""

    request: RequestMessage | None
    response: ResponseMessage | None
    feedback: list[AppendedFeedback] = Field(
        description="On this request, its trace and its session, oldest first."
    )

    review: CurrentReview

    @classmethod
    def of_logged(cls, logged: LoggedRequest, review: Review | None) -> LoggedRequestReply:
        return cls.model_validate(
            {
                **_request_fields(logged.record, summarise_feedback(logged.feedback)),
                "request": request_message(logged),
                "response": response_message(logged),
                "feedback": [AppendedFeedback.of(entry) for entry in logged.feedback],
                "review": ReviewShape.of(review),
            }
        )


class ListReply(Schema):
    data: list[LoggedRow] = Field(description="Newest first.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys

    @classmethod
    def of(cls, found: RequestSlice) -> ListReply:
        cursor = None if found.next_cursor is None else str(found.next_cursor)
        rows = list(logged_rows(found.records, found.feedback))
        return cls(data=rows, next_cursor=cursor, unknown_keys=list(found.unknown_keys))


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
        return cls(trace_id=trace.trace_id, **_group_fields(trace))


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
        return cls(session=session.session, traces=list(session.trace_ids), **_group_fields(session))


def _group_fields(group: Trace | Session) -> dict[str, Any]:
    return {
        "requests": list(logged_rows(group.requests, group.feedback_on)),
        "feedback": [AppendedFeedback.of(entry) for entry in group.feedback],
        "score": ScoreShape.of(group.score),
    }


def format_time(time_us: int | None) -> str | None:
    """Return microseconds since the epoch as RFC 3339 in UTC."""
    return None if time_us is None else clock.format_rfc3339(time_us)


def _request_fields(record: RequestRecord, feedback: FeedbackSummary) -> dict[str, object]:
    first_byte, cost = record.first_byte_at_us, record.cost_nanousd
    return {
        **_values_of(_REQUEST_FIELDS, record),
        "latency_ms": (record.ended_at_us - record.started_at_us) / 1000,
        "time_to_first_byte_ms": None if first_byte is None else (first_byte - record.started_at_us) / 1000,
        "cost_usd": None if cost is None else cost / NANOUSD_PER_USD,
        "feedback_count": feedback.score.count,
        "mean_score": feedback.score.weighted_mean,
        "feedback_pairs": [
            ValueWeight(value=pair.value, weight=pair.weight, kind=pair.kind, via=pair.via)
            for pair in feedback.pairs
        ],
    }
