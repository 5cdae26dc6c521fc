"""What each call sends, and what its reply means. Nothing here does I/O.

Source: the gateway's own `/openapi.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, Required, TypedDict, TypeVar
from urllib.parse import quote

from gateway.client.decoding import decode
from gateway.client.errors import UnexpectedReply
from gateway.client.models import FeedbackReceipt, GivenFeedback, LoggedRequest, RequestDetail, Trace
from gateway.domain.ids import new_id

T = TypeVar("T")
Metadata = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One call. Each may be sent again after it failed: it reads only, or goes under an idempotency key.

    Args:
        path: percent-encoded.
        read: makes the result from the JSON of a successful reply; raises UnexpectedReply.
    """

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEntry:
    """A verdict to be given: `value` from -10 to 10, `weight` from 0 to 1."""

    trace_id: str
    value: int
    weight: float = 1.0
    metadata: Metadata | None = None


class Said(TypedDict, total=False):
    """What feedback may say. At least one of the first seven, and at most one of the first four.

    `rating` is from 1 to 5, `score` from -1 to 1, `value` from -10 to 10, `weight` from 0 to 1.
    """

    thumb: Literal["up", "down"]
    rating: float
    score: float
    value: int
    label: str
    comment: str
    edited_text: str
    original_text: str
    weight: float
    author: str
    metadata: Metadata
    feedback_id: str


class NewFeedback(Said, total=False):
    """Feedback to be given, on the `id` of a trace, a request, a provider's response or a session."""

    id: Required[str]


class RequestFilters(TypedDict, total=False):
    """By what requests are found; all that are given must hold.

    `status` is a status or a class such as "4xx". `since` and `until` must say their time zone. `rating` to
    `comment` are about the feedback on a request, its trace and its session, with scores from -1 to 1.
    """

    trace_id: str
    request_id: str
    model: str
    provider: str
    status: int | str
    outcome: str
    user: str
    endpoint: str
    environment: str
    session: str
    organisation: str
    prompt: str
    rating: Literal["good", "bad", "neutral"]
    min_score: float
    max_score: float
    has_feedback: bool
    label: str
    comment: str
    since: datetime
    until: datetime
    metadata: Mapping[str, str | float | bool]


@dataclass(frozen=True, slots=True)
class RequestPage:
    """Some of the requests found; `next_cursor` leads on, None where there are no more."""

    requests: tuple[LoggedRequest, ...]
    next_cursor: str | None


def credentials(api_key: str | None) -> dict[str, str]:
    """Return the headers that carry a gateway key."""
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def create_feedback(entries: Sequence[FeedbackEntry], idempotency_key: str | None) -> Call[FeedbackReceipt]:
    """Give verdicts, all or none."""
    bodies = [_entry(entry) for entry in entries]
    return _write("POST", "/v1/feedback", bodies[0] if len(bodies) == 1 else bodies, idempotency_key)


def give_feedback(
    entries: Sequence[NewFeedback], idempotency_key: str | None
) -> Call[tuple[GivenFeedback, ...]]:
    """Give feedback, all or none."""
    key = idempotency_key or new_id()
    bodies = [{name: value for name, value in entry.items() if value is not None} for entry in entries]

    def read(data: Any) -> tuple[GivenFeedback, ...]:
        rows = data.get("data") if isinstance(data, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UnexpectedReply("the reply does not say what became of the feedback")
        return tuple(decode(GivenFeedback, {**row, "idempotency_key": key}) for row in rows)

    return Call(
        method="POST", path="/api/v1/feedback", body=bodies, headers={"Idempotency-Key": key}, read=read
    )


def update_feedback(
    feedback_id: str,
    value: int | None,
    weight: float | None,
    metadata: Metadata | None,
    idempotency_key: str | None,
) -> Call[FeedbackReceipt]:
    """Change an entry; None leaves a field as it is."""
    changes = {"value": value, "weight": weight, "metadata": metadata}
    body = {name: change for name, change in changes.items() if change is not None}
    return _write("PUT", f"/v1/feedback/{_segment(feedback_id)}", body, idempotency_key)


def get_trace(trace_id: str) -> Call[Trace]:
    """Read a trace."""
    return Call(
        method="GET", path=f"/api/v1/traces/{_segment(trace_id)}", read=lambda data: decode(Trace, data)
    )


def get_request(request_id: str) -> Call[RequestDetail]:
    """Read one request."""
    return Call(
        method="GET",
        path=f"/api/v1/requests/{_segment(request_id)}",
        read=lambda data: decode(RequestDetail, data),
    )


def find_requests(filters: RequestFilters, page_size: int, cursor: str | None) -> Call[RequestPage]:
    """Find requests, the newest first; `cursor` is that of the page before."""
    query = {**_query(filters), "limit": str(page_size)}
    if cursor is not None:
        query["cursor"] = cursor
    return Call(method="GET", path="/api/v1/requests", query=query, read=_page)


def _write(method: str, path: str, body: object, idempotency_key: str | None) -> Call[FeedbackReceipt]:
    key = idempotency_key or new_id()

    def read(data: Any) -> FeedbackReceipt:
        given = data if isinstance(data, dict) else {}
        return decode(FeedbackReceipt, {**given, "idempotency_key": key})

    return Call(method=method, path=path, body=body, headers={"Idempotency-Key": key}, read=read)


def _entry(entry: FeedbackEntry) -> dict[str, object]:
    body: dict[str, object] = {
        "trace_id": entry.trace_id, "value": entry.value, "weight": entry.weight,
    }  # fmt: skip
    return body if entry.metadata is None else {**body, "metadata": dict(entry.metadata)}


def _query(filters: RequestFilters) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in filters.items():
        if isinstance(value, Mapping):
            query |= {f"metadata.{key}": _text(item) for key, item in value.items()}
        elif isinstance(value, datetime):
            query[_TIMES[name]] = _time(name, value)
        elif value is not None:
            query[name] = _text(value)
    return query


_TIMES = {"since": "from", "until": "to"}


def _time(name: str, at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError(f"{name} must say its time zone, as datetime.now(UTC) does")
    return at.isoformat()


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _segment(name: str) -> str:
    return quote(name, safe="")


def _page(data: Any) -> RequestPage:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise UnexpectedReply("the reply holds no list of requests")
    return RequestPage(tuple(decode(LoggedRequest, row) for row in data["data"]), data.get("next_cursor"))
