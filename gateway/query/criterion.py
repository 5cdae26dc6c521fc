"""Criteria: what narrows a search, under a name, and the condition that a text given for it means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import orjson

from gateway.domain.filter import All, Any, Filter, Is, Op
from gateway.domain.moment import moment_us

ToFilter = Callable[[str], Filter]
"""Returns the condition that a text stands for; raises ValueError for one that stands for none."""

# Means of what was stored in binary miss decimal bounds by less than this.
_ROUNDING = 1e-9


class Takes(StrEnum):
    """What values a criterion takes, for documentation."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    FLAG = "flag"
    STATUS = "status"
    WHOLE_NUMBER = "whole number"


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that narrows a search.

    Args:
        choices: the only values that it takes; none where it takes others.
        is_joined: whether it is on what feedback joins to what is looked for. Those that are must all hold of the
            same entry, or request.
    """

    description: str
    to_filter: ToFilter
    takes: Takes = Takes.TEXT
    choices: tuple[str, ...] = ()
    is_joined: bool = False


def equals(description: str, *fields: str, is_joined: bool = False) -> Criterion:
    """A criterion on text that one of the fields is equal to."""

    def to_filter(text: str) -> Filter:
        parts = tuple(Is(field, Op.EQ, text) for field in fields)
        return parts[0] if len(parts) == 1 else Any(parts)

    return Criterion(description, to_filter, is_joined=is_joined)


def contains(description: str, field: str, *, is_joined: bool = False) -> Criterion:
    """A criterion on a part of a text, whatever the case of its letters from A to Z."""
    return Criterion(description, lambda text: Is(field, Op.ICONTAINS, text), is_joined=is_joined)


def one_of(description: str, field: str, allowed: type[StrEnum], *, is_joined: bool = False) -> Criterion:
    """A criterion on a field of few values."""
    choices = tuple(allowed)

    def to_filter(text: str) -> Filter:
        _refuse_other(text, choices)
        return Is(field, Op.EQ, text)

    return Criterion(description, to_filter, choices=choices, is_joined=is_joined)


def started(description: str, field: str) -> Criterion:
    """The criterion `from`."""
    return Criterion(description, lambda text: Is(field, Op.GE, moment_us(text)), Takes.TIME)


def ended(description: str, field: str) -> Criterion:
    """The criterion `to`; a day is meant with its end."""
    return Criterion(description, lambda text: Is(field, Op.LT, moment_us(text, is_end=True)), Takes.TIME)


def flag(description: str, to_filter: Callable[[bool], Filter]) -> Criterion:
    """A criterion that is true or false."""

    def read(text: str) -> Filter:
        if text not in ("true", "false"):
            raise ValueError("must be true or false.")
        return to_filter(text == "true")

    return Criterion(description, read, Takes.FLAG)


def at_least(description: str, field: str) -> Criterion:
    """A lower bound of a number."""
    return Criterion(description, lambda text: Is(field, Op.GE, _number(text) - _ROUNDING), Takes.NUMBER)


def at_most(description: str, field: str) -> Criterion:
    """An upper bound of a number."""
    return Criterion(description, lambda text: Is(field, Op.LE, _number(text) + _ROUNDING), Takes.NUMBER)


def whole_number(description: str, field: str) -> Criterion:
    """A criterion on a number that counts something."""

    def to_filter(text: str) -> Filter:
        if re.fullmatch("[0-9]{1,9}", text):
            return Is(field, Op.EQ, int(text))
        raise ValueError("must be a whole number such as 0.")

    return Criterion(description, to_filter, Takes.WHOLE_NUMBER)


def rating(description: str, field: str) -> Criterion:
    """A criterion on the sign of a score."""
    signs: dict[str, Filter] = {
        "good": Is(field, Op.GT, _ROUNDING),
        "bad": Is(field, Op.LT, -_ROUNDING),
        "neutral": All((Is(field, Op.GE, -_ROUNDING), Is(field, Op.LE, _ROUNDING))),
    }

    def to_filter(text: str) -> Filter:
        _refuse_other(text, tuple(signs))
        return signs[text]

    return Criterion(description, to_filter, choices=tuple(signs))


def status(description: str, *, is_joined: bool = False) -> Criterion:
    """A criterion on statuses, or classes of them."""

    def to_filter(text: str) -> Filter:
        if re.fullmatch("[1-5][0-9]{2}", text):
            return Is("status", Op.EQ, int(text))
        if re.fullmatch("[1-5]xx", text):
            first = int(text[0]) * 100
            return All((Is("status", Op.GE, first), Is("status", Op.LT, first + 100)))
        raise ValueError("must be a status such as 200, or a class of them such as 4xx.")

    return Criterion(description, to_filter, Takes.STATUS, is_joined=is_joined)


def metadata(key: str, text: str) -> Filter:
    """Metadata holds strings, numbers and booleans; a text cannot tell which is meant, so all are."""
    field = f"metadata.{key}"
    as_text = Is(field, Op.EQ, text)
    try:
        value = orjson.loads(text)
    except ValueError:
        return as_text
    if isinstance(value, bool | int | float) and abs(value) < 2**63:
        return Any((as_text, Is(field, Op.EQ, value)))
    return as_text


def _number(text: str) -> float:
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) and math.isfinite(float(text)):
        return float(text)
    raise ValueError("must be a number such as -0.5.")


def _refuse_other(text: str, choices: tuple[str, ...]) -> None:
    if text not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}.")
