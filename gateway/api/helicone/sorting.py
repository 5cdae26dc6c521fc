"""Orders of requests: Helicone's become ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gateway.api.helicone.columns import NO_INPUTS, ONLY_CACHED, property_field
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
        "is_cached": "is_cached",
        "request_prompt": "request_text",
        "response_text": "response_text",
        "cost_usd": "cost_nanousd",
        "time_to_first_token": "first_byte_ms",
    }
)
"""Our fields by the columns that requests can be sorted by; besides them there are `properties` and `random`."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "cache_created_at": ONLY_CACHED,
        "last_active": "it is about users, not requests",
        "values": NO_INPUTS,
    }
)
"""Helicone's other columns, and why requests cannot be sorted by them."""


def to_sort(order: object) -> Sort:
    """Translate an order: `{column: "asc" | "desc"}`, of several columns the first one first;
    `{"properties": {name: …}}` among them; or `{"random": true}`.

    Raises:
        BadInput: it names a column that requests cannot be sorted by here, or no direction.
    """
    if order is None or order == {}:
        return NEWEST_FIRST
    columns = _object(order, "sort")
    if "random" in columns:
        return _random(columns)
    *others, last = [key for column in columns for key in _keys(column, columns[column])]
    for key in reversed(others):
        last = Sort(key.field, key.descending, then=last)
    return last


def _random(columns: dict[str, object]) -> Sort:
    if len(columns) > 1:
        raise BadInput("goes with no other column.", field="sort.random")
    if columns["random"] is not True:
        raise BadInput(f"must be true; got {shown(columns['random'])}.", field="sort.random")
    return Sort("random")


def _keys(column: str, given: object) -> list[Sort]:
    """What a column says alone: one order, or one for each property that it names."""
    at = f"sort.{column}"
    if column == "properties":
        names = _object(given, at)
        return [_key(property_field(name), direction, f"{at}.{name}") for name, direction in names.items()]
    if column in REFUSED:
        raise BadInput(f"cannot be sorted by: {REFUSED[column]}.", field=at)
    if column not in SORTABLE:
        known = f"There are {', '.join(SORTABLE)}, properties and random."
        raise BadInput("is no column to sort by here.", field=at, hint=known)
    return [_key(SORTABLE[column], given, at)]


def _key(field: str, direction: object, at: str) -> Sort:
    if direction not in ("asc", "desc"):
        raise BadInput(f'must be "asc" or "desc"; got {shown(direction)}.', field=at)
    return Sort(field, descending=direction == "desc")


def _object(given: object, at: str) -> dict[str, object]:
    if isinstance(given, dict) and given:
        return given
    raise BadInput(f"must be an object that names what to sort by; got {shown(given)}.", field=at)
