"""Orders of requests: Helicone's become ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.domain.filter import Sort
from gateway.errors import BadInput
from gateway.web.validation import shown

NEWEST_FIRST = Sort("started_at_us", descending=True)

SORTABLE: Mapping[str, str] = MappingProxyType(
    {
        "created_at": "started_at_us",
        "latency": "duration_ms",
        "total_tokens": "total_tokens",
        "completion_tokens": "completion_tokens",
        "prompt_tokens": "prompt_tokens",
        "user_id": "user",
        "body_model": "any_model",
        "cost_usd": "cost_nanousd",
        "time_to_first_token": "first_byte_ms",
    }
)
"""Our fields by the columns that requests can be sorted by; besides them there are `properties` and `random`."""


def to_sort(order: object) -> Sort:
    """Translate an order: `{column: "asc" | "desc"}`, `{"properties": {name: …}}` or `{"random": true}`.

    Raises:
        BadInput: it names more than one column, or one that requests cannot be sorted by here.
    """
    if order is None or order == {}:
        return NEWEST_FIRST
    if not isinstance(order, dict) or len(order) != 1:
        raise BadInput(f"must be an object with one column; got {shown(order)}.", field="sort")
    [(column, direction)] = order.items()
    if column == "random":
        return _random(direction)
    if column == "properties":
        return _property(direction)
    if column not in SORTABLE:
        raise BadInput(
            "is no column to sort by here.",
            field=f"sort.{column}",
            hint=f"There are {', '.join(SORTABLE)}, properties and random.",
        )
    return Sort(SORTABLE[column], _is_descending(direction, f"sort.{column}"))


def _random(is_wanted: object) -> Sort:
    if is_wanted is not True:
        raise BadInput(f"must be true; got {shown(is_wanted)}.", field="sort.random")
    return Sort("random")


def _property(named: object) -> Sort:
    if not isinstance(named, dict) or len(named) != 1:
        raise BadInput(f"must be an object with one name; got {shown(named)}.", field="sort.properties")
    [(name, direction)] = named.items()
    return Sort(f"property.{name}", _is_descending(direction, f"sort.properties.{name}"))


def _is_descending(direction: object, at: str) -> bool:
    if direction not in ("asc", "desc"):
        raise BadInput(f'must be "asc" or "desc"; got {shown(direction)}.', field=at)
    return direction == "desc"
