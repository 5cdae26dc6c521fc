"""Reading the query string of a question about many requests: which are meant, how their figures are split, and in
which order they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.api.native.filters import conditions, read_limit, read_position
from gateway.api.native.parameters import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    REQUEST_CRITERIA,
    slice_parameters,
)
from gateway.domain.aggregate import DAY_US, END_OF_TIME_US, HOUR_US, Question
from gateway.domain.filter import Page
from gateway.errors import BadInput
from gateway.query import MEASURES, Order
from gateway.query.search import CRITERIA, METADATA, read_time
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
    given = once_each(query)
    bucket = given.get("bucket")
    if bucket is not None and bucket not in BUCKETS:
        raise BadInput(f"must be one of {', '.join(BUCKETS)}.", field="bucket")
    length_us, offset_us = (None, 0) if bucket is None else BUCKETS[bucket]
    question = Question(
        *_span(given),
        where=conditions(given, _CRITERIA, AGGREGATE_PARAMETERS),
        group_by=_group_by(given.get("group_by")),
        bucket_us=length_us,
        bucket_offset_us=offset_us,
        tenant=tenant,
    )
    page = Page(read_limit(given, MAX_ROWS, MAX_ROWS), read_position(given) or 0)
    return Asked(question, _order(given.get("order", "-requests"), MEASURES), page)


def read_user_question(query: Iterable[tuple[str, str]], tenant: str | None) -> AskedForUsers:
    """Read a query string's decoded pairs. Raises BadInput as `read_aggregate_question` does."""
    given = once_each(query)
    where = conditions(given, _CRITERIA, USER_PARAMETERS)
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


def _group_by(name: str | None) -> str | None:
    if name is None or (name.startswith(METADATA) and name != METADATA):
        return name
    if name not in GROUPS:
        raise BadInput(f"must be one of {', '.join(GROUPS)} or {METADATA}KEY.", field="group_by")
    return GROUPS[name]


def _order(text: str, measures: Sequence[str]) -> Order:
    measure = text.removeprefix("-")
    if measure not in measures:
        raise BadInput(
            f"must be one of {', '.join(measures)}; with a - before it, the most comes first.", field="order"
        )
    return Order(measure, descending=text != measure)


_CRITERIA = MappingProxyType(
    {name: criterion for name, criterion in CRITERIA.items() if name not in ("from", "to")}
)


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


AGGREGATE_PARAMETERS = (
    Parameter(
        "group_by",
        "Split figures by the values of this: `model` is the one that answered, or was asked for where none did.",
        {"anyOf": [{"type": "string", "enum": [*GROUPS]}, {"type": "string", "pattern": r"^metadata\..+$"}]},
    ),
    Parameter(
        "bucket",
        "Split figures by time. Pieces are in UTC; weeks begin on Monday.",
        {"type": "string", "enum": [*BUCKETS]},
    ),
    *REQUEST_CRITERIA,
    _order_parameter(MEASURES, "-requests"),
    *slice_parameters("rows", MAX_ROWS, MAX_ROWS),
    Parameter("format", "`csv`, as does `Accept: text/csv`.", {"type": "string", "enum": ["json", "csv"]}),
)
USER_PARAMETERS = (
    Parameter("prefix", "Users whose names begin so; case counts."),
    *REQUEST_CRITERIA,
    _order_parameter(USER_MEASURES, "-last_seen"),
    *slice_parameters("users", DEFAULT_LIMIT, MAX_LIMIT),
)
