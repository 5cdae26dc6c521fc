"""Filter fields of requests, feedback and the audit log, by name, and the conditions they mean."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import orjson

from gateway.errors import BadInput
from gateway.models.audit import AuditChannel
from gateway.models.clock import parse_time_us
from gateway.models.columns import FILTER, Column
from gateway.models.feedback import FEEDBACK_COLUMNS
from gateway.models.filters import AllOf, AnyOf, Comparison, FeedbackFilter, Filter, Not, Op
from gateway.models.request import REQUEST_COLUMNS

ToFilter = Callable[[str], Filter]
"""Returns the condition that a text stands for; raises ValueError for one that stands for none."""

# Means of what was stored in binary miss decimal bounds by less than this.
_SCORE_TOLERANCE = 1e-9


class ValueType(StrEnum):
    """What values a criterion takes, for documentation."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    FLAG = "flag"
    STATUS = "status"
    WHOLE_NUMBER = "whole number"


@dataclass(frozen=True, slots=True)
class FilterField:
    """Something that narrows a search.

    Args:
        choices: the only values that it takes; none where it takes others.
        is_joined: whether it is on what feedback joins to what is looked for. Those that are must all hold of the
            same entry, or request.
    """

    description: str
    to_filter: ToFilter
    value_type: ValueType = ValueType.TEXT
    choices: tuple[str, ...] = ()
    is_joined: bool = False


def equals(description: str, *fields: str, is_joined: bool = False) -> FilterField:
    """A criterion on text that one of the fields is equal to."""

    def to_filter(text: str) -> Filter:
        parts = tuple(Comparison(field, Op.EQ, text) for field in fields)
        return parts[0] if len(parts) == 1 else AnyOf(parts)

    return FilterField(description, to_filter, is_joined=is_joined)


def contains(description: str, field: str, *, is_joined: bool = False) -> FilterField:
    """A criterion on a part of a text, whatever the case of its letters from A to Z."""
    return FilterField(description, lambda text: Comparison(field, Op.ICONTAINS, text), is_joined=is_joined)


def one_of(description: str, field: str, allowed: type[StrEnum], *, is_joined: bool = False) -> FilterField:
    """A criterion on a field of few values."""
    choices = tuple(allowed)

    def to_filter(text: str) -> Filter:
        _refuse_other_choice(text, choices)
        return Comparison(field, Op.EQ, text)

    return FilterField(description, to_filter, choices=choices, is_joined=is_joined)


def time_from(description: str, field: str) -> FilterField:
    """The criterion `from`."""
    return FilterField(
        description, lambda text: Comparison(field, Op.GE, parse_time_us(text)), ValueType.TIME
    )


def time_to(description: str, field: str) -> FilterField:
    """The criterion `to`; a day is meant with its end."""
    return FilterField(
        description, lambda text: Comparison(field, Op.LT, parse_time_us(text, is_end=True)), ValueType.TIME
    )


def boolean(description: str, to_filter: Callable[[bool], Filter]) -> FilterField:
    """A criterion that is true or false."""

    def read(text: str) -> Filter:
        if text not in ("true", "false"):
            raise ValueError("must be true or false.")
        return to_filter(text == "true")

    return FilterField(description, read, ValueType.FLAG)


def at_least(description: str, field: str) -> FilterField:
    """A lower bound of a number."""
    return FilterField(
        description,
        lambda text: Comparison(field, Op.GE, _parse_number(text) - _SCORE_TOLERANCE),
        ValueType.NUMBER,
    )


def at_most(description: str, field: str) -> FilterField:
    """An upper bound of a number."""
    return FilterField(
        description,
        lambda text: Comparison(field, Op.LE, _parse_number(text) + _SCORE_TOLERANCE),
        ValueType.NUMBER,
    )


def whole_number(description: str, field: str, *, is_joined: bool = False) -> FilterField:
    """A criterion on a number that counts something."""

    def to_filter(text: str) -> Filter:
        if re.fullmatch("[0-9]{1,9}", text):
            return Comparison(field, Op.EQ, int(text))
        raise ValueError("must be a whole number such as 0.")

    return FilterField(description, to_filter, ValueType.WHOLE_NUMBER, is_joined=is_joined)


