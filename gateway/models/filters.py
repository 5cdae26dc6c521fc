"""Filters: a tree of comparisons, an order and a page, for every API and the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Op(StrEnum):
    """How a field is compared. Text operators match case as written, except ICONTAINS and ILIKE, to which the
    letters from A to Z have none."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    CONTAINS = "contains"
    ICONTAINS = "icontains"
    LIKE = "like"
    ILIKE = "ilike"


Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field op value`. A field is a column of the record or `metadata.KEY`.

    A missing value equals only None; it is otherwise unequal to everything and neither less nor greater.
    """

    field: str
    op: Op
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds. No parts: always true."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds. No parts: never true."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


@dataclass(frozen=True, slots=True)
class FeedbackFilter:
    """The part holds of what feedback joins to the record: of at least one entry on a request, and of the request
    that an entry counts for.

    Args:
        is_counted: whether only the entries matter that count for the request in figures.
    """

    part: Filter
    is_counted: bool = False


Filter = Comparison | AllOf | AnyOf | Not | FeedbackFilter

NO_FILTER = AllOf()

# Most conditions and groups in one filter.
MAX_FILTER_TERMS = 500


def filter_uses_field(where: Filter, name: str) -> bool:
    """Tell whether any condition in a filter is on this field."""
    stack = [where]
    while stack:
        part = stack.pop()
        if isinstance(part, Comparison):
            if part.field == name:
                return True
        elif isinstance(part, Not | FeedbackFilter):
            stack.append(part.part)
        else:
            stack.extend(part.parts)
    return False


@dataclass(frozen=True, slots=True)
class Sort:
    """Order of results by a field. Equal ones come in the order of `then`; those equal in all, as they were
    stored."""

    field: str = "seq"
    descending: bool = True
    then: Sort | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A window on the results."""

    limit: int = 50
    offset: int = 0
