"""The one place where columns and their order are known.

A table has a column for each field of its dataclass, under the field's name; the migrations create them, and
a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import product
from types import UnionType
from typing import Any, get_args, get_type_hints

from gateway.domain.audit import AuditEntry
from gateway.domain.export import Export
from gateway.domain.feedback import Feedback
from gateway.domain.request import RequestRecord
from gateway.store.computed import NAMED_REQUEST_EXPRESSIONS, REQUEST_EXPRESSIONS, Expression
from gateway.store.dialect import ValueKind

_KINDS: Mapping[type, ValueKind] = {bool: "flag", str: "text", int: "number", float: "number"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be searched.

    Args:
        columns: what a search returns, in the order in which `rows.py` takes it.
        kinds: the columns that a filter or an order may name, and the kind of their values.
        required: those of them that have a value in each row.
        expressions: the computed fields that they may name as well.
        named_expressions: the computed fields of which there is one for each name, by their prefix.
    """

    name: str
    columns: tuple[str, ...]
    kinds: Mapping[str, ValueKind]
    required: frozenset[str] = frozenset()
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    named_expressions: Mapping[str, Expression] = field(default_factory=dict)

    @property
    def costly(self) -> tuple[str, ...]:
        """The fields that should be worked out last."""
        return tuple(name for name, expression in self.expressions.items() if expression.is_costly)


def _table(name: str, row_type: type, **others: ValueKind) -> Table:
    """The table of a dataclass; `others` are columns that can be searched by and are not returned."""
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


def quoted(columns: tuple[str, ...]) -> str:
    """Return column names as an SQL list; quoted, since `user` is a reserved word elsewhere."""
    return ", ".join(f'"{column}"' for column in columns)


REQUESTS = replace(
    _table("requests", RequestRecord, payloads="text"),
    expressions=REQUEST_EXPRESSIONS,
    named_expressions=NAMED_REQUEST_EXPRESSIONS,
)
FEEDBACK = _table("feedback", Feedback, request_seq="number")
EXPORTS = _table("exports", Export)
AUDIT = _table("audit", AuditEntry)

REQUEST_INSERT_COLUMNS = (
    "seq", "request_id", "trace_id", "span_id", "parent_span_id", "span_name", "tenant", "key_name",
    "provider", "endpoint", "method", "path", "started_at_us", "first_byte_at_us", "ended_at_us", "status",
    "outcome", "error", "is_stream", "attempt", "client_retry", "cache_status", "user", "organisation", "prompt",
    "environment", "session", "metadata", "request_size", "response_size", "payloads",
)  # fmt: skip
"""What is known of a request when it is appended."""

TAG_COLUMNS = ("user", "organisation", "prompt", "environment", "session")
"""What of the metadata has a column of its own; its key there begins with an underscore."""

FACT_COLUMNS = (
    "requested_model", "model", "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens",
    "reasoning_tokens", "cost_nanousd", "price_version", "response_id", "finish_reason", "note",
    "interpreted_at_us",
)  # fmt: skip
"""What is known once it has been interpreted."""

GIVEN_COLUMNS = (
    "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "cost_nanousd", "price_version",
)  # fmt: skip
"""What the retrieval of an answer may tell of the request that began it."""


def payload_columns(of_body: tuple[str, ...], repeated: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the columns of `payloads`, given those that hold a body, and those that it repeats of its request."""
    sides = product(("request", "response"), ("headers", *of_body))
    return ("seq", *repeated, *(f"{side}_{column}" for side, column in sides))


PAYLOAD_COLUMNS = payload_columns(("codec", "body"))
"""What is read of a payload."""

KEY_COLUMNS = ("name", "sha256", "roles", "tenant", "created_at_us", "revoked_at_us", "limits")

SPENDING_COLUMNS = ("key_name", "unit", "window", "starts_at_us", "amount")

RECEIPT_COLUMNS = ("scope", "key", "digest", "feedback_ids")
