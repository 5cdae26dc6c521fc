"""Text and JSON that every database takes: no NUL, no halves of surrogate pairs, no numbers that JSON
lacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import orjson

MAX_INTEGER = 2**63 - 1
"""Largest integer a column holds."""

_MAX_DEPTH = 100


def storable(text: str) -> str:
    """Return `text` with NUL as U+FFFD and lone surrogates spelled out; any other text unchanged."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def storable_or_none(text: str | None) -> str | None:
    """`storable` for a value that may be missing."""
    return None if text is None else storable(text)


def to_json(value: Mapping[str, object]) -> str:
    """Return an object as compact JSON text, with what JSON or a database cannot hold replaced by the nearest
    thing that it can."""
    if not value:
        return "{}"
    try:
        encoded = orjson.dumps(value)
    except TypeError:
        encoded = orjson.dumps(_plain(value, _MAX_DEPTH))
    if b"\\u0000" in encoded:
        encoded = orjson.dumps(_plain(value, _MAX_DEPTH))
    return encoded.decode()


def from_json(text: str) -> dict[str, object]:
    """Return the object that `to_json` wrote."""
    value: dict[str, object] = orjson.loads(text)
    return value


def numbers_to_json(numbers: Sequence[int]) -> str:
    """Return whole numbers as JSON text, to be bound where a statement takes a list."""
    return orjson.dumps(list(numbers)).decode()


def list_to_json(texts: Sequence[str]) -> str:
    """Return a list of texts as compact JSON."""
    return orjson.dumps([storable(text) for text in texts]).decode()


def list_from_json(text: str) -> list[str]:
    """Return the list that `list_to_json` wrote."""
    value: list[str] = orjson.loads(text)
    return value


def _plain(value: object, depth: int) -> object:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == 0:
        return storable(str(type(value).__name__))
    if isinstance(value, Mapping):
        return {storable(str(key)): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    return storable(str(value))
