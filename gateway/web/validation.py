"""Checking what callers send: pydantic's findings and the idempotency key, as errors that name the field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.domain.ids import MAX_ID_BYTES, is_valid_id
from gateway.errors import BadInput

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_IDEMPOTENCY_KEY = 255
"""Longest idempotency key taken, in characters."""

MAX_SHOWN = 40
"""How much of a wrong value is shown, in characters."""


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], body: object, at: str = "") -> Model:
    """Return a body, or the entry at a path in one, as a model. Raises BadInput that names the field to blame."""
    if not isinstance(body, dict):
        raise BadInput(f"must be an object; got {shown(body)}.", field=at or "body")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise explain(error, at) from None


def explain(error: ValidationError, at: str = "") -> BadInput:
    """Return the first thing that is wrong, with the path of its field.

    Args:
        at: path of what was validated inside the body, put before the field's (`[3]`).
    """
    first = error.errors(include_url=False)[0]
    path = field_path(first["loc"], at)
    return BadInput(f"{_complaint(first)}.", field=path or "body")


def field_path(steps: Sequence[int | str], at: str = "") -> str:
    """Return the path of a field the way it is shown to callers: `[3].metadata.plan`."""
    path = at
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            name = step if len(step) <= MAX_SHOWN else f"{step[:MAX_SHOWN]}…"
            path += f".{name}" if path else name
    return path


def shown(value: object) -> str:
    """Return a JSON value as an error message may show it: short, on one line, its type plain to see."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = json.dumps(value, default=str)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def parse_id(value: object) -> str:
    """Return a trace, request or span id. Raises ValueError for what cannot be one."""
    if isinstance(value, str) and is_valid_id(value):
        return value
    raise ValueError(f"must be a printable string of 1 to {MAX_ID_BYTES} bytes; got {shown(value)}")


def read_idempotency_key(headers: Mapping[str, str]) -> str | None:
    """Return the caller's idempotency key, None if there is none.

    Source: draft-ietf-httpapi-idempotency-key-header, whose quotes around the key are not asked for here.

    Raises:
        BadInput: it is empty, longer than 255 characters, or not printable.
    """
    key = headers.get(IDEMPOTENCY_KEY)
    if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY and key.isprintable()):
        raise BadInput(f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable characters.", field=IDEMPOTENCY_KEY)
    return key


def _complaint(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "is missing"
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"must be an object; got {shown(error['input'])}"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{error['msg'][0].lower()}{error['msg'][1:]}; got {shown(error['input'])}"
