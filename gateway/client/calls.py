"""What each call sends, and what is made of its reply. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, Literal, Required, TypedDict, TypeVar, Unpack

import httpx

from gateway.client import models
from gateway.client.errors import ConnectionFailed, UnexpectedReply, error_of
from gateway.client.transport import Call, decode
from gateway.models.ids import new_id, path_segment

T = TypeVar("T")

Metadata = Mapping[str, object]

# A live tail is never silent for longer than 15 s.
TAIL_TIMEOUT = httpx.Timeout(10.0, read=45.0)

# Before a live tail connects again.
RECONNECT_SECONDS = 2.0

_TIME_PARAMS = {"since": "from", "until": "to"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEntry:
    """A grade on a trace: `value` from -10 to 10, `weight` from 0 to 1."""

    trace_id: str
    value: int
    weight: float = 1.0
    metadata: Metadata | None = None


class FeedbackFields(TypedDict, total=False):
    """Fields of feedback: at least one of the first seven, at most one of the first four."""

    thumb: Literal["up", "down"]
    rating: float  # from 1 to 5
    score: float  # from -1 to 1
    value: int  # from -10 to 10
    label: str
    comment: str
    edited_text: str
    original_text: str
    weight: float  # from 0 to 1
    author: str
    source: Literal["human", "model", "code"]
    metadata: Metadata
    feedback_id: str


class NewFeedback(FeedbackFields, total=False):
    """Feedback on the `id` of a trace, a request, a provider's response or a session."""

    id: Required[str]


class RequestFilters(TypedDict, total=False):
    """Filters of requests; all must hold. `status` may be a class such as "4xx"."""

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
    prompt_version: str
    attempt: int
    client_retry: int
    cache_status: str
    route: str
    target: str
    experiment: str
    variant: str
    is_stream: bool
    has_usage: bool
    key_name: str
    # About the feedback on a request, its trace and its session.
    rating: Literal["good", "bad", "neutral"]
    min_score: float
    max_score: float
    has_feedback: bool
    label: str
    comment: str
    # About its review.
    reviewed: bool
    reviewed_by: str
    reserved_by: str
    # Names of rules that acted on it.
    rule: str
    review_rule: str
    # Name or id of a dataset that rules added it to.
    added_to: str
    # With a time zone.
    since: datetime
    until: datetime
    metadata: Mapping[str, str | float | bool]


class ReviewFilters(TypedDict, total=False):
    """Filters of reviews; all must hold."""

    state: Literal["reserved", "reviewed"]
    reviewer: str
    # With a time zone.
    since: datetime
    until: datetime


