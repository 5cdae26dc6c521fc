"""Reading the query string of a question about many requests: which are meant, how their figures are split, and in
which order they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.api.native.filters import conditions, read_limit, read_position
from gateway.api.native.parameters import (
    DEFAULT_LIMIT,
    FIGURE_CRITERIA,
    FORMAT,
    MAX_LIMIT,
    slice_parameters,
)
from gateway.domain.aggregate import DAY_US, END_OF_TIME_US, HOUR_US, Question
from gateway.domain.filter import Page
from gateway.errors import BadInput
from gateway.query import MEASURES, Order
from gateway.query.search import COUNTED_REQUESTS, METADATA, read_time
from gateway.web.face import Parameter
from gateway.web.query_string import once_each

MAX_ROWS = 1_000

GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "model": "any_model",
        **{
            field: field
            for field in (
                "requested_model", "provider", "endpoint", "status", "outcome", "user", "organisation", "prompt",
                "environment", "session", "key_name", "tenant", "is_stream", "cache_status", "attempt",
                "client_retry",
            )
        },
    }
)  # fmt: skip
"""By what figures can be split, besides metadata: the field of requests by the name that callers give it."""

BUCKETS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "minute": (60_000_000, 0),
        "hour": (HOUR_US, 0),
        "day": (DAY_US, 0),
        "week": (7 * DAY_US, -3 * DAY_US),
    }
)
"""Pieces of time: their length, and how long after the epoch they count from. That was a Thursday, and weeks begin
on Monday."""

MAX_GROUPS = 2

_SPAN = ("from", "to")
"""Criteria that say of which time a question is."""

USER_MEASURES = ("requests", "cost", "last_seen")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and which part of its answer is wanted."""

    question: Question
    order: Order
    page: Page


@dataclass(frozen=True, slots=True)
class AskedForUsers(Asked):
    """A question about users.

    Args:
        prefix: how their names begin.
    """

    prefix: str


def read_aggregate_question(query: Iterable[tuple[str, str]], tenant: str | None) -> Asked:
    """Read a query string's decoded pairs.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = once_each(_together(query, "group_by"))
    bucket = given.get("bucket")
    if bucket is not None and bucket not in BUCKETS:
        raise BadInput(f"must be one of {', '.join(BUCKETS)}.", field="bucket")
    length_us, offset_us = (None, 0) if bucket is None else BUCKETS[bucket]
    group_by, then_by = _groups(given.get("group_by"))
    question = Question(
        *_span(given),
        where=conditions(given, COUNTED_REQUESTS, AGGREGATE_PARAMETERS, _SPAN),
        group_by=group_by,
        then_by=then_by,
        bucket_us=length_us,
        bucket_offset_us=offset_us,
        tenant=tenant,
    )
    page = Page(read_limit(given, MAX_ROWS, MAX_ROWS), read_position(given) or 0)
    return Asked(question, _order(given.get("order", "-requests"), MEASURES), page)


def read_user_question(query: Iterable[tuple[str, str]], tenant: str | None) -> AskedForUsers:
    """Read a query string's decoded pairs. Raises BadInput as `read_aggregate_question` does."""
    given = once_each(query)
    where = conditions(given, COUNTED_REQUESTS, USER_PARAMETERS, _SPAN)
    return AskedForUsers(
        Question(*_span(given), where=where, tenant=tenant),
        _order(given.get("order", "-last_seen"), USER_MEASURES),
        Page(read_limit(given), read_position(given) or 0),
        given.get("prefix", ""),
    )


def _span(given: Mapping[str, str]) -> tuple[int, int]:
    from_us = read_time("from", given["from"]) if "from" in given else 0
    to_us = read_time("to", given["to"]) if "to" in given else END_OF_TIME_US
    return from_us, to_us


def _together(query: Iterable[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    """The pairs, with what is given several times under this name put together as one list."""
    pairs = list(query)
    given = [text for key, text in pairs if key == name]
    others = [pair for pair in pairs if pair[0] != name]
    return [*others, (name, ",".join(given))] if given else others


def _groups(text: str | None) -> tuple[str | None, str | None]:
    """The fields that are grouped by: none, one or two."""
    if text is None:
        return None, None
    fields = [_group(name) for name in text.split(",")]
    if len(fields) > MAX_GROUPS or len(set(fields)) < len(fields):
        raise BadInput("takes one or two different fields.", field="group_by")
    return fields[0], fields[1] if len(fields) > 1 else None


def _group(name: str) -> str:
    if name.startswith(METADATA) and name != METADATA:
        return name
    if name not in GROUPS:
        raise BadInput(
            f"{name!r} must be one of {', '.join(GROUPS)} or {METADATA}KEY.",
            field="group_by",
            hint="A comma stands between two fields; keys with one cannot be grouped by.",
        )
    return GROUPS[name]


def _order(text: str, measures: Sequence[str]) -> Order:
    measure = text.removeprefix("-")
    if measure not in measures:
        raise BadInput(
            f"must be one of {', '.join(measures)}; with a - before it, the most comes first.", field="order"
        )
    return Order(measure, descending=text != measure)


def _order_parameter(measures: Sequence[str], default: str) -> Parameter:
    return Parameter(
        "order",
        "By what rows are put in order; with a `-` before it, the most comes first. What has no such figure comes "
        "last.",
        {
            "type": "string",
            "enum": [sign + name for name in measures for sign in ("-", "")],
            "default": default,
        },
    )


_GROUP = rf"({'|'.join(GROUPS)}|metadata\.[^,]+)"

AGGREGATE_PARAMETERS = (
    Parameter(
        "group_by",
        "Split figures by the values of one of these, or of two with a comma between them: "
        f"{', '.join(GROUPS)}, {METADATA}KEY. `model` is the one that answered, or was asked for where none did.",
        {"type": "string", "pattern": f"^{_GROUP}(,{_GROUP})?$"},
    ),
    Parameter(
        "bucket",
        "Split figures by time. Pieces are in UTC; weeks begin on Monday.",
        {"type": "string", "enum": [*BUCKETS]},
    ),
    *FIGURE_CRITERIA,
    _order_parameter(MEASURES, "-requests"),
    *slice_parameters("rows", MAX_ROWS, MAX_ROWS),
    FORMAT,
)
USER_PARAMETERS = (
    Parameter("prefix", "Users whose names begin so; case counts."),
    *FIGURE_CRITERIA,
    _order_parameter(USER_MEASURES, "-last_seen"),
    *slice_parameters("users", DEFAULT_LIMIT, MAX_LIMIT),
)