def score_sign(description: str, field: str) -> FilterField:
    """A criterion on the sign of a score."""
    signs: dict[str, Filter] = {
        "good": Comparison(field, Op.GT, _SCORE_TOLERANCE),
        "bad": Comparison(field, Op.LT, -_SCORE_TOLERANCE),
        "neutral": AllOf(
            (Comparison(field, Op.GE, -_SCORE_TOLERANCE), Comparison(field, Op.LE, _SCORE_TOLERANCE))
        ),
    }

    def to_filter(text: str) -> Filter:
        _refuse_other_choice(text, tuple(signs))
        return signs[text]

    return FilterField(description, to_filter, choices=tuple(signs))


def status_or_class(description: str, *, is_joined: bool = False) -> FilterField:
    """A criterion on statuses, or classes of them."""

    def to_filter(text: str) -> Filter:
        if re.fullmatch("[1-5][0-9]{2}", text):
            return Comparison("status", Op.EQ, int(text))
        if re.fullmatch("[1-5]xx", text):
            first = int(text[0]) * 100
            return AllOf((Comparison("status", Op.GE, first), Comparison("status", Op.LT, first + 100)))
        raise ValueError("must be a status such as 200, or a class of them such as 4xx.")

    return FilterField(description, to_filter, ValueType.STATUS, is_joined=is_joined)


def metadata_equals(key: str, text: str) -> Filter:
    """Metadata holds strings, numbers and booleans; a text cannot tell which is meant, so all are."""
    field = f"metadata.{key}"
    as_text = Comparison(field, Op.EQ, text)
    try:
        value = orjson.loads(text)
    except ValueError:
        return as_text
    if isinstance(value, bool | int | float) and abs(value) < 2**63:
        return AnyOf((as_text, Comparison(field, Op.EQ, value)))
    return as_text


def _parse_number(text: str) -> float:
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) and math.isfinite(float(text)):
        return float(text)
    raise ValueError("must be a number such as -0.5.")


def _refuse_other_choice(text: str, choices: tuple[str, ...]) -> None:
    if text not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}.")


METADATA_PREFIX = "metadata."
"""Begins the name of a criterion on a key of the requests' metadata."""
FEEDBACK_METADATA_PREFIX = "feedback.metadata."
"""Begins the name of a criterion on a key of the feedback's metadata."""

_OTHER_TIME_FORMATS = "`today`, `yesterday`, an age (`15m`, `24h`, `7d`), or µs since the epoch."
_FROM_FORMATS = f"RFC 3339, a date (from its beginning), {_OTHER_TIME_FORMATS}"
_TO_FORMATS = f"RFC 3339, a date (to its end), {_OTHER_TIME_FORMATS}"


