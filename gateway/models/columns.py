"""Declaration of stored fields, from which table columns, filters, API models and telemetry are derived."""

from dataclasses import dataclass, fields, replace
from enum import Flag, StrEnum, auto
from types import UnionType
from typing import Any, get_args, get_type_hints


class Origin(StrEnum):
    """Source of a field's value."""

    GATEWAY = "gateway"
    EXCHANGE = "exchange"
    # Under the field's name with a `_` before it.
    METADATA = "metadata"
    FACT = "fact"


class Use(Flag):
    """Uses of a column besides being stored and shown."""

    NONE = 0
    FILTER = auto()
    GROUP = auto()
    # Cleared in rows that stay when a person is erased.
    PERSONAL = auto()
    # Not returned by the native API.
    HIDDEN = auto()


FILTER, GROUP, PERSONAL, HIDDEN = Use.FILTER, Use.GROUP, Use.PERSONAL, Use.HIDDEN


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a record, given as `Annotated[type, Column(...)]`."""

    origin: Origin
    # Of the field in OpenAPI, of its filter, and of its column in `docs/reference/columns.md`.
    description: str
    uses: Use = Use.NONE
    # OpenTelemetry attributes of a request's span that have the value.
    attributes: tuple[str, ...] = ()
    # Attribute of the exchange or the facts that holds the value; empty for these themselves.
    part: str = ""
    # Set by `columns_of`, as are the rest.
    name: str = ""
    hint: Any = None
    # Without None.
    value_type: Any = None

    @property
    def path(self) -> str:
        """Attribute path of the value in an exchange or in facts."""
        return f"{self.part}.{self.name}" if self.part else self.name

    @property
    def is_optional(self) -> bool:
        return isinstance(self.hint, UnionType)

    def is_a(self, *types: type) -> bool:
        return isinstance(self.value_type, type) and issubclass(self.value_type, types)


def columns_of(record_type: type) -> tuple[Column, ...]:
    """Return the columns of a dataclass whose fields are all annotated with one."""
    hints = get_type_hints(record_type, include_extras=True)
    return tuple(_read_column(item.name, hints[item.name]) for item in fields(record_type))


def _read_column(name: str, annotated: Any) -> Column:
    hint: Any
    column: Column
    hint, column = get_args(annotated)
    value_type = get_args(hint)[0] if isinstance(hint, UnionType) else hint
    return replace(column, name=name, hint=hint, value_type=value_type)
