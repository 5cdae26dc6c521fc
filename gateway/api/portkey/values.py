"""Values as Portkey writes them, in JSON or as text, and times as it reads them. Each reader raises ValueError,
with what would be right, for a value that is not of its kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType

from gateway.domain.clock import rfc_3339
from gateway.domain.moment import is_a_day, moment_us
from gateway.domain.request import NANO
from gateway.errors import BadInput
from gateway.web.bodies import parse_json
from gateway.web.validation import shown

NANOUSD_A_CENT = NANO // 100
"""Portkey counts money in US cents."""

TAGS: Mapping[str, str] = MappingProxyType(
    {"_user": "user", "_organisation": "organisation", "_prompt": "prompt", "_environment": "environment"}
)
"""Keys of the metadata whose values have a column of their own, and that column."""

MAX_NAMES = 1000
"""Most names in a list."""

_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")


def to_names(value: object) -> tuple[str, ...]:
    """Return the names in a list of them such as `a,b`."""
    if isinstance(value, str):
        names = tuple(name.strip() for name in value.split(","))
        if all(names) and len(names) <= MAX_NAMES:
            return names
    raise ValueError(f"must be a string of up to {MAX_NAMES:,} names separated by commas; got {shown(value)}")


def to_number(value: object, least: int, most: int) -> Decimal:
    """Return a number, exactly as it is written."""
    number = None
    if isinstance(value, str):
        number = Decimal(value) if _NUMBER.fullmatch(value) else None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = Decimal(str(value))
    if number is not None and least <= number <= most:
        return number
    raise ValueError(f"must be a number from {least:,} to {most:,}; got {shown(value)}")


def whole(least: int, most: int) -> Callable[[object], int]:
    """Return what reads a whole number within bounds."""

    def read(value: object) -> int:
        number = to_number(value, least, most)
        if number != number.to_integral_value():
            raise ValueError(f"must be a whole number; got {shown(value)}")
        return int(number)

    return read


def exactly(number: Decimal) -> int | float:
    """Return a number as an integer if it is one: 0.1 cents are 1,000,000 nano-dollars."""
    return int(number) if number == number.to_integral_value() else float(number)


def to_us(value: object, *, is_end: bool = False) -> int:
    """Return a time as microseconds since the epoch: in ISO 8601, without an offset in UTC, or as we write times.

    Args:
        is_end: whether a day stands for its last moment.
    """
    try:
        time_us = moment_us(value if isinstance(value, str) else "", is_end=is_end, is_iso=True)
    except ValueError:
        raise ValueError(
            f"must be a time such as 2026-01-31T09:30:00Z, a date or an age such as 7d; got {shown(value)}"
        ) from None
    is_day = is_end and isinstance(value, str) and is_a_day(value)
    return time_us - 1 if is_day else time_us


def iso_time(time_us: int) -> str:
    """Write microseconds since the epoch as `2026-01-31T09:30:00.000Z`."""
    return rfc_3339(time_us, "milliseconds")


def parse_text(text: str) -> object:
    """Return what a text holds as JSON; None if that is nothing."""
    try:
        return parse_json(text.encode())
    except BadInput:
        return None