@dataclass(frozen=True, slots=True)
class FilterSchema:
    """What one kind of records can be searched by.

    Args:
        found: what they are called.
        prefixes: what begins the names of criteria on keys of metadata, and whether that is the metadata of what is
            joined to the records.
        is_counted: whether feedback is joined to the one request that it counts for alone.
    """

    found: str
    criteria: Mapping[str, FilterField]
    prefixes: Mapping[str, bool]
    is_counted: bool = False

    def prefix_of(self, name: str) -> str | None:
        """Return what begins a name that is one of a key of metadata; None for any other."""
        return next((prefix for prefix in self.prefixes if name.startswith(prefix) and name != prefix), None)

    def to_filter(self, given: Iterable[tuple[str, str]]) -> Filter:
        """Return the condition that all of these criteria with their values mean.

        Raises:
            BadInput: there is no such criterion, it is given twice, or a text is no value for it; names it and what
                is allowed.
        """
        own: list[Filter] = []
        joined: list[Filter] = []
        names: set[str] = set()
        for name, text in given:
            if name in names:
                raise BadInput("is given twice; give it once.", field=name)
            if not text:
                raise BadInput("has no value; leave it out or give it one.", field=name)
            names.add(name)
            prefix = self.prefix_of(name)
            is_joined = (
                self.criteria[name].is_joined
                if name in self.criteria
                else prefix is not None and self.prefixes[prefix]
            )
            (joined if is_joined else own).append(self._condition(name, text, prefix))
        if joined:
            own.append(
                FeedbackFilter(joined[0] if len(joined) == 1 else AllOf(tuple(joined)), self.is_counted)
            )
        return AllOf(tuple(own))

    def _condition(self, name: str, text: str, prefix: str | None) -> Filter:
        if prefix is not None:
            return metadata_equals(name.removeprefix(prefix), text)
        if name not in self.criteria:
            keys = (f"{prefix}KEY" for prefix in self.prefixes)
            raise BadInput(
                f"is nothing to search {self.found} by.",
                field=name,
                hint=f"Allowed: {', '.join((*self.criteria, *keys))}.",
            )
        try:
            return self.criteria[name].to_filter(text)
        except ValueError as error:
            raise BadInput(str(error), field=name) from None


def read_time(name: str, text: str) -> int:
    """Return the value of the criterion `from` or `to` as microseconds since the epoch.

    Raises:
        BadInput: the text is no time; says what is.
    """
    try:
        return parse_time_us(text, is_end=name == "to")
    except ValueError as error:
        raise BadInput(str(error), field=name) from None


def _column_filters(columns: Iterable[Column], *, is_joined: bool = False) -> dict[str, FilterField]:
    return {
        column.name: _column_filter(column, is_joined=is_joined) for column in columns if column.uses & FILTER
    }


def _column_filter(column: Column, *, is_joined: bool) -> FilterField:
    name, description = column.name, column.description
    if name == "status":
        return status_or_class(description, is_joined=is_joined)
    if name == "model":
        return equals(
            "Model that was asked for or that answered.", name, "requested_model", is_joined=is_joined
        )
    if column.is_a(StrEnum):
        return one_of(description, name, column.value_type, is_joined=is_joined)
    kind = whole_number if column.is_a(int) else equals
    return kind(description, name, is_joined=is_joined)


def _request_filters(*, is_counted: bool) -> FilterSchema:
    """What requests can be searched by.

    Args:
        is_counted: whether feedback on a trace or session is that of the request that it counts for alone.
    """
    score, has_feedback = (
        ("mean_counted_score", "is_judged") if is_counted else ("mean_score", "has_feedback")
    )
    whose = (
        "feedback that counts for the request"
        if is_counted
        else "feedback on the request, its trace and its session"
    )
    criteria = {
        **_column_filters(REQUEST_COLUMNS),
        "judged": boolean(
            "`true`: requests that were judged, of a trace or session the one that feedback counts for; `false`: "
            "the others.",
            lambda is_judged: Comparison("is_judged", Op.EQ, is_judged),
        ),
        "has_feedback": boolean(
            f"`true`: requests with feedback; `false`: those without. That is {whose}.",
            lambda is_given: Comparison(has_feedback, Op.EQ, is_given),
        ),
        "min_score": at_least(
            f"Sum of weight × score over sum of weights is at least this, of {whose}.", score
        ),
        "max_score": at_most(
            f"Sum of weight × score over sum of weights is at most this, of {whose}.", score
        ),
        "rating": score_sign("`bad`: that score is below 0; `good`: above 0; `neutral`: 0.", score),
        "label": equals("An entry of feedback has this label.", "label", is_joined=True),
        "comment": contains(
            "The comment of an entry of feedback contains this, whatever the case of A to Z.",
            "comment",
            is_joined=True,
        ),
        "from": time_from(f"Started at this time or later: {_FROM_FORMATS}", "started_at_us"),
        "to": time_to(f"Started before this time: {_TO_FORMATS}", "started_at_us"),
    }
    prefixes = {METADATA_PREFIX: False, FEEDBACK_METADATA_PREFIX: True}
    return FilterSchema("requests", MappingProxyType(criteria), MappingProxyType(prefixes), is_counted)


