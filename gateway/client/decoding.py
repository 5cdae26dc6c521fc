"""From the JSON of a reply to the dataclasses of `models.py`, told by their type hints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from gateway.client.errors import UnexpectedReply

T = TypeVar("T")


def decode(model: type[T], data: object) -> T:
    """Return the model that a JSON object describes; keys that it does not know are left out.

    Raises:
        UnexpectedReply: a field is missing or has another type than it should.
    """
    if not isinstance(data, dict):
        raise UnexpectedReply(f"the reply should hold a {model.__name__}, and does not")
    hints = _hints(model)  # type: ignore[arg-type]  # mypy takes type[T] for unhashable
    try:
        return model(**{name: _value(hint, data[name]) for name, hint in hints.items() if name in data})
    except (TypeError, ValueError) as error:
        raise UnexpectedReply(f"the reply holds no proper {model.__name__}: {error}") from error


@cache
def _hints(model: type[Any]) -> Mapping[str, Any]:
    return get_type_hints(model)


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, UnionType):
        return None if value is None else _value(get_args(hint)[0], value)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value)
    return value
