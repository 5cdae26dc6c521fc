"""Tables: their columns, which fields can be searched, and the SQL of computed fields."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import product
from types import UnionType
from typing import Any, get_args, get_type_hints

from gateway.models.alerts import AlertEvent, AlertRule
from gateway.models.audit import AuditEntry
from gateway.models.columns import Origin
from gateway.models.datasets import Dataset
from gateway.models.exchange import NO_MODEL_CALLS, NO_MODEL_READS, PROBE_METHODS
from gateway.models.export import Export
from gateway.models.feedback import Feedback
from gateway.models.request import REQUEST_COLUMNS, RequestRecord
from gateway.models.reviews import Review, ReviewState
from gateway.models.webhooks import Delivery
from gateway.store.dialect import Dialect, ValueKind

# An entry that rates the whole: with weight, not neutral, and no score of a metric.
IS_RATING = (
    "feedback.weight * feedback.score <> 0 AND (feedback.kind <> 'score' OR feedback.metric IS NULL)"
    " AND feedback.deleted_at_us IS NULL"
)

# An original alone rates nothing.
IS_COUNTED = "(feedback.kind <> 'original' OR feedback.score IS NOT NULL)"

# An entry that counts in metrics for the request.
COUNTS_FOR_REQUEST = "feedback.request_seq = requests.seq AND feedback.deleted_at_us IS NULL"

# A row of `reviews` about a request; written as the index `reviews_request` has it.
REVIEWS_REQUEST = (
    "reviews.request_id = requests.request_id AND reviews.trace_id = requests.trace_id"
    " AND coalesce(reviews.tenant, '') = coalesce(requests.tenant, '')"
)

# Later than any time that is compared with it.
_NEVER_US = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Expression:
    """SQL of a computed field."""

    kind: ValueKind
    # In fields with a NAME, a single `?` stands for it.
    to_sql: Callable[[Dialect], str]
    # Evaluated last, and only where nothing else has decided.
    is_costly: bool = False


_LATEST_FIRST = "ORDER BY feedback.updated_at_us DESC, feedback.seq DESC LIMIT 1"


def _fixed(kind: ValueKind, sql: str) -> Expression:
    return Expression(kind, lambda _: sql)


def _text_literals(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def is_about_request(dialect: Dialect) -> str:
    # By its id, or on its trace or session as a whole.
    return (
        f"(feedback.request_id = requests.request_id"
        f" AND {dialect.without_index('feedback.trace_id')} = requests.trace_id"
        " OR feedback.trace_id = requests.trace_id AND feedback.target = 'trace'"
        " OR feedback.session = requests.session AND feedback.target = 'session')"
        " AND feedback.tenant IS NOT DISTINCT FROM requests.tenant AND feedback.deleted_at_us IS NULL"
    )


def _latest_rating(kind: ValueKind, what: str) -> Expression:
    return Expression(
        kind,
        lambda dialect: (
            f"(SELECT {what} FROM feedback WHERE {is_about_request(dialect)} AND {IS_RATING} {_LATEST_FIRST})"
        ),
    )


def _mean_weighted_grade(entries: str) -> str:
    return f"(SELECT avg(feedback.weight * feedback.grade) FROM feedback WHERE {entries})"


def _mean_score(entries: str) -> str:
    return (
        "(SELECT sum(feedback.weight * feedback.score)"
        " / nullif(sum(CASE WHEN feedback.score IS NULL THEN 0.0 ELSE feedback.weight END), 0)"
        f" FROM feedback WHERE {entries})"
    )


def _has_feedback(entries: str) -> str:
    return f"EXISTS (SELECT 1 FROM feedback WHERE {entries} AND {IS_COUNTED})"


def _latest_score(dialect: Dialect) -> str:
    return (
        f"(SELECT feedback.value FROM feedback WHERE {is_about_request(dialect)} AND feedback.kind = 'score'"
        f" AND feedback.metric = ? {_LATEST_FIRST})"
    )


def _is_scored(dialect: Dialect) -> str:
    return (
        f"EXISTS (SELECT 1 FROM feedback WHERE {is_about_request(dialect)} AND feedback.kind = 'score'"
        " AND feedback.metric IS NOT NULL)"
    )


def _of_review(kind: ValueKind, what: str, state: ReviewState | None = None) -> Expression:
    has_state = "" if state is None else f" AND reviews.state = '{state}'"
    return _fixed(kind, f"(SELECT {what} FROM reviews WHERE {REVIEWS_REQUEST}{has_state})")


def _body_text_of(side: str) -> Expression:
    return Expression("text", lambda dialect: dialect.body_text(side), is_costly=True)


# Computed fields of requests; durations in whole milliseconds. `feedback.…` is of the latest rating of the
# request, its trace or its session. `is_judged`, `mean_counted_score` and the weighted grade are `has_feedback`,
# `mean_score` and `weighted_feedback` of entries that count for the request in metrics. `held_until_us` is when its
# reservation ends, for a reviewed request never. `…_text` is a decoded body, NULL where it is empty or no UTF-8.
REQUEST_EXPRESSIONS: Mapping[str, Expression] = {
    "duration_ms": _fixed("number", '(("ended_at_us" - "started_at_us") / 1000)'),
    "first_byte_ms": _fixed("number", '(("first_byte_at_us" - "started_at_us") / 1000)'),
    "total_tokens": _fixed(
        "number", 'coalesce("prompt_tokens" + "completion_tokens", "prompt_tokens", "completion_tokens")'
    ),
    "is_error": _fixed(
        "flag",
        "((outcome NOT IN ('complete', 'client_closed') OR coalesce(status >= 400, FALSE))"
        f" AND endpoint NOT IN ({_text_literals(NO_MODEL_CALLS)}) AND method NOT IN"
        f" ({_text_literals(PROBE_METHODS)})"
        f" AND (method <> 'GET' OR endpoint NOT IN ({_text_literals(NO_MODEL_READS)})))",
    ),
    "is_cached": _fixed("flag", """coalesce(lower("cache_status") = 'hit', FALSE)"""),
    "stated_model": Expression("text", lambda dialect: f"({dialect.stated_model})"),
    "any_model": Expression(
        "text", lambda dialect: f'coalesce({dialect.stated_model}, "model", "requested_model")'
    ),
    "request_text": _body_text_of("request"),
    "response_text": _body_text_of("response"),
    "feedback.id": _latest_rating("text", "feedback.feedback_id"),
    "feedback.rating": _latest_rating("flag", "feedback.score > 0"),
    "feedback.updated_at_us": _latest_rating("number", "feedback.updated_at_us"),
    "has_feedback": Expression("flag", lambda dialect: _has_feedback(is_about_request(dialect))),
    "is_judged": _fixed("flag", _has_feedback(COUNTS_FOR_REQUEST)),
    "mean_score": Expression("number", lambda dialect: _mean_score(is_about_request(dialect))),
    "mean_counted_score": _fixed("number", _mean_score(COUNTS_FOR_REQUEST)),
    "weighted_feedback": Expression(
        "number", lambda dialect: _mean_weighted_grade(is_about_request(dialect))
    ),
    "weighted_verdict": _fixed("number", _mean_weighted_grade(COUNTS_FOR_REQUEST)),
    "is_scored": Expression("flag", _is_scored),
    "is_reviewed": _fixed(
        "flag",
        f"EXISTS (SELECT 1 FROM reviews WHERE {REVIEWS_REQUEST} AND reviews.state = '{ReviewState.REVIEWED}')",
    ),
    "reviewed_by": _of_review("text", "reviews.reviewer", ReviewState.REVIEWED),
    "reserved_by": _of_review("text", "reviews.reviewer", ReviewState.RESERVED),
    "held_until_us": _of_review("number", f"coalesce(reviews.reserved_until_us, {_NEVER_US})"),
}

# Computed fields with a NAME: metadata under that key as text, or under the last key that is NAME in lower case,
# the latest value of that metric, whether the rule of that name acted on it, for reviewers or at all, and whether a
# rule added it to the dataset of that id or name.
NAMED_REQUEST_EXPRESSIONS: Mapping[str, Expression] = {
    "property.": Expression("text", lambda dialect: dialect.property_text),
    "property_in_any_case.": Expression("text", lambda dialect: dialect.property_in_any_case),
    "score.": Expression("number", _latest_score),
    "is_matched_by.": _fixed(
        "flag",
        "EXISTS (SELECT 1 FROM rule_matches WHERE request_seq = requests.seq AND rule = ?)",
    ),
    "is_added_to.": _fixed(
        "flag",
        "requests.seq IN (SELECT request_seq FROM dataset_additions JOIN datasets USING (dataset_id)"
        " WHERE ? IN (dataset_id, name))",
    ),
    "is_queued_by.": _fixed(
        "flag",
        "EXISTS (SELECT 1 FROM rule_matches WHERE request_seq = requests.seq AND rule = ? AND is_review)",
    ),
}


_KINDS: Mapping[type, ValueKind] = {bool: "flag", str: "text", int: "number", float: "number"}


# Without slots, since it keeps what is derived from its fields.
@dataclass(frozen=True)
class Table:
    """A table that can be searched."""

    name: str
    # Returned by a search, in the order of the row mappers.
    columns: tuple[str, ...]
    # Columns for filters and orders.
    kinds: Mapping[str, ValueKind]
    # Columns that have a value in each row.
    required: frozenset[str] = frozenset()
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    # By prefix.
    named_expressions: Mapping[str, Expression] = field(default_factory=dict)
    # Columns whose index is only for prefilters: lists are walked in their order.
    not_searched: frozenset[str] = frozenset()

    @cached_property
    def column_list(self) -> str:
        return quote_columns(self.columns)

    @cached_property
    def costly(self) -> tuple[str, ...]:
        return tuple(name for name, expression in self.expressions.items() if expression.is_costly)


def _table(name: str, row_type: type, **others: ValueKind) -> Table:
    # `others` can be searched by and are not returned.
    hints = get_type_hints(row_type)
    kinds = {column: kind for column, hint in hints.items() if (kind := _kind_of(hint))}
    return Table(
        name,
        tuple(column.name for column in fields(row_type)),
        {"seq": "number", **kinds, **others},
        frozenset({"seq", *(column for column in kinds if not isinstance(hints[column], UnionType))}),
    )


def _kind_of(hint: Any) -> ValueKind | None:
    value_type = get_args(hint)[0] if isinstance(hint, UnionType) else hint
    if not isinstance(value_type, type):
        return None
    return next((kind for known, kind in _KINDS.items() if issubclass(value_type, known)), None)


def quote_columns(columns: tuple[str, ...]) -> str:
    # Quoted, since `user` is a reserved word in PostgreSQL.
    return ", ".join(f'"{column}"' for column in columns)


REQUESTS = replace(
    _table("requests", RequestRecord, payloads="text"),
    expressions=REQUEST_EXPRESSIONS,
    named_expressions=NAMED_REQUEST_EXPRESSIONS,
)
# Half of all entries may have a bad score, and SQLite would sort them all for the newest few.
FEEDBACK = replace(
    _table("feedback", Feedback, request_seq="number", request_started_at_us="number"),
    not_searched=frozenset({"score"}),
)
EXPORTS = _table("exports", Export)
AUDIT = _table("audit", AuditEntry)
REVIEWS = _table("reviews", Review)
ALERTS = _table("alerts", AlertRule)
ALERT_EVENTS = _table("alert_events", AlertEvent)
DELIVERIES = _table("webhook_deliveries", Delivery)
DATASETS = _table("datasets", Dataset)

EXCHANGE_COLUMNS = tuple(
    column for column in REQUEST_COLUMNS if column.origin in (Origin.EXCHANGE, Origin.METADATA)
)
FACT_COLUMNS = tuple(column for column in REQUEST_COLUMNS if column.origin is Origin.FACT)

# What is known of a request when it is appended, and what once it has been interpreted.
REQUEST_INSERT_COLUMNS = ("seq", *(column.name for column in EXCHANGE_COLUMNS), "payloads")
ANNOTATED_COLUMNS = (*(column.name for column in FACT_COLUMNS), "interpreted_at_us")
COMPLETE_COLUMNS = (*REQUEST_INSERT_COLUMNS, *ANNOTATED_COLUMNS)

# What the retrieval of an answer may add to the request that began it.
RETRIEVED_COLUMNS = (*(column.name for column in FACT_COLUMNS if column.is_a(int)), "price_version")


def payload_columns(of_body: tuple[str, ...], copied_columns: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the columns of `payloads`, given those that hold a body, and those that it repeats of its request."""
    sides = product(("request", "response"), ("headers", *of_body))
    return ("seq", *copied_columns, *(f"{side}_{column}" for side, column in sides))


# What is read of a payload.
PAYLOAD_COLUMNS = payload_columns(("codec", "body"))