class FeedbackFilters(TypedDict, total=False):
    """Filters of feedback; all must hold. Those on requests are about the one that an entry counts for."""

    feedback_id: str
    subject_id: str
    trace_id: str
    request_id: str
    session: str
    kind: str
    label: str
    author: str
    app_id: str
    source: str
    dialect: str
    key_name: str
    comment: str
    is_joined: bool
    rating: Literal["good", "bad", "neutral"]
    min_score: float
    max_score: float
    # When the first version was given, with a time zone.
    since: datetime
    until: datetime
    # On requests.
    metadata: Mapping[str, str | float | bool]
    model: str
    provider: str
    status: int | str
    outcome: str
    endpoint: str
    is_stream: bool
    attempt: int
    client_retry: int
    cache_status: str
    route: str
    target: str
    experiment: str
    variant: str
    user: str
    organisation: str
    prompt: str
    prompt_version: str
    environment: str
    reviewed: bool
    reviewed_by: str
    reserved_by: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `next_cursor` is None on the last one."""

    rows: tuple[T, ...]
    next_cursor: str | None


def credentials(api_key: str | None) -> dict[str, str]:
    """Return the headers that carry a gateway key."""
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def give(
    id: str, *, idempotency_key: str | None = None, **fields: Unpack[FeedbackFields]
) -> Call[models.GivenFeedback]:
    """Give feedback on an id, whether or not anything is logged under it yet.

    `give("order-4711", thumb="down", comment="Too long", author="ann")`

    Args:
        id: of a trace, a request, the provider's response, or a session.
        idempotency_key: calls with the same key are carried out once; None generates one.
    """
    call = give_many([NewFeedback(id=id, **fields)], idempotency_key=idempotency_key)
    return Call(
        method=call.method,
        path=call.path,
        body=call.body,
        headers=call.headers,
        read=lambda data: call.read(data)[0],
    )


def give_many(
    entries: Sequence[NewFeedback], *, idempotency_key: str | None = None
) -> Call[tuple[models.GivenFeedback, ...]]:
    """Give feedback on 1 to 1,000 ids, all or none; the results are in the same order."""
    key = idempotency_key or new_id()
    bodies = [_without_none(**entry) for entry in entries]

    def read(data: Any) -> tuple[models.GivenFeedback, ...]:
        rows = data.get("data") if isinstance(data, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UnexpectedReply("the reply has no list of feedback")
        return tuple(decode(models.GivenFeedback, {**row, "idempotency_key": key}) for row in rows)

    headers = {"Idempotency-Key": key}
    return Call(method="POST", path="/api/v1/feedback", body=bodies, headers=headers, read=read)


def create(
    *,
    trace_id: str,
    value: int,
    weight: float = 1.0,
    metadata: Metadata | None = None,
    idempotency_key: str | None = None,
) -> Call[models.FeedbackReceipt]:
    """Give a grade from -10 to 10 on a trace or request, whether or not it is logged yet.

    Args:
        trace_id: or the id of a request, a provider's response, or a session.
        idempotency_key: calls with the same key are carried out once; None generates one.
    """
    entry = FeedbackEntry(trace_id=trace_id, value=value, weight=weight, metadata=metadata)
    return create_many([entry], idempotency_key=idempotency_key)


def create_many(
    entries: Sequence[FeedbackEntry], *, idempotency_key: str | None = None
) -> Call[models.FeedbackReceipt]:
    """Give 1 to 1,000 grades, all or none."""
    bodies = [
        _without_none(trace_id=each.trace_id, value=each.value, weight=each.weight, metadata=each.metadata)
        for each in entries
    ]
    return _write("POST", "/v1/feedback", bodies[0] if len(bodies) == 1 else bodies, idempotency_key)


def update(
    feedback_id: str,
    *,
    value: int | None = None,
    weight: float | None = None,
    metadata: Metadata | None = None,
    idempotency_key: str | None = None,
) -> Call[models.FeedbackReceipt]:
    """Change feedback; None leaves a field as it is, metadata is replaced as a whole."""
    changes = _without_none(value=value, weight=weight, metadata=metadata)
    return _write("PUT", f"/v1/feedback/{path_segment(feedback_id)}", changes, idempotency_key)


def get_trace(trace_id: str) -> Call[models.Trace]:
    """Return a trace with its requests and feedback."""
    path = f"/api/v1/traces/{path_segment(trace_id)}"
    return Call(method="GET", path=path, read=lambda data: decode(models.Trace, data))


def get_request(request_id: str) -> Call[models.RequestDetail]:
    """Return one request with its bodies, by the gateway's id or the provider's response id."""
    path = f"/api/v1/requests/{path_segment(request_id)}"
    return Call(method="GET", path=path, read=lambda data: decode(models.RequestDetail, data))


def find_requests(
    filters: RequestFilters, page_size: int, cursor: str | None
) -> Call[Page[models.LoggedRequest]]:
    """Return a page of requests, the newest first; `cursor` is that of the page before."""
    return _list("/api/v1/requests", models.LoggedRequest, _query_params(filters), page_size, cursor)


def find_feedback(
    filters: FeedbackFilters, page_size: int, cursor: str | None, *, texts: bool
) -> Call[Page[models.ListedFeedback]]:
    """Return a page of feedback, the newest first; `texts`: with question and answer."""
    query = {**_query_params(filters), "texts": _text_param(texts)}
    return _list("/api/v1/feedback", models.ListedFeedback, query, page_size, cursor)


def compare(
    by: str,
    arms: Sequence[str | float | bool] = (),
    *,
    source: str = "human",
    **filters: Unpack[RequestFilters],
) -> Call[models.Comparison]:
    """Compare groups of requests: `compare("prompt_version", ["v1", "v2"], prompt="greet")`.

    Args:
        by: field that the arms differ in, such as `model` or `metadata.team`.
        arms: two to eight values of it; none: the biggest.
        source: whose feedback counts: `human`, `model`, `code` or `implicit`.
    """
    query = {**_query_params(filters), "by": by, "source": source}
    texts = [_text_param(arm) for arm in arms]
    return Call(
        method="GET",
        path="/api/v1/compare",
        query={**query, "arm": texts} if texts else query,
        read=lambda data: decode(models.Comparison, data),
    )


def overview(**filters: Unpack[RequestFilters]) -> Call[models.Overview]:
    """Return numbers, series, tables and what needs attention, without `since` of the last seven days."""
    query = _query_params(filters)
    return Call(
        method="GET", path="/api/v1/overview", query=query, read=lambda data: decode(models.Overview, data)
    )


def search(
    text: str,
    *,
    limit: int = 20,
    cursor: str | None = None,
    time_limit_ms: int | None = None,
    **filters: Unpack[RequestFilters],
) -> Call[models.SearchPage]:
    """Search by any id, or by words in question, answer and comments of requests, the newest first.

    Args:
        cursor: that of the page before, to go on from there.
        time_limit_ms: how long the gateway searches before it says how far back it came.
    """
    own = _without_none(q=text, limit=limit, cursor=cursor, time_limit_ms=time_limit_ms)
    query = {**_query_params(filters), **{name: str(value) for name, value in own.items()}}
    read = partial(decode, models.SearchPage)
    return Call(method="GET", path="/api/v1/search", query=query, read=read)


class TailEvents:
    """Reads the events of a live tail, and knows where to go on after a lost connection."""

    PATH = "/api/v1/requests/tail"

    def __init__(self, filters: RequestFilters) -> None:
        self.query = _query_params(filters)
        self._last_id: str | None = None
        self._has_begun = False
        self._fields: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        return {} if self._last_id is None else {"Last-Event-ID": self._last_id}

    def refuse_first_failure(self, error: httpx.TransportError) -> None:
        """Raise ConnectionFailed where there was no connection yet: the URL may be wrong."""
        if not self._has_begun:
            raise ConnectionFailed(f"{error.request.url} cannot be reached: {error}") from error

    def read_line(self, line: str) -> models.LoggedRequest | None:
        """Return the request that ends with this line, if one does. Raises UnexpectedReply."""
        self._has_begun = True
        if line:
            name, _, value = line.partition(": ")
            self._fields[name] = value
            return None
        fields, self._fields = self._fields, {}
        if fields.get("event") == "reset":
            raise UnexpectedReply("too many requests came while the connection was lost; list them instead")
        if fields.get("event") != "request":
            return None
        self._last_id = fields.get("id", self._last_id)
        return decode(models.LoggedRequest, json.loads(fields["data"]))


def read_tail_error(response: httpx.Response) -> None:
    """Raise the error of a read reply that is no stream, unless connecting again may help."""
    if response.status_code in (httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE):
        return
    try:
        body = response.json()
    except ValueError:
        body = None
    raise error_of(response.status_code, body)


def change_review(
    request_id: str, state: Literal["open", "reserved", "reviewed"], *, note: str | None = None
) -> Call[models.Review | None]:
    """Reserve a request for ten minutes, mark it as reviewed, or open it; return its review, None once it is open.

    Needs a key with the role `review`, whose name is the reviewer.
    """
    body = _without_none(state=state, note=note)
    path = f"/api/v1/requests/{path_segment(request_id)}/review"
    return Call(method="POST", path=path, body=body, read=_read_review)


def reserve_next(**filters: Unpack[RequestFilters]) -> Call[models.NextReview | None]:
    """Reserve the newest matching request that nobody has reserved or reviewed; None where there is none."""

    def read(data: Any) -> models.NextReview | None:
        found = data if isinstance(data, dict) else {}
        return None if found.get("request") is None else decode(models.NextReview, found)

    return Call(method="POST", path="/api/v1/reviews/next", query=_query_params(filters), read=read)


def compare_scores(**filters: Unpack[RequestFilters]) -> Call[models.Agreement]:
    """Compare the scores of people and models on matching requests."""
    path, query = "/api/v1/reviews/agreement", _query_params(filters)
    return Call(method="GET", path=path, query=query, read=lambda data: decode(models.Agreement, data))


def find_reviews(filters: ReviewFilters, page_size: int, cursor: str | None) -> Call[Page[models.Review]]:
    """Return a page of reviews, the newest first; `cursor` is that of the page before."""
    return _list("/api/v1/reviews", models.Review, _query_params(filters), page_size, cursor)


def _list(
    path: str, model: type[T], query: Mapping[str, str], page_size: int, cursor: str | None
) -> Call[Page[T]]:
    def read(data: Any) -> Page[T]:
        if not isinstance(data, dict) or not isinstance(data.get("data"), list):
            raise UnexpectedReply(f"the reply has no list of {path.rpartition('/')[2]}")
        return Page(tuple(decode(model, row) for row in data["data"]), data.get("next_cursor"))

    position = {} if cursor is None else {"cursor": cursor}
    return Call(method="GET", path=path, query={**query, "limit": str(page_size), **position}, read=read)


def _write(method: str, path: str, body: object, idempotency_key: str | None) -> Call[models.FeedbackReceipt]:
    key = idempotency_key or new_id()

    def read(data: Any) -> models.FeedbackReceipt:
        given = data if isinstance(data, dict) else {}
        return decode(models.FeedbackReceipt, {**given, "idempotency_key": key})

    return Call(method=method, path=path, body=body, headers={"Idempotency-Key": key}, read=read)


def _without_none(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _query_params(filters: RequestFilters | FeedbackFilters | ReviewFilters) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in filters.items():
        if isinstance(value, Mapping):
            query |= {f"metadata.{key}": _text_param(item) for key, item in value.items()}
        elif isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError(f"{name} needs a time zone, as datetime.now(UTC) has")
            query[_TIME_PARAMS[name]] = value.isoformat()
        elif value is not None:
            query[name] = _text_param(value)
    return query


def _text_param(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _read_review(data: Any) -> models.Review | None:
    if not isinstance(data, dict) or "review" not in data:
        raise UnexpectedReply("the reply has no review")
    return None if data["review"] is None else decode(models.Review, data["review"])
