"""What the formats share: reading fields of a request body, and writing events of a stream."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from gateway.errors import BadInput

Body = Mapping[str, object]

STREAM_END = b"data: [DONE]\n\n"
"""Last event of OpenAI's chat and text completions."""


def encode_event(data: Body, name: str | None = None) -> bytes:
    """Return one server-sent event (WHATWG HTML, section 9.2) with `data` as JSON."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def make_id(prefix: str) -> str:
    """Return an id that was never given before, such as `msg_` and 24 hex digits."""
    return prefix + secrets.token_hex(12)


def read_text(body: Body, field: str) -> str:
    """Return a field that must be a non-empty string. Raises BadInput."""
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise BadInput("a non-empty string is required.", field=field)
    return value


def read_list(body: Body, field: str) -> list[object]:
    """Return a field that must be a non-empty array. Raises BadInput."""
    value = body.get(field)
    if not isinstance(value, list) or not value:
        raise BadInput("a non-empty array is required.", field=field)
    return value


def read_table(body: Body, field: str) -> Body:
    """Return a field that must be an object; an empty one where it is missing or null. Raises BadInput."""
    value = body.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadInput("an object is required.", field=field)
    return value


def read_tables(body: Body, field: str) -> list[Body]:
    """Return a field that must be an array of objects; empty where it is missing or null. Raises BadInput."""
    value = body.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadInput("an array of objects is required.", field=field)
    return value


def read_count(body: Body, field: str, default: int, most: int) -> int:
    """Return a field that must be an integer from 1 to `most`, or `default` where it is missing or null.

    Raises:
        BadInput: it is something else.
    """
    value = body.get(field)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadInput(f"an integer from 1 to {most} is required.", field=field)
    return value
