"""Query parameters of lists: filters of one kind of record, limit, cursor and format."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, PlainValidator

from gateway.models.clock import RELATIVE_TIME_PATTERN
from gateway.models.filters import Filter
from gateway.models.trace import GroupCursor
from gateway.query.filters import METADATA_PREFIX, FilterField, FilterSchema, ValueType
from gateway.web.query_params import DIGITS, Parameter, QueryParams, parsed_by

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

TIME_SCHEMA: dict[str, object] = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": RELATIVE_TIME_PATTERN},
        {"type": "integer", "minimum": 10**14},
    ]
}
_SCHEMAS: Mapping[ValueType, dict[str, object]] = {
    ValueType.TEXT: {"type": "string"},
    ValueType.NUMBER: {"type": "number"},
    ValueType.FLAG: {"type": "boolean"},
    ValueType.WHOLE_NUMBER: {"type": "integer", "minimum": 0},
    ValueType.STATUS: {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
    ValueType.TIME: TIME_SCHEMA,
}


class FilterParams(QueryParams):
    """Filters of one kind of record beside the parameters that are fields."""

    # The filters are declared in `gateway.query`, so their values arrive as extra fields.
    model_config = ConfigDict(extra="allow")
    filters: ClassVar[FilterSchema]

    @classmethod
    def takes(cls, name: str) -> bool:
        return super().takes(name) or cls.filters.prefix_of(name) is not None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        own = super().names()
        keys = (f"{prefix}KEY" for prefix in cls.filters.prefixes)
        return (*own, *(name for name in cls.filters.criteria if name not in own), *keys)

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        own = super().parameters()
        names = {parameter.name for parameter in own}
        return (
            *own,
            *(
                Parameter(name, field.description, _value_schema(field))
                for name, field in cls.filters.criteria.items()
                if name not in names
            ),
            *(_metadata_parameter(cls.filters, prefix) for prefix in cls.filters.prefixes),
        )

    def where(self) -> Filter:
        """Return the condition that all filters together mean. Raises BadInput for a bad value; names it."""
        return self.filters.to_filter((self.model_extra or {}).items())


class OneRequestParams(QueryParams):
    """What tells apart requests that share an id."""

    trace_id: str | None = Field(
        None, description="The trace of the request, where several requests share its id."
    )
    row: Annotated[int | None, Field(ge=1, le=10**18), DIGITS] = Field(
        None, description="`row` of a candidate of the error 409; with another id it does not count."
    )


def _value_schema(field: FilterField) -> dict[str, object]:
    return {"type": "string", "enum": [*field.choices]} if field.choices else _SCHEMAS[field.value_type]


def _metadata_parameter(filters: FilterSchema, prefix: str) -> Parameter:
    whose = "the request" if prefix == METADATA_PREFIX else "the feedback"
    return Parameter(
        f"{prefix}KEY",
        f"{filters.found.capitalize()} where the metadata of {whose} has this value under KEY; may be given for "
        "several keys.",
    )


def _parse_cursor(pattern: str, convert: Callable[..., Any], text: object) -> Any:
    if found := re.fullmatch(pattern, str(text)):
        return convert(*found.groups())
    raise ValueError("must be the next_cursor of an earlier reply")


def _cursor(pattern: str, convert: Callable[..., Any]) -> PlainValidator:
    return parsed_by(partial(_parse_cursor, pattern, convert), type="string")


Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Most items to return."), DIGITS]
Format = Annotated[Literal["json", "csv"] | None, Field(description="`csv`, as does `Accept: text/csv`.")]
_Cursor = Field(description="`next_cursor` of the previous reply, to continue from there.")
NumberCursor = Annotated[int | None, _cursor("([0-9]{1,18})", int), _Cursor]
_group_cursor = _cursor(r"([0-9]{1,18})\.([0-9]{1,18})", lambda top, seq: GroupCursor(int(top), int(seq)))
GroupListCursor = Annotated[GroupCursor | None, _group_cursor, _Cursor]
_review_cursor = _cursor(r"([0-9]{1,18})\.([0-9]{1,18})", lambda time_us, seq: (int(time_us), int(seq)))
ReviewListCursor = Annotated[tuple[int, int] | None, _review_cursor, _Cursor]
_turn_cursor = _cursor(r"([0-9]{1,18})\.([0-9]{1,18})", lambda time_us, seq: (int(time_us), int(seq)))
TurnListCursor = Annotated[tuple[int, int] | None, _turn_cursor, _Cursor]
# Time of creation in microseconds since the epoch, and id, of the last entry that was returned.
_time_cursor = _cursor(r"([0-9]{1,18})\.([0-9a-f-]{36})", lambda time_us, each_id: (int(time_us), each_id))
TimeCursor = Annotated[tuple[int, str] | None, _time_cursor, _Cursor]
