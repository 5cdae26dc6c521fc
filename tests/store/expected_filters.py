"""Filters and orders evaluated the plain way, to hold the SQL against."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Not, Op, Scalar, Sort
from gateway.models.request import RequestRecord


def matches(record: RequestRecord, where: Filter) -> bool:
    """Tell whether a record matches, by the words of `domain/filter.py`."""
    if isinstance(where, AllOf):
        return all(matches(record, part) for part in where.parts)
    if isinstance(where, AnyOf):
        return any(matches(record, part) for part in where.parts)
    if isinstance(where, Not):
        return not matches(record, where.part)
    assert isinstance(where, Comparison)
    return _holds(value_of(record, where.field), where)


def in_order(records: Sequence[RequestRecord], sort: Sort) -> list[RequestRecord]:
    """Return records that are in the order in which they were stored in another."""
    found = in_order(records, sort.then) if sort.then else list(records)
    return sorted(found, key=lambda record: _rank(value_of(record, sort.field)), reverse=sort.descending)


def _rank(value: object) -> tuple[bool, object]:
    """A missing value comes before all others."""
    return value is not None, 0 if value is None else value


def value_of(record: RequestRecord, field: str) -> object:
    """What a record has under a field's name."""
    if field.startswith("metadata."):
        return record.metadata.get(field.removeprefix("metadata."))
    if field.startswith("property."):
        return as_text(record.metadata.get(field.removeprefix("property.")))
    if field == "any_model":
        return record.requested_model if record.model is None else record.model
    value: object = getattr(record, field)
    return value


def _holds(value: object, condition: Comparison) -> bool:
    if isinstance(condition.value, tuple):
        return any(_equal(value, one) for one in condition.value)
    wanted = condition.value
    match condition.op:
        case Op.EQ:
            return _equal(value, wanted)
        case Op.NE:
            return not _equal(value, wanted)
        case Op.LT:
            return _less(value, wanted)
        case Op.LE:
            return _less(value, wanted) or _equal(value, wanted)
        case Op.GT:
            return _less(wanted, value)
        case Op.GE:
            return _less(wanted, value) or _equal(value, wanted)
    assert isinstance(wanted, str)
    return isinstance(value, str) and _matches_text(value, condition.op, wanted)


def _matches_text(value: str, op: Op, pattern: str) -> bool:
    if op in (Op.ILIKE, Op.ICONTAINS):
        value, pattern = value.translate(_ASCII_LOWER), pattern.translate(_ASCII_LOWER)
    if op in (Op.CONTAINS, Op.ICONTAINS):
        return pattern in value
    expression = "".join({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


_ASCII_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _equal(value: object, wanted: Scalar) -> bool:
    if value is None or wanted is None:
        return value is wanted
    return _kind(value) == _kind(wanted) and value == wanted


def _less(value: object, other: object) -> bool:
    if isinstance(value, str) and isinstance(other, str):
        return value < other
    if isinstance(value, bool) and isinstance(other, bool):
        return value < other
    if isinstance(value, int | float) and isinstance(other, int | float):
        return _kind(value) == _kind(other) and value < other
    return False


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else type(value).__name__


def as_text(value: object) -> str | None:
    """What metadata is where it is grouped by."""
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
