"""Reading JSON of strangers, as much of it as fits into memory."""

from __future__ import annotations

import orjson

from gateway.domain.json_volume import MAX_VALUES, holds_too_much


def loads(text: bytes | str) -> object:
    """Return the value of a JSON text. Raises orjson.JSONDecodeError for what is none, or holds too much."""
    if holds_too_much(text if isinstance(text, bytes) else text.encode(errors="replace")):
        raise orjson.JSONDecodeError(f"more than {MAX_VALUES:,} values", "", 0)
    value: object = orjson.loads(text)
    return value
