"""Filter fields of requests, feedback, reviews and the audit log, and the conditions they mean."""

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson

from gateway.errors import BadInput
from gateway.models.audit import AuditChannel
from gateway.models.clock import now_us, parse_time_us
from gateway.models.columns import FILTER, Column
from gateway.models.datasets import ADDED_TO
from gateway.models.feedback import FEEDBACK_COLUMNS
from gateway.models.filters import AllOf, AnyOf, Comparison, FeedbackFilter, Filter, Not, Op
from gateway.models.request import REQUEST_COLUMNS
from gateway.models.reviews import ReviewState
from gateway.models.webhooks import DeliveryState, EventType

# Returns the filter for a text; raises ValueError for a bad one.
ToFilter = Callable[[str], Filter]

# Means of binary fractions miss decimal bounds by less than this.
_SCORE_TOLERANCE = 1e-9

# Prefixes of the names of fields in the metadata of requests and of feedback.
METADATA_PREFIX = "metadata."
FEEDBACK_METADATA_PREFIX = "feedback.metadata."

_OTHER_TIME_FORMATS = "`today`, `yesterday`, an age (`15m`, `24h`, `7d`), or µs since the epoch."
_FROM_FORMATS = f"RFC 3339, a date (from its beginning), {_OTHER_TIME_FORMATS}"
_TO_FORMATS = f"RFC 3339, a date (to its end), {_OTHER_TIME_FORMATS}"
_TIME_FIELDS = ("started_at_us", "created_at_us")


class ValueType(StrEnum):
    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    FLAG = "flag"
    STATUS = "status"
    WHOLE_NUMBER = "whole number"


@dataclass(frozen=True, slots=True)
class FilterField:
    """A field to filter by.

    Args:
        is_joined: field of a joined record; all joined filters must match the same one.
    """

    description: str
    to_filter: ToFilter
    value_type: ValueType = ValueType.TEXT
    choices: tuple[str, ...] = ()
    is_joined: bool = False


def equals(description: str, *fields: str, is_joined: bool = False) -> FilterField:
    def to_filter(text: str) -> Filter:
        parts = tuple(Comparison(field, Op.EQ, text) for field in fields)
        return parts[0] if len(parts) == 1 else AnyOf(parts)

    return FilterField(description, to_filter, is_joined=is_joined)


def contains(description: str, field: str, *, is_joined: bool = False) -> FilterField:
    return FilterField(description, lambda text: Comparison(field, Op.ICONTAINS, text), is_joined=is_joined)


def one_of(description: str, field: str, allowed: type[StrEnum], *, is_joined: bool = False) -> FilterField:
    by_name: dict[str, Filter] = {each.value: Comparison(field, Op.EQ, each.value) for each in allowed}
    return _choice(description, by_name, is_joined=is_joined)


def time_bound(description: str, field: str, op: Op) -> FilterField:
    """Match times from (GE) or before (LT) a time or the end of a day."""
    is_end = op is Op.LT
    return FilterField(
        description, lambda text: Comparison(field, op, parse_time_us(text, is_end=is_end)), ValueType.TIME
    )


def boolean(description: str, to_filter: Callable[[bool], Filter], *, is_joined: bool = False) -> FilterField:
    def read(text: str) -> Filter:
        if text not in ("true", "false"):
            raise ValueError("must be true or false.")
        return to_filter(text == "true")

    return FilterField(description, read, ValueType.FLAG, is_joined=is_joined)


def score_bound(description: str, field: str, op: Op) -> FilterField:
    """Match scores from (GE) or up to (LE) a number."""
    tolerance = -_SCORE_TOLERANCE if op is Op.GE else _SCORE_TOLERANCE
    return FilterField(
        description, lambda text: Comparison(field, op, _parse_number(text) + tolerance), ValueType.NUMBER
    )


def whole_number(description: str, field: str, *, is_joined: bool = False) -> FilterField:
    def to_filter(text: str) -> Filter:
        if re.fullmatch("[0-9]{1,9}", text):
            return Comparison(field, Op.EQ, int(text))
        raise ValueError("must be a whole number such as 0.")

    return FilterField(description, to_filter, ValueType.WHOLE_NUMBER, is_joined=is_joined)


