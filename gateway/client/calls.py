"""What each call sends, how its reply is decoded, and when it is sent again. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, Generic, Literal, Required, TypedDict, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import quote

import httpx

from gateway.client.errors import ConnectionFailed, TimedOut, UnexpectedReply, error_of
from gateway.client.models import FeedbackReceipt, GivenFeedback, LoggedRequest, RequestDetail, Trace
from gateway.models.ids import new_id

T = TypeVar("T")


def decode(model: type[T], data: object) -> T:
    """Return the model that a JSON object describes; keys that it does not know are left out.

    Raises:
        UnexpectedReply: a field is missing or has another type than it should.
    """
    if not isinstance(data, dict):
        raise UnexpectedReply(f"the reply should hold a {model.__name__}, and does not")
    hints = _type_hints(model)  # type: ignore[arg-type]  # mypy takes type[T] for unhashable
    try:
        return model(
            **{name: _decode_value(hint, data[name]) for name, hint in hints.items() if name in data}
        )
    except (TypeError, ValueError) as error:
        raise UnexpectedReply(f"the reply holds no proper {model.__name__}: {error}") from error


@cache
def _type_hints(model: type[Any]) -> Mapping[str, Any]:
    return get_type_hints(model)


def _decode_value(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        return None if value is None else _decode_value(get_args(hint)[0], value)
    if get_origin(hint) is tuple:
        return tuple(_decode_value(get_args(hint)[0], item) for item in value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value)
    return value


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


class FeedbackFields(TypedDict, total=False):
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


class NewFeedback(FeedbackFields, total=False):
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
    bodies = [_entry_body(entry) for entry in entries]
    return _write_call("POST", "/v1/feedback", bodies[0] if len(bodies) == 1 else bodies, idempotency_key)


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
    return _write_call("PUT", f"/v1/feedback/{_path_segment(feedback_id)}", body, idempotency_key)


def get_trace(trace_id: str) -> Call[Trace]:
    """Read a trace."""
    return Call(
        method="GET", path=f"/api/v1/traces/{_path_segment(trace_id)}", read=lambda data: decode(Trace, data)
    )


def get_request(request_id: str) -> Call[RequestDetail]:
    """Read one request."""
    return Call(
        method="GET",
        path=f"/api/v1/requests/{_path_segment(request_id)}",
        read=lambda data: decode(RequestDetail, data),
    )


def find_requests(filters: RequestFilters, page_size: int, cursor: str | None) -> Call[RequestPage]:
    """Find requests, the newest first; `cursor` is that of the page before."""
    query = {**_query_params(filters), "limit": str(page_size)}
    if cursor is not None:
        query["cursor"] = cursor
    return Call(method="GET", path="/api/v1/requests", query=query, read=_read_page)


def _write_call(method: str, path: str, body: object, idempotency_key: str | None) -> Call[FeedbackReceipt]:
    key = idempotency_key or new_id()

    def read(data: Any) -> FeedbackReceipt:
        given = data if isinstance(data, dict) else {}
        return decode(FeedbackReceipt, {**given, "idempotency_key": key})

    return Call(method=method, path=path, body=body, headers={"Idempotency-Key": key}, read=read)


def _entry_body(entry: FeedbackEntry) -> dict[str, object]:
    body: dict[str, object] = {
        "trace_id": entry.trace_id, "value": entry.value, "weight": entry.weight,
    }  # fmt: skip
    return body if entry.metadata is None else {**body, "metadata": dict(entry.metadata)}


def _query_params(filters: RequestFilters) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in filters.items():
        if isinstance(value, Mapping):
            query |= {f"metadata.{key}": _text_param(item) for key, item in value.items()}
        elif isinstance(value, datetime):
            query[_TIME_PARAMS[name]] = _time_param(name, value)
        elif value is not None:
            query[name] = _text_param(value)
    return query


_TIME_PARAMS = {"since": "from", "until": "to"}


def _time_param(name: str, at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError(f"{name} must say its time zone, as datetime.now(UTC) does")
    return at.isoformat()


def _text_param(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path_segment(name: str) -> str:
    return quote(name, safe="")


def _read_page(data: Any) -> RequestPage:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise UnexpectedReply("the reply holds no list of requests")
    return RequestPage(tuple(decode(LoggedRequest, row) for row in data["data"]), data.get("next_cursor"))


AttemptResult = httpx.Response | httpx.RequestError
"""What came of sending a call once."""

FIRST_PAUSE_SECONDS = 0.1
"""Pause before the first retry; it doubles with each further one."""

MAX_PAUSE_SECONDS = 10.0
"""A gateway that asks for a longer pause than this is not asked again."""

_CONNECTION_ERRORS = (httpx.ConnectTimeout, httpx.NetworkError, httpx.RemoteProtocolError)


def conduct_call(call: Call[T], retries: int) -> Generator[float, AttemptResult, T]:
    """Conduct a call: yields how many seconds to wait before sending it, takes what came of it, and returns
    the result in the end.

    A reply that does not come in time is not waited for again, since the caller has said how long to wait.

    Raises:
        GatewayClientError: it failed, as often as it was to be tried.
    """
    attempt = yield 0.0
    for retry in range(retries):
        pause = _pause_before_retry(attempt, FIRST_PAUSE_SECONDS * 2**retry)
        if pause is None:
            break
        attempt = yield pause
    return _read_result(call, attempt)


def _pause_before_retry(attempt: AttemptResult, default_seconds: float) -> float | None:
    """Seconds after which the call may be sent again; None where it must not, or need not."""
    if not isinstance(attempt, httpx.Response):
        return default_seconds if isinstance(attempt, _CONNECTION_ERRORS) else None
    if attempt.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return None
    retry_after = attempt.headers.get("Retry-After", "")
    seconds = float(retry_after) if retry_after.isdecimal() else default_seconds
    return seconds if seconds <= MAX_PAUSE_SECONDS else None


def _read_result(call: Call[T], attempt: AttemptResult) -> T:
    if isinstance(attempt, httpx.TimeoutException):
        raise TimedOut(f"no reply in time from {attempt.request.url}") from attempt
    if isinstance(attempt, httpx.RequestError):
        raise ConnectionFailed(f"{attempt.request.url} cannot be reached: {attempt}") from attempt
    try:
        body = attempt.json()
    except ValueError:
        body = None
    if not attempt.is_success:
        raise error_of(attempt.status_code, body)
    if body is None:
        raise UnexpectedReply("the reply is no JSON; is this the URL of a gateway?", attempt.status_code)
    return call.read(body)
