"""Declaration of stored fields, from which table columns, filters, API models and telemetry are derived."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_type_hints


class Origin(StrEnum):
    """Where the value of a field comes from."""

    GATEWAY = "gateway"
    EXCHANGE = "exchange"
    METADATA = "metadata"
    FACT = "fact"


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a record, given in the record's class as `Annotated[type, Column(...)]`.

    Args:
        origin: `GATEWAY`: made here or given through an API; `EXCHANGE`: seen on the connection; `METADATA`: sent
            under the field's name with a `_` before it; `FACT`: read from the bodies.
        description: of the field in OpenAPI, of its filter, and of its column in `docs/storage.md`.
        part: attribute of the exchange or the facts that holds the value; empty for these themselves.
        is_personal: whether erasing a person clears the column in rows that stay.
        is_filterable: whether the native API and commands search by it.
        is_groupable: whether the native API splits metrics by it.
        is_shown: whether the native API returns it.
        attributes: OpenTelemetry attributes of a request's span that have the value.
        name: set by `columns_of`, as are the rest.
        value_type: without None.
    """

    description: str
    origin: Origin = Origin.GATEWAY
    part: str = ""
    is_personal: bool = False
    is_filterable: bool = False
    is_groupable: bool = False
    is_shown: bool = True
    attributes: tuple[str, ...] = ()
    name: str = ""
    hint: Any = None
    value_type: Any = None

    @property
    def path(self) -> str:
        """Attribute path of the value in an exchange or in facts."""
        return f"{self.part}.{self.name}" if self.part else self.name

    @property
    def is_optional(self) -> bool:
        """Whether the value may be None."""
        return isinstance(self.hint, UnionType)

    def is_a(self, *types: type) -> bool:
        """Tell whether values that are not None have one of these types."""
        return isinstance(self.value_type, type) and issubclass(self.value_type, types)


def columns_of(record_type: type) -> tuple[Column, ...]:
    """Return the columns of a dataclass in the order of its fields, which must all be annotated with one."""
    hints = get_type_hints(record_type, include_extras=True)
    return tuple(_read_column(item.name, hints[item.name]) for item in fields(record_type))


def _read_column(name: str, annotated: Any) -> Column:
    hint: Any
    column: Column
    hint, column = get_args(annotated)
    value_type = get_args(hint)[0] if isinstance(hint, UnionType) else hint
    return replace(column, name=name, hint=hint, value_type=value_type)
