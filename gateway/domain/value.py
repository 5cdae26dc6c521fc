"""Values: dataclasses that nobody may change, which the type checker sees to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass for what is made with every request.

    Python's own frozen dataclasses take three times as long to make, as each field is set by a call.
    """

    def make(cls: type[T]) -> type[T]:
        return dataclass(slots=True, kw_only=kw_only)(cls)

    return make
