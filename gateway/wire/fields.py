"""Reading JSON that may be anything: a field of the wrong type counts as missing."""

from __future__ import annotations

from math import isfinite
from typing import Any

import orjson

from gateway.wire.json_text import loads

JsonObject = dict[str, Any]

MAX_TEXT = 512
"""Longest model name, id or reason taken, in characters. A longer one is no such thing."""

MAX_COUNT = 10**12
"""Largest number of tokens believed. Sums and costs of such counts still fit a database's integer."""


def parse_object(data: bytes) -> JsonObject | None:
    """Return the JSON object that `data` holds, or None if it holds anything else."""
    try:
        value = loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def text_in(source: JsonObject, key: str) -> str | None:
    """Return a string field that is neither empty nor absurdly long."""
    value = source.get(key)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def count_in(source: JsonObject, key: str) -> int | None:
    """Return a field that is a number of things: not negative, not absurdly large, rounded if it is a fraction."""
    value = source.get(key)
    if type(value) is float and isfinite(value):
        # Some gateways compute counts, of images for instance, and send 258.0 or 258.5.
        value = round(value)
    return value if type(value) is int and 0 <= value <= MAX_COUNT else None


def amount_in(source: JsonObject, key: str) -> float | None:
    """Return a field that is an amount of something that comes in fractions, such as seconds."""
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def first_count(*candidates: tuple[JsonObject, str]) -> int | None:
    """Return the first of these fields that is a count."""
    for source, key in candidates:
        if (count := count_in(source, key)) is not None:
            return count
    return None


def first_positive(*candidates: tuple[JsonObject, str]) -> int | None:
    """Return the first of these fields that counts anything; 0 where one is there and none does."""
    counts = [count for source, key in candidates if (count := count_in(source, key)) is not None]
    return next((count for count in counts if count), counts[0] if counts else None)


def object_in(source: JsonObject, key: str) -> JsonObject:
    """Return a field that is an object; an empty one if it is not."""
    value = source.get(key)
    return value if isinstance(value, dict) else {}


def objects_in(source: JsonObject, key: str) -> list[JsonObject]:
    """Return those members of a list field that are objects."""
    value = source.get(key)
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


def index_in(source: JsonObject, key: str = "index") -> int:
    """Return a position within a list; the first one if the field does not say."""
    return count_in(source, key) or 0