REQUEST_FILTERS = _request_filters(is_counted=False)
"""What requests, and groups of them, can be searched by."""

METRICS_FILTERS = _request_filters(is_counted=True)
"""What figures can be asked for: the same, where feedback on a trace or session is one request's."""

FEEDBACK_FILTERS = FilterSchema(
    "entries",
    MappingProxyType(
        {
            # A trace, request or session is that of the entry itself.
            **_column_filters(REQUEST_COLUMNS, is_joined=True),
            **_column_filters(FEEDBACK_COLUMNS),
            "from": time_from(f"Created at this time or later: {_FROM_FORMATS}", "created_at_us"),
            "to": time_to(f"Created before this time: {_TO_FORMATS}", "created_at_us"),
            "is_joined": boolean(
                "`true`: what it is about was found; `false`: it waits.",
                lambda is_joined: Comparison("joined_at_us", Op.NE if is_joined else Op.EQ, None),
            ),
            "min_score": at_least("With a score of at least this.", "score"),
            "max_score": at_most("With a score of at most this.", "score"),
            "rating": score_sign("`bad`: with a score below 0; `good`: above 0; `neutral`: of 0.", "score"),
            "comment": contains("The comment contains this, whatever the case of A to Z.", "comment"),
        }
    ),
    MappingProxyType({METADATA_PREFIX: True, FEEDBACK_METADATA_PREFIX: False}),
)
"""What feedback can be searched by; what it shares with requests is about the request that an entry counts for."""

AUDIT_FILTERS = FilterSchema(
    "entries",
    MappingProxyType(
        {
            "actor": equals("Name of the key, or for commands of the operating system's user.", "actor"),
            "action": equals("The endpoint or command, as entries have it.", "action"),
            "via": one_of("The way by which it was done.", "via", AuditChannel),
            "from": time_from(f"Begun at this time or later: {_FROM_FORMATS}", "at_us"),
            "to": time_to(f"Begun before this time: {_TO_FORMATS}", "at_us"),
        }
    ),
    MappingProxyType({}),
)
"""What the audit log can be searched by."""


ExistsCheck = Callable[[Filter], Awaitable[bool]]
"""Tells whether there is a record, of the caller's tenant, that meets a condition."""

_TIME_FIELDS = ("started_at_us", "created_at_us")


async def find_unknown_keys(searchable: FilterSchema, where: Filter, exists: ExistsCheck) -> tuple[str, ...]:
    """Return the criteria of a search that are on keys which no record of its time has. To be asked where nothing
    was found."""
    within = tuple(_time_conditions(where))
    unknown = []
    for field, is_joined in dict.fromkeys(_metadata_fields(where)):
        has_key: Filter = Not(Comparison(field, Op.EQ, None))
        if is_joined:
            has_key = FeedbackFilter(has_key, searchable.is_counted)
        if not await exists(AllOf((*within, has_key))):
            [prefix] = (prefix for prefix, joins in searchable.prefixes.items() if joins == is_joined)
            unknown.append(f"{prefix}{field.removeprefix(METADATA_PREFIX)}")
    return tuple(unknown)


def _metadata_fields(where: Filter, *, is_joined: bool = False) -> Iterator[tuple[str, bool]]:
    if isinstance(where, Comparison):
        if where.field.startswith(METADATA_PREFIX):
            yield where.field, is_joined
    elif isinstance(where, FeedbackFilter):
        yield from _metadata_fields(where.part, is_joined=True)
    else:
        for part in (where.part,) if isinstance(where, Not) else where.parts:
            yield from _metadata_fields(part, is_joined=is_joined)


def _time_conditions(where: Filter) -> Iterator[Comparison]:
    if isinstance(where, Comparison) and where.field in _TIME_FIELDS:
        yield where
    elif isinstance(where, AllOf):
        for part in where.parts:
            yield from _time_conditions(part)