def score_sign(description: str, field: str) -> FilterField:
    good, bad = Comparison(field, Op.GT, _SCORE_TOLERANCE), Comparison(field, Op.LT, -_SCORE_TOLERANCE)
    not_bad, not_good = (
        Comparison(field, Op.GE, -_SCORE_TOLERANCE),
        Comparison(field, Op.LE, _SCORE_TOLERANCE),
    )
    return _choice(description, {"good": good, "bad": bad, "neutral": AllOf((not_bad, not_good))})


def status_or_class(description: str, *, is_joined: bool = False) -> FilterField:
    def to_filter(text: str) -> Filter:
        if re.fullmatch("[1-5][0-9]{2}", text):
            return Comparison("status", Op.EQ, int(text))
        if re.fullmatch("[1-5]xx", text):
            first = int(text[0]) * 100
            return AllOf((Comparison("status", Op.GE, first), Comparison("status", Op.LT, first + 100)))
        raise ValueError("must be a status such as 200, or a class of them such as 4xx.")

    return FilterField(description, to_filter, ValueType.STATUS, is_joined=is_joined)


def metadata_equals(key: str, text: str) -> Filter:
    """Match metadata equal to a text, or to the number or boolean that it spells."""
    field = f"metadata.{key}"
    as_text = Comparison(field, Op.EQ, text)
    try:
        value = orjson.loads(text)
    except ValueError:
        return as_text
    # Longer numbers fit no column.
    if isinstance(value, bool | int | float) and abs(value) < 2**63:
        return AnyOf((as_text, Comparison(field, Op.EQ, value)))
    return as_text


def after_cursor(cursor: tuple[int, str] | None, time_field: str, id_field: str, id_op: Op) -> Filter:
    """Match what follows a record, given its time and id, newest first and then by id."""
    if cursor is None:
        return AllOf()
    time_us, record_id = cursor
    same_time = AllOf((Comparison(time_field, Op.EQ, time_us), Comparison(id_field, id_op, record_id)))
    return AnyOf((Comparison(time_field, Op.LT, time_us), same_time))


def _choice(description: str, by_name: Mapping[str, Filter], *, is_joined: bool = False) -> FilterField:
    def to_filter(text: str) -> Filter:
        if text not in by_name:
            raise ValueError(f"must be one of {', '.join(by_name)}.")
        return by_name[text]

    return FilterField(description, to_filter, choices=tuple(by_name), is_joined=is_joined)


def _parse_number(text: str) -> float:
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) and math.isfinite(float(text)):
        return float(text)
    raise ValueError("must be a number such as -0.5.")


@dataclass(frozen=True, slots=True)
class FilterSchema:
    """Filter fields of one kind of records.

    Args:
        found: plural name of the records.
        prefixes: of metadata fields, and whether they are of joined records.
        is_counted: join feedback only to the request that it counts for.
    """

    found: str
    criteria: Mapping[str, FilterField]
    prefixes: Mapping[str, bool]
    is_counted: bool = False

    def prefix_of(self, name: str) -> str | None:
        """Return the prefix of a metadata field's name."""
        return next((prefix for prefix in self.prefixes if name.startswith(prefix) and name != prefix), None)

    def to_filter(self, given: Iterable[tuple[str, str]]) -> Filter:
        """Return the filter that all these fields mean. Raises BadInput."""
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
            is_joined = prefix is not None and self.prefixes[prefix]
            if name in self.criteria:
                is_joined = self.criteria[name].is_joined
            (joined if is_joined else own).append(self._condition(name, text, prefix))
        if joined:
            together = joined[0] if len(joined) == 1 else AllOf(tuple(joined))
            own.append(FeedbackFilter(together, self.is_counted))
        return AllOf(tuple(own))

    def _condition(self, name: str, text: str, prefix: str | None) -> Filter:
        if prefix is not None:
            return metadata_equals(name.removeprefix(prefix), text)
        if name not in self.criteria:
            keys = (f"{prefix}KEY" for prefix in self.prefixes)
            hint = f"Allowed: {', '.join((*self.criteria, *keys))}."
            raise BadInput(f"is not a filter of {self.found}.", field=name, hint=hint)
        try:
            return self.criteria[name].to_filter(text)
        except ValueError as error:
            raise BadInput(str(error), field=name) from None


def _column_filters(columns: Iterable[Column], *, is_joined: bool = False) -> dict[str, FilterField]:
    filterable = (column for column in columns if column.uses & FILTER)
    return {column.name: _column_filter(column, is_joined=is_joined) for column in filterable}


