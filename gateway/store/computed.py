"""Fields that can be searched and ordered by like columns, but are worked out from a row when they are asked
for: durations, sums, texts of metadata and of bodies, and what was said of a request.

Each expression is about the row of `requests` at hand; those on feedback use its indexes on `request_id`,
`trace_id` and `session`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.domain.exchange import NO_MODEL_CALLS, NO_MODEL_READS, PROBE_METHODS
from gateway.store.dialect import Dialect, ValueKind

__all__ = [
    "COUNTS_FOR_REQUEST",
    "IS_RATING",
    "IS_VERDICT",
    "NAMED_REQUEST_EXPRESSIONS",
    "REQUEST_EXPRESSIONS",
    "Expression",
    "ValueKind",
    "is_about_request",
]

IS_RATING = (
    "feedback.weight * feedback.score <> 0 AND (feedback.kind <> 'score' OR feedback.metric IS NULL)"
    " AND feedback.deleted_at_us IS NULL"
)
"""That an entry says good or bad of the whole, in whatever dialect: it weighs something, its score is not neutral,
and it is no score by a name of its own."""

IS_VERDICT = "(feedback.kind <> 'original' OR feedback.score IS NOT NULL)"
"""That an entry is counted: an original alone is no verdict."""

COUNTS_FOR_REQUEST = "feedback.request_seq = requests.seq AND feedback.deleted_at_us IS NULL"
"""That an entry counts in figures for the request at hand."""


@dataclass(frozen=True, slots=True)
class Expression:
    """What a computed field is in SQL, and the kind of its values; NULL where it has none.

    In fields of which there is one for each NAME, a single `?` in the SQL stands for the name.

    Args:
        spell: returns the SQL in the words of a database.
        is_costly: whether it should be worked out last, and only where nothing else has decided.
    """

    kind: ValueKind
    spell: Callable[[Dialect], str]
    is_costly: bool = False


_LATEST_FIRST = "ORDER BY feedback.updated_at_us DESC, feedback.seq DESC LIMIT 1"


def _plain(kind: ValueKind, sql: str) -> Expression:
    return Expression(kind, lambda _: sql)


def _texts(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names))


def is_about_request(dialect: Dialect) -> str:
    """That an entry is about the request at hand: by its id, or about its trace or session as a whole."""
    return (
        f"(feedback.request_id = requests.request_id"
        f" AND {dialect.unindexed('feedback.trace_id')} = requests.trace_id"
        " OR feedback.trace_id = requests.trace_id AND feedback.target = 'trace'"
        " OR feedback.session = requests.session AND feedback.target = 'session')"
        " AND feedback.tenant IS NOT DISTINCT FROM requests.tenant AND feedback.deleted_at_us IS NULL"
    )


def _of_latest_rating(kind: ValueKind, what: str) -> Expression:
    return Expression(
        kind,
        lambda dialect: (
            f"(SELECT {what} FROM feedback WHERE {is_about_request(dialect)} AND {IS_RATING} {_LATEST_FIRST})"
        ),
    )


def _mean_of(entries: str) -> str:
    return f"(SELECT avg(feedback.weight * feedback.grade) FROM feedback WHERE {entries})"


def _mean_score(entries: str) -> str:
    """The mean that figures have, of the entries for which a condition holds."""
    return (
        "(SELECT sum(feedback.weight * feedback.score)"
        " / nullif(sum(CASE WHEN feedback.score IS NULL THEN 0.0 ELSE feedback.weight END), 0)"
        f" FROM feedback WHERE {entries})"
    )


def _has_verdict(entries: str) -> str:
    return f"EXISTS (SELECT 1 FROM feedback WHERE {entries} AND {IS_VERDICT})"


def _of_latest_score(dialect: Dialect) -> str:
    return (
        f"(SELECT feedback.value FROM feedback WHERE {is_about_request(dialect)} AND feedback.kind = 'score'"
        f" AND feedback.metric = ? {_LATEST_FIRST})"
    )


def _is_scored(dialect: Dialect) -> str:
    return (
        f"EXISTS (SELECT 1 FROM feedback WHERE {is_about_request(dialect)} AND feedback.kind = 'score'"
        " AND feedback.metric IS NOT NULL)"
    )


def _text_of(side: str) -> Expression:
    return Expression("text", lambda dialect: dialect.body_text(side), is_costly=True)


def _any_model(dialect: Dialect) -> str:
    return f'coalesce({dialect.stated_model()}, "model", "requested_model")'


REQUEST_EXPRESSIONS: Mapping[str, Expression] = MappingProxyType(
    {
        "duration_ms": _plain("number", '(("ended_at_us" - "started_at_us") / 1000)'),
        "first_byte_ms": _plain("number", '(("first_byte_at_us" - "started_at_us") / 1000)'),
        "total_tokens": _plain(
            "number",
            'coalesce("prompt_tokens" + "completion_tokens", "prompt_tokens", "completion_tokens")',
        ),
        "is_error": _plain(
            "flag",
            "((outcome NOT IN ('complete', 'client_closed') OR coalesce(status >= 400, FALSE))"
            f" AND endpoint NOT IN ({_texts(NO_MODEL_CALLS)}) AND method NOT IN ({_texts(PROBE_METHODS)})"
            f" AND (method <> 'GET' OR endpoint NOT IN ({_texts(NO_MODEL_READS)})))",
        ),
        "is_cached": _plain("flag", """coalesce(lower("cache_status") = 'hit', FALSE)"""),
        "stated_model": Expression("text", lambda dialect: f"({dialect.stated_model()})"),
        "any_model": Expression("text", _any_model),
        "request_text": _text_of("request"),
        "response_text": _text_of("response"),
        "feedback.id": _of_latest_rating("text", "feedback.feedback_id"),
        "feedback.rating": _of_latest_rating("flag", "feedback.score > 0"),
        "feedback.updated_at_us": _of_latest_rating("number", "feedback.updated_at_us"),
        "has_feedback": Expression("flag", lambda dialect: _has_verdict(is_about_request(dialect))),
        "is_judged": _plain("flag", _has_verdict(COUNTS_FOR_REQUEST)),
        "mean_score": Expression("number", lambda dialect: _mean_score(is_about_request(dialect))),
        "mean_counted_score": _plain("number", _mean_score(COUNTS_FOR_REQUEST)),
        "weighted_feedback": Expression("number", lambda dialect: _mean_of(is_about_request(dialect))),
        "weighted_verdict": _plain("number", _mean_of(COUNTS_FOR_REQUEST)),
        "is_scored": Expression("flag", _is_scored),
    }
)
"""Computed fields of requests. Durations are whole milliseconds. Only calls of models are errors. `feedback.…` is
about the entry given last that says good or bad of the request, its trace or its session; `has_feedback` whether
there are any entries on these, `mean_score` Σ weight × score / Σ weight of them, `weighted_feedback` the mean of
weight × grade; `is_judged`, `mean_counted_score` and `weighted_verdict` are the same of the entries that count for
the request in figures. `…_text` is a body as it was before it was packed and encoded, missing where it is empty or
no UTF-8."""

NAMED_REQUEST_EXPRESSIONS: Mapping[str, Expression] = MappingProxyType(
    {
        "property.": Expression("text", lambda dialect: dialect.property_text()),
        "property_in_any_case.": Expression("text", lambda dialect: dialect.property_in_any_case()),
        "score.": Expression("number", _of_latest_score),
    }
)
"""Computed fields of requests by the prefix that stands before their NAME: `property.NAME` is the metadata
under that key as text, `property_in_any_case.NAME` under the last key that is NAME in small letters,
`score.NAME` the value given last for that metric."""
