"""Portkey's filters of requests, which it calls generations: each name, and the condition that its value means.

The same names stand in the JSON of exports and in the query strings of analytics, where every value is a text.
The table in docs/portkey.md says the same.

Source: GenerationsFilterSchema and the query parameters of /analytics in https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import orjson

from gateway.api.portkey.values import (
    NANOUSD_A_CENT,
    TAGS,
    exactly,
    parse_text,
    to_names,
    to_number,
    to_us,
    whole,
)
from gateway.domain.filter import MAX_TERMS, All, Any, Filter, Is, Op, Page
from gateway.errors import BadInput
from gateway.web.validation import shown

T = TypeVar("T")
Condition = Callable[[object], Filter]
"""What a value means. Raises ValueError for one that means nothing."""

MAX_PAGE_SIZE = 50_000
"""Most rows on a page of an export."""

_MAX_PAGES = 10**12
_MAX_TOKENS = 10**15
_MAX_CENTS = 10**11
_STATUS = re.compile("[1-5][0-9]{2}")
_PAGING = ("page_size", "current_page")


def to_filter(given: Mapping[str, object], at: str = "", *, of_counted: bool = False) -> Filter:
    """Return the condition that all of these names and values together mean. What is null is as if absent.

    Args:
        given: values as JSON has them, or as texts.
        at: path of the mapping, which stands before names in complaints (`filters`).
        of_counted: whether feedback on a trace or session is that of the request that it counts for alone.

    Raises:
        BadInput: a name is not known, or a value means nothing; names it.
    """
    parts = []
    conditions = _OF_COUNTED if of_counted else CONDITIONS
    for name, value in given.items():
        if name not in CONDITIONS and name not in _PAGING:
            known = ", ".join((*CONDITIONS, *_PAGING))
            raise BadInput("is no filter known here.", field=_path(at, name), hint=f"There are {known}.")
        if name in CONDITIONS and value is not None:
            parts.append(_read(conditions[name], value, _path(at, name)))
    return All(tuple(parts))


def to_page(given: Mapping[str, object], at: str = "", least: int = 1, most: int = MAX_PAGE_SIZE) -> Page:
    """Return the page that `page_size` and `current_page` mean; the first one is page 0.

    Args:
        least, most: bounds of the rows on a page; `most` are on one if nothing is said.

    Raises:
        BadInput: one of them is no whole number, or out of bounds.
    """
    size, number = (given.get(name) for name in _PAGING)
    limit = most if size is None else _read(whole(least, most), size, _path(at, "page_size"))
    page = 0 if number is None else _read(whole(0, _MAX_PAGES), number, _path(at, "current_page"))
    return Page(limit, page * limit)


def _read(read: Callable[[object], T], value: object, field: str) -> T:
    try:
        return read(value)
    except ValueError as problem:
        raise BadInput(f"{problem}.", field=field) from None


def _path(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _time(op: Op) -> Condition:
    return lambda value: Is("started_at_us", op, to_us(value, is_end=op is Op.LE))


def _tokens(field: str, op: Op) -> Condition:
    read = whole(0, _MAX_TOKENS)
    return lambda value: Is(field, op, read(value))


def _cents(op: Op) -> Condition:
    def to_condition(value: object) -> Filter:
        nanousd = to_number(value, 0, _MAX_CENTS) * NANOUSD_A_CENT
        return Is("cost_nanousd", op, exactly(nanousd))

    return to_condition


def _grade(field: str, op: Op) -> Condition:
    return lambda value: Is(field, op, exactly(to_number(value, -10, 10)))


def _one_of(field: str) -> Condition:
    return lambda value: Is(field, Op.IN, to_names(value))


def _status(value: object) -> Filter:
    codes = [str(value)] if type(value) is int else to_names(value)
    if all(map(_STATUS.fullmatch, codes)):
        return Is("status", Op.IN, tuple(map(int, codes)))
    raise ValueError(f"must be statuses separated by commas, such as 401,403; got {shown(value)}")


def _provider_and_model(value: object) -> Filter:
    parts = []
    for name in to_names(value):
        provider, separator, model = name.partition("__")
        if not (provider and separator and model):
            raise ValueError(f"must be such as openai__gpt-4o,anthropic__claude-3; got {shown(value)}")
        parts.append(All((Is("provider", Op.EQ, provider), Is("any_model", Op.EQ, model))))
    return Any(tuple(parts))


def _metadata(value: object) -> Filter:
    wanted = parse_text(value) if isinstance(value, str) else value
    if not isinstance(wanted, dict):
        raise ValueError(f"must be an object, or a string that holds one as JSON; got {shown(value)}")
    if len(wanted) > MAX_TERMS:
        raise ValueError(f"may name {MAX_TERMS} keys; got {len(wanted):,}")
    return All(tuple(_metadata_holds(key, item) for key, item in wanted.items()))


def _metadata_holds(key: str, item: object) -> Filter:
    if item is None or isinstance(item, dict | list):
        raise ValueError(f"holds {shown(item)} under {key[:40]!r}, where only texts and numbers can be found")
    if isinstance(item, str):
        return Is(TAGS.get(key, f"property.{key}"), Op.EQ, item)
    return Is(f"property.{key}", Op.EQ, orjson.dumps(item).decode())


def _nothing(value: object) -> Filter:
    """A name for what there is not here, so that no request has it."""
    to_names(value)
    return Any()


def _everything(value: object) -> Filter:
    """A name for the whole that is seen anyway."""
    to_names(value)
    return All()


CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "time_of_generation_min": _time(Op.GE),
        "time_of_generation_max": _time(Op.LE),
        "total_units_min": _tokens("total_tokens", Op.GE),
        "total_units_max": _tokens("total_tokens", Op.LE),
        "prompt_token_min": _tokens("prompt_tokens", Op.GE),
        "prompt_token_max": _tokens("prompt_tokens", Op.LE),
        "completion_token_min": _tokens("completion_tokens", Op.GE),
        "completion_token_max": _tokens("completion_tokens", Op.LE),
        "cost_min": _cents(Op.GE),
        "cost_max": _cents(Op.LE),
        "weighted_feedback_min": _grade("weighted_feedback", Op.GE),
        "weighted_feedback_max": _grade("weighted_feedback", Op.LE),
        "status_code": _status,
        "ai_model": _one_of("any_model"),
        "ai_org_model": _provider_and_model,
        "virtual_keys": _one_of("provider"),
        "api_key_ids": _one_of("key_name"),
        "trace_id": _one_of("trace_id"),
        "span_id": _one_of("span_id"),
        "prompt_slug": _one_of("prompt"),
        "metadata": _metadata,
        "configs": _nothing,
        "workspace_slug": _everything,
    }
)
"""What each name means. Limits are inclusive; a request without a value is neither above nor below any."""

_OF_COUNTED: Mapping[str, Condition] = MappingProxyType(
    {
        **CONDITIONS,
        "weighted_feedback_min": _grade("weighted_verdict", Op.GE),
        "weighted_feedback_max": _grade("weighted_verdict", Op.LE),
    }
)
