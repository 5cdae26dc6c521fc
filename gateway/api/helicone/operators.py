"""What an operator with a value says of one of our fields, by the kind of the column it is used on."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from gateway.domain.filter import Filter, Is, Not, Op
from gateway.domain.moment import moment_us
from gateway.domain.request import NANO
from gateway.errors import BadInput
from gateway.web.validation import shown

Column = Callable[[str, object], Filter]
"""Translates an operator and a value. Raises BadInput, without a field, for what the column does not take."""

MAX_PATTERN = 100
"""Longest pattern for a column of few and short values, in characters."""

_MISSING = (None, "null")
"""Values that stand for no value at all."""

_ORDERINGS: Mapping[str, Op] = MappingProxyType(
    {"equals": Op.EQ, "gte": Op.GE, "lte": Op.LE, "lt": Op.LT, "gt": Op.GT}
)
_NUMBER_OPERATORS = MappingProxyType({**_ORDERINGS, "not-equals": Op.NE})
_EQUALITY = MappingProxyType({"equals": Op.EQ, "not-equals": Op.NE})
_TEXT_OPERATORS = (*_EQUALITY, "like", "ilike", "contains", "not-contains")


def text(field: str) -> Column:
    """A column of text."""

    def to_filter(operator: str, value: object) -> Filter:
        refuse_other(operator, _TEXT_OPERATORS)
        if operator in _EQUALITY and value in _MISSING:
            return Is(field, _EQUALITY[operator], None)
        wanted = read_text(value)
        match operator:
            case "equals" | "not-equals":
                return Is(field, _EQUALITY[operator], wanted)
            case "like":
                return Is(field, Op.LIKE, wanted)
            case "ilike":
                return Is(field, Op.ILIKE, wanted)
            case "contains":
                return Is(field, Op.ILIKE, f"%{wanted}%")
            case _:
                return Not(Is(field, Op.ILIKE, f"%{wanted}%"))

    return to_filter


def number(field: str, scale: int = 1) -> Column:
    """A column of numbers, which our field holds `scale` times as large."""

    def to_filter(operator: str, value: object) -> Filter:
        refuse_other(operator, _NUMBER_OPERATORS)
        if operator in _EQUALITY and value in _MISSING:
            return Is(field, _EQUALITY[operator], None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(f"must be a number; got {shown(value)}.")
        return Is(field, _NUMBER_OPERATORS[operator], value if scale == 1 else _scaled(value, scale))

    return to_filter


def dollars(field: str) -> Column:
    """A column of US dollars, which our field holds as billionths."""
    return number(field, NANO)


def time(field: str) -> Column:
    """A column of times."""

    def to_filter(operator: str, value: object) -> Filter:
        refuse_other(operator, _ORDERINGS)
        return Is(field, _ORDERINGS[operator], _read_time_us(value))

    return to_filter


def flag(field: str) -> Column:
    """A column of true and false."""

    def to_filter(operator: str, value: object) -> Filter:
        refuse_other(operator, ("equals",))
        if value in _MISSING:
            return Is(field, Op.EQ, None)
        if not isinstance(value, bool):
            raise BadInput(f"must be true or false; got {shown(value)}.")
        return Is(field, Op.EQ, value)

    return to_filter


def one_of(field: str, shown_as: Mapping[str, str], otherwise: str) -> Column:
    """A column of text that shows our field's values under other names, and all that have none as one."""

    def to_filter(operator: str, value: object) -> Filter:
        refuse_other(operator, _TEXT_OPERATORS)
        wanted = read_text(value)
        chosen = [ours for ours, theirs in shown_as.items() if _text_holds(theirs, operator, wanted)]
        is_meant = Is(field, Op.IN, tuple(chosen))
        if not _text_holds(otherwise, operator, wanted):
            return is_meant
        return Not(Is(field, Op.IN, tuple(ours for ours in shown_as if ours not in chosen)))

    return to_filter


def has(field_of: Callable[[str], str]) -> Column:
    """A column of names: those under which a request has a value, in the field that each has."""

    def to_filter(operator: str, value: object) -> Filter:
        refuse_other(operator, _EQUALITY)
        is_missing = Is(field_of(read_text(value)), Op.EQ, None)
        return Not(is_missing) if operator == "equals" else is_missing

    return to_filter


def refused(reason: str) -> Column:
    """A column that there is, but that cannot be searched by here."""

    def refuse(operator: str, value: object) -> Filter:
        raise BadInput(f"cannot be searched by: {reason}.")

    return refuse


def read_text(value: object) -> str:
    """Return a value that must be text. Raises BadInput for any other."""
    if not isinstance(value, str):
        raise BadInput(f"must be a string; got {shown(value)}.")
    return value


def refuse_other(operator: str, known: Mapping[str, Op] | tuple[str, ...]) -> None:
    """Raise BadInput for an operator that a column does not take."""
    if operator not in known:
        raise BadInput("is not an operator of this column.", hint=f"It takes {', '.join(known)}.")


def _scaled(value: float, scale: int) -> int | float:
    """The product, exact wherever it is a whole number: 0.1 dollars are 100,000,000 billionths."""
    product = Decimal(str(value)) * scale
    return int(product) if product == product.to_integral_value() else float(product)


def _read_time_us(value: object) -> int:
    try:
        return moment_us(read_text(value), is_iso=True)
    except ValueError:
        raise BadInput(
            f"must be a time such as 2026-01-31T09:30:00Z, a date or an age such as 7d; got {shown(value)}."
        ) from None


def _text_holds(text: str, operator: str, wanted: str) -> bool:
    match operator:
        case "equals":
            return text == wanted
        case "not-equals":
            return text != wanted
        case "like":
            return _is_like(text, wanted)
        case "ilike":
            return _is_like(text.lower(), wanted.lower())
        case "contains":
            return _is_like(text.lower(), f"%{wanted.lower()}%")
        case _:
            return not _is_like(text.lower(), f"%{wanted.lower()}%")


def _is_like(text: str, pattern: str) -> bool:
    if len(pattern) > MAX_PATTERN:
        raise BadInput(f"may have {MAX_PATTERN} characters.")
    parts = ({"%": ".*", "_": "."}.get(character, re.escape(character)) for character in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
