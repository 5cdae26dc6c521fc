"""Fields that can be searched and ordered by like columns, but are worked out from a row when they are asked
for: durations, sums, texts of metadata and of bodies, and the latest verdicts on a request.

SQLite's dialect. Each expression is about the row of `requests` at hand; those on feedback use its index on
`request_id`, those on bodies the function `body_text` of the reading connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ValueKind = Literal["text", "number", "flag"]


@dataclass(frozen=True, slots=True)
class Expression:
    """What a computed field is in SQL, and the kind of its values; NULL where it has none.

    In fields of which there is one for each NAME, a single `?` in `sql` stands for the name.

    Args:
        is_costly: whether it should be worked out last, and only where nothing else has decided.
    """

    kind: ValueKind
    sql: str
    is_costly: bool = False


_OF_THIS_REQUEST = (
    "feedback.request_id = requests.request_id AND +feedback.trace_id = requests.trace_id"
    " AND feedback.tenant IS requests.tenant AND feedback.deleted_at_us IS NULL"
)
_LATEST_FIRST = "ORDER BY feedback.updated_at_us DESC, feedback.seq DESC LIMIT 1"


def _of_latest_thumb(what: str) -> str:
    return (
        f"(SELECT {what} FROM feedback WHERE {_OF_THIS_REQUEST} AND feedback.kind = 'thumb' {_LATEST_FIRST})"
    )


def _text_of(side: str) -> Expression:
    columns = f"payloads.{side}_codec, payloads.{side}_body, payloads.{side}_headers"
    return Expression(
        "text",
        f"(SELECT body_text({columns}) FROM payloads WHERE payloads.seq = requests.seq)",
        is_costly=True,
    )


_STATED_MODEL = (
    "CASE json_type(metadata, '$._model') WHEN 'text' THEN nullif(json_extract(metadata, '$._model'), '') END"
)

REQUEST_EXPRESSIONS: Mapping[str, Expression] = MappingProxyType(
    {
        "duration_ms": Expression("number", '(("ended_at_us" - "started_at_us") / 1000)'),
        "first_byte_ms": Expression("number", '(("first_byte_at_us" - "started_at_us") / 1000)'),
        "total_tokens": Expression(
            "number",
            'coalesce("prompt_tokens" + "completion_tokens", "prompt_tokens", "completion_tokens")',
        ),
        "is_error": Expression(
            "flag",
            "(outcome NOT IN ('complete', 'client_closed') OR ifnull(status >= 400, 0))",
        ),
        "is_cached": Expression("flag", """ifnull("cache_status" LIKE 'hit', 0)"""),
        "stated_model": Expression("text", f"({_STATED_MODEL})"),
        "any_model": Expression("text", f'coalesce({_STATED_MODEL}, "model", "requested_model")'),
        "request_text": _text_of("request"),
        "response_text": _text_of("response"),
        "feedback.id": Expression("text", _of_latest_thumb("feedback.feedback_id")),
        "feedback.rating": Expression("flag", _of_latest_thumb("feedback.value > 0")),
        "feedback.updated_at_us": Expression("number", _of_latest_thumb("feedback.updated_at_us")),
        "weighted_feedback": Expression(
            "number",
            "(SELECT avg(feedback.weight * feedback.grade) FROM feedback"
            " WHERE feedback.request_seq = requests.seq AND feedback.deleted_at_us IS NULL)",
        ),
        "is_scored": Expression(
            "flag",
            f"EXISTS (SELECT 1 FROM feedback WHERE {_OF_THIS_REQUEST} AND feedback.kind = 'score'"
            " AND feedback.metric IS NOT NULL)",
        ),
    }
)
"""Computed fields of requests. Durations are whole milliseconds; `feedback.…` is about the thumb given last, and
`weighted_feedback` the mean of weight × grade of all entries that count for the request; `…_text` is a body as it
was before it was packed and encoded, missing where it is empty or no UTF-8."""

NAMED_REQUEST_EXPRESSIONS: Mapping[str, Expression] = MappingProxyType(
    {
        "property.": Expression(
            "text",
            "(SELECT CASE type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(value AS TEXT) END"
            " FROM json_each(requests.metadata) WHERE key = ? AND type <> 'null')",
        ),
        "score.": Expression(
            "number",
            f"(SELECT feedback.value FROM feedback WHERE {_OF_THIS_REQUEST} AND feedback.kind = 'score'"
            f" AND feedback.metric = ? {_LATEST_FIRST})",
        ),
    }
)
"""Computed fields of requests by the prefix that stands before their NAME: `property.NAME` is the metadata
under that key as text, `score.NAME` the value given last for that metric."""
