"""Filters: a tree of comparisons, an order and a page, for every API and the store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Op(StrEnum):
    # ICONTAINS and ILIKE ignore the case of A to Z.

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
    """`field op value`, of a column or `metadata.KEY`. A missing value equals only None."""

    field: str
    op: Op
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; true without parts."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds; false without parts."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    part: Filter


@dataclass(frozen=True, slots=True)
class FeedbackFilter:
    """The part holds of an entry on the request, or of the request that an entry counts for."""

    part: Filter
    # Whether only entries matter that count for the request in metrics.
    is_counted: bool = False


Filter = Comparison | AllOf | AnyOf | Not | FeedbackFilter

NO_FILTER = AllOf()

# Most conditions and groups in one filter.
MAX_FILTER_TERMS = 500


def filter_uses_field(where: Filter, name: str) -> bool:
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
    """Order by a field, then by `then`, then as stored."""

    field: str = "seq"
    descending: bool = True
    then: Sort | None = None


@dataclass(frozen=True, slots=True)
class Page:
    limit: int = 50
    offset: int = 0