def _column_filter(column: Column, *, is_joined: bool) -> FilterField:
    name, description = column.name, column.description
    if name == "status":
        return status_or_class(description, is_joined=is_joined)
    if name == "model":
        description = "Model that was asked for or that answered."
        return equals(description, name, "requested_model", is_joined=is_joined)
    if column.is_a(StrEnum):
        return one_of(description, name, column.value_type, is_joined=is_joined)
    if column.is_a(bool):
        return boolean(description, lambda is_so: Comparison(name, Op.EQ, is_so), is_joined=is_joined)
    kind = whole_number if column.is_a(int) else equals
    return kind(description, name, is_joined=is_joined)


def _review_filters(*, is_joined: bool = False) -> dict[str, FilterField]:
    def is_reserved_by(reviewer: str) -> Filter:
        is_live = Comparison("held_until_us", Op.GT, now_us())
        return AllOf((Comparison("reserved_by", Op.EQ, reviewer), is_live))

    return {
        "reviewed": boolean(
            "`true`: requests that a reviewer marked as reviewed; `false`: the others.",
            lambda is_reviewed: Comparison("is_reviewed", Op.EQ, is_reviewed),
            is_joined=is_joined,
        ),
        "reviewed_by": equals("This reviewer has reviewed the request.", "reviewed_by", is_joined=is_joined),
        "reserved_by": FilterField(
            "This reviewer has reserved the request.", is_reserved_by, is_joined=is_joined
        ),
    }


def _request_filters(*, is_counted: bool) -> FilterSchema:
    score, has_feedback = "mean_score", "has_feedback"
    whose = "feedback on the request, its trace and its session"
    if is_counted:
        score, has_feedback = "mean_counted_score", "is_judged"
        whose = "feedback that counts for the request"
    criteria = {
        **_column_filters(REQUEST_COLUMNS),
        "has_usage": boolean(
            "`true`: requests whose tokens are known; `false`: the others.",
            lambda is_known: Comparison("total_tokens", Op.NE if is_known else Op.EQ, None),
        ),
        "judged": boolean(
            "`true`: requests that feedback counts for, of a trace or session one; `false`: the others.",
            lambda is_judged: Comparison("is_judged", Op.EQ, is_judged),
        ),
        "has_feedback": boolean(
            f"`true`: requests with feedback; `false`: those without. That is {whose}.",
            lambda is_given: Comparison(has_feedback, Op.EQ, is_given),
        ),
        "min_score": score_bound(
            f"Sum of weight × score over sum of weights is at least this, of {whose}.", score, Op.GE
        ),
        "max_score": score_bound(
            f"Sum of weight × score over sum of weights is at most this, of {whose}.", score, Op.LE
        ),
        "rating": score_sign("`bad`: that score is below 0; `good`: above 0; `neutral`: 0.", score),
        "label": equals("An entry of feedback has this label.", "label", is_joined=True),
        "comment": contains(
            "The comment of an entry of feedback contains this, whatever the case of A to Z.",
            "comment",
            is_joined=True,
        ),
        **_review_filters(),
        "rule": FilterField(
            "The rule of this name matched the request.",
            lambda name: Comparison(f"is_matched_by.{name}", Op.EQ, True),
        ),
        "review_rule": FilterField(
            "The rule of this name put the request up for review.",
            lambda name: Comparison(f"is_queued_by.{name}", Op.EQ, True),
        ),
        ADDED_TO: FilterField(
            "A rule added the request to the dataset of this name or id.",
            lambda name: Comparison(f"is_added_to.{name}", Op.EQ, True),
        ),
        "from": time_bound(f"Started at this time or later: {_FROM_FORMATS}", "started_at_us", Op.GE),
        "to": time_bound(f"Started before this time: {_TO_FORMATS}", "started_at_us", Op.LT),
    }
    prefixes = {METADATA_PREFIX: False, FEEDBACK_METADATA_PREFIX: True}
    return FilterSchema("requests", criteria, prefixes, is_counted)


# Of requests and their groups.
REQUEST_FILTERS = _request_filters(is_counted=False)

# Of metrics, where each entry of feedback may count only once.
METRICS_FILTERS = _request_filters(is_counted=True)

FEEDBACK_FILTERS = FilterSchema(
    "entries",
    {
        # A trace, request or session is that of the entry itself.
        **_column_filters(REQUEST_COLUMNS, is_joined=True),
        **_column_filters(FEEDBACK_COLUMNS),
        **_review_filters(is_joined=True),
        "from": time_bound(f"Created at this time or later: {_FROM_FORMATS}", "created_at_us", Op.GE),
        "to": time_bound(f"Created before this time: {_TO_FORMATS}", "created_at_us", Op.LT),
        "is_joined": boolean(
            "`true`: its subject is logged; `false`: it waits.",
            lambda is_joined: Comparison("joined_at_us", Op.NE if is_joined else Op.EQ, None),
        ),
        "min_score": score_bound("With a score of at least this.", "score", Op.GE),
        "max_score": score_bound("With a score of at most this.", "score", Op.LE),
        "rating": score_sign("`bad`: with a score below 0; `good`: above 0; `neutral`: of 0.", "score"),
        "comment": contains("The comment contains this, whatever the case of A to Z.", "comment"),
    },
    {METADATA_PREFIX: True, FEEDBACK_METADATA_PREFIX: False},
)


def requests_with_feedback(where: Filter) -> Filter:
    """Return the filter of requests that an entry counts for which meets a filter of feedback."""
    parts = where.parts if isinstance(where, AllOf) else (where,)
    of_request = [part.part for part in parts if isinstance(part, FeedbackFilter)]
    of_entry = tuple(part for part in parts if not isinstance(part, FeedbackFilter))
    return AllOf((*of_request, FeedbackFilter(AllOf(of_entry), is_counted=True)))


AUDIT_FILTERS = FilterSchema(
    "entries",
    {
        "actor": equals("Name of the key, or the operating system's user of a command.", "actor"),
        "action": equals("The endpoint or command.", "action"),
        "via": one_of("API or command line.", "via", AuditChannel),
        "from": time_bound(f"Begun at this time or later: {_FROM_FORMATS}", "at_us", Op.GE),
        "to": time_bound(f"Begun before this time: {_TO_FORMATS}", "at_us", Op.LT),
    },
    {},
)

REVIEW_FILTERS = FilterSchema(
    "reviews",
    {
        "state": one_of("Reserved or reviewed.", "state", ReviewState),
        "reviewer": equals("Name of the reviewer's key.", "reviewer"),
        "from": time_bound(f"Reserved or reviewed at this time or later: {_FROM_FORMATS}", "at_us", Op.GE),
        "to": time_bound(f"Reserved or reviewed before this time: {_TO_FORMATS}", "at_us", Op.LT),
    },
    {},
)

DELIVERY_FILTERS = FilterSchema(
    "deliveries",
    {
        "webhook_id": equals("Id of the endpoint.", "webhook_id"),
        "type": one_of("Type of the event.", "type", EventType),
        "state": one_of("Waiting, delivered, failed or dropped.", "state", DeliveryState),
        "feedback_id": equals("Id of the entry that the message is about.", "feedback_id"),
        "from": time_bound(f"Made at this time or later: {_FROM_FORMATS}", "created_at_us", Op.GE),
        "to": time_bound(f"Made before this time: {_TO_FORMATS}", "created_at_us", Op.LT),
    },
    {},
)


# Tells whether any record matches.
ExistsCheck = Callable[[Filter], Awaitable[bool]]


async def find_unknown_keys(searchable: FilterSchema, where: Filter, exists: ExistsCheck) -> tuple[str, ...]:
    """Return the metadata filters of a search without results whose key no record of that time has."""
    within = tuple(time_conditions(where))
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


def time_conditions(where: Filter) -> Iterator[Comparison]:
    """Yield the conditions on time that all matches of a filter fulfil."""
    if isinstance(where, Comparison) and where.field in _TIME_FIELDS:
        yield where
    elif isinstance(where, AllOf):
        for part in where.parts:
            yield from time_conditions(part)


def is_only_time(where: Filter) -> bool:
    """Tell whether a filter has no conditions but those on time."""
    if isinstance(where, AllOf):
        return all(map(is_only_time, where.parts))
    return isinstance(where, Comparison) and where.field in _TIME_FIELDS


def start_times(where: Filter) -> list[int]:
    """Return the times before which nothing matches a filter."""
    return _bounds(where, (Op.GE, Op.GT))


def end_times(where: Filter) -> list[int]:
    """Return the times after which nothing matches a filter."""
    return _bounds(where, (Op.LE, Op.LT))


def _bounds(where: Filter, ops: tuple[Op, ...]) -> list[int]:
    found = time_conditions(where)
    return [each.value for each in found if each.op in ops and isinstance(each.value, int)]
