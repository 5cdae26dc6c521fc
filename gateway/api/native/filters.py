"""Query parameters of lists: filters, limit and cursor, declared and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.errors import BadInput
from gateway.models.clock import RELATIVE_TIME_PATTERN
from gateway.models.filters import Filter
from gateway.models.trace import GroupCursor
from gateway.query.filters import (
    AUDIT_FILTERS,
    FEEDBACK_FILTERS,
    METADATA_PREFIX,
    METRICS_FILTERS,
    REQUEST_FILTERS,
    FilterField,
    FilterSchema,
    ValueType,
)
from gateway.web.endpoint import Parameter, refuse_unknown_params, unique_params

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

_SCHEMAS: Mapping[ValueType, dict[str, object]] = {
    ValueType.TEXT: {"type": "string"},
    ValueType.NUMBER: {"type": "number"},
    ValueType.FLAG: {"type": "boolean"},
    ValueType.WHOLE_NUMBER: {"type": "integer", "minimum": 0},
    ValueType.STATUS: {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
    ValueType.TIME: {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
            {"type": "string", "pattern": RELATIVE_TIME_PATTERN},
            {"type": "integer", "minimum": 10**14},
        ]
    },
}


def filter_parameters(searchable: FilterSchema) -> tuple[Parameter, ...]:
    """Return a parameter for each criterion, and one for each kind of metadata."""
    return (
        *(
            Parameter(name, criterion.description, _value_schema(criterion))
            for name, criterion in searchable.criteria.items()
        ),
        *(_metadata_parameter(searchable, prefix) for prefix in searchable.prefixes),
    )


def slice_parameters(
    found: str, default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT
) -> tuple[Parameter, ...]:
    """Return the parameters that say which of the results are meant."""
    return (
        Parameter(
            "limit",
            f"Most {found} to return.",
            {"type": "integer", "minimum": 1, "maximum": most, "default": default},
        ),
        Parameter("cursor", "`next_cursor` of the reply before this one, to go on from there."),
    )


def _value_schema(criterion: FilterField) -> dict[str, object]:
    if criterion.choices:
        return {"type": "string", "enum": [*criterion.choices]}
    return _SCHEMAS[criterion.value_type]


def _metadata_parameter(searchable: FilterSchema, prefix: str) -> Parameter:
    whose = "the request" if prefix == METADATA_PREFIX else "the feedback"
    return Parameter(
        f"{prefix}KEY",
        f"{searchable.found.capitalize()} where the metadata of {whose} has this value under KEY; may be given for "
        "several keys.",
    )


FORMAT_PARAMETER = Parameter(
    "format", "`csv`, as does `Accept: text/csv`.", {"type": "string", "enum": ["json", "csv"]}
)
CSV_FORMAT_PARAMETER = Parameter(
    "format",
    "`csv`, as does `Accept: text/csv`: all that is found, row by row, where no `limit` is given.",
    {"type": "string", "enum": ["json", "csv"]},
)

TEXTS_PARAMETER = Parameter(
    "texts",
    "`true`: with `question`, `answer` and `no_answer` of the request that each entry counts for.",
    {"type": "boolean", "default": False},
)

REQUEST_PARAMETERS = filter_parameters(REQUEST_FILTERS)
METRICS_PARAMETERS = filter_parameters(METRICS_FILTERS)
SEARCH_PARAMETERS = (*REQUEST_PARAMETERS, *slice_parameters("requests"), CSV_FORMAT_PARAMETER)
TRACE_PARAMETERS = (*REQUEST_PARAMETERS, *slice_parameters("traces"))
SESSION_PARAMETERS = (*REQUEST_PARAMETERS, *slice_parameters("sessions"))
FEEDBACK_PARAMETERS = (
    *filter_parameters(FEEDBACK_FILTERS),
    *slice_parameters("entries"),
    TEXTS_PARAMETER,
    CSV_FORMAT_PARAMETER,
)
AUDIT_PARAMETERS = (*filter_parameters(AUDIT_FILTERS), *slice_parameters("entries"))


def read_boolean(given: Mapping[str, str], parameter: Parameter) -> bool:
    """Tell whether a parameter is `true`; left out it is `false`. Raises BadInput for another value."""
    text = given.get(parameter.name, "false")
    if text not in ("true", "false"):
        raise BadInput("must be true or false.", field=parameter.name)
    return text == "true"


Cursor = TypeVar("Cursor")


@dataclass(frozen=True, slots=True)
class ListQuery(Generic[Cursor]):
    """What a caller looks for, and which slice of it.

    Args:
        after: what comes before the slice; None where that is nothing.
    """

    where: Filter
    limit: int
    after: Cursor | None


Query = Iterable[tuple[str, str]]
"""A query string's decoded pairs."""


def read_request_query(query: Query) -> ListQuery[int]:
    """Read what is looked for among requests; the slice comes after a `seq`.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    return _read_list_query(query, REQUEST_FILTERS, SEARCH_PARAMETERS, read_offset)


def read_group_query(query: Query) -> ListQuery[GroupCursor]:
    """Read what is looked for among traces or sessions. Raises BadInput as `read_search` does."""
    return _read_list_query(query, REQUEST_FILTERS, TRACE_PARAMETERS, _read_group_cursor)


def read_feedback_query(query: Query) -> ListQuery[tuple[int, str]]:
    """Read what is looked for among feedback; the slice comes after the entry that was created then, in µs since
    the epoch, and has this id. Raises BadInput as `read_search` does."""
    return _read_list_query(query, FEEDBACK_FILTERS, FEEDBACK_PARAMETERS, _read_entry_cursor)


def read_audit_query(query: Query) -> ListQuery[tuple[int, str]]:
    """Read what is looked for in the audit log; the slice comes after the entry that was begun then, in µs since
    the epoch, and has this id. Raises BadInput as `read_search` does."""
    return _read_list_query(query, AUDIT_FILTERS, AUDIT_PARAMETERS, _read_entry_cursor)


def _read_list_query(
    query: Query,
    searchable: FilterSchema,
    parameters: Iterable[Parameter],
    read_mark: Callable[[Mapping[str, str]], Cursor | None],
) -> ListQuery[Cursor]:
    given = unique_params(query)
    where = parameters_to_filter(given, searchable, parameters)
    return ListQuery(where, read_limit(given), read_mark(given))


def parameters_to_filter(
    given: Mapping[str, str],
    searchable: FilterSchema,
    parameters: Iterable[Parameter],
    others: Collection[str] = (),
) -> Filter:
    """Return what those parameters mean that are criteria, and not among the `others`.

    Raises:
        BadInput: a parameter is not among `parameters`, or its value is none for it.
    """
    refuse_unknown_params(
        [name for name in given if searchable.prefix_of(name) is None],
        [parameter.name for parameter in parameters],
    )
    return searchable.to_filter(
        (name, text)
        for name, text in given.items()
        if name not in others and (name in searchable.criteria or searchable.prefix_of(name) is not None)
    )


def read_limit(given: Mapping[str, str], default: int = DEFAULT_LIMIT, most: int = MAX_LIMIT) -> int:
    """Return how many results are asked for. Raises BadInput for a number that is none."""
    text = given.get("limit")
    if text is None:
        return default
    if re.fullmatch("[0-9]{1,18}", text) and 1 <= int(text) <= most:
        return int(text)
    raise BadInput(f"must be a whole number from 1 to {most}.", field="limit")


def read_offset(given: Mapping[str, str]) -> int | None:
    """Return the number that a cursor is, None without one. Raises BadInput for a cursor that is none."""
    found = _match_cursor("([0-9]{1,18})", given)
    return int(found[1]) if found else None


def _read_group_cursor(given: Mapping[str, str]) -> GroupCursor | None:
    found = _match_cursor(r"([0-9]{1,18})\.([0-9]{1,18})", given)
    return GroupCursor(int(found[1]), int(found[2])) if found else None


def read_feedback_cursor(cursor: str | None) -> tuple[int, str] | None:
    """Return the time and the id that a cursor of feedback is, None without one. Raises BadInput for one that is
    none."""
    return _read_entry_cursor({} if cursor is None else {"cursor": cursor})


def _read_entry_cursor(given: Mapping[str, str]) -> tuple[int, str] | None:
    found = _match_cursor(r"([0-9]{1,18})\.([0-9a-f-]{36})", given)
    return (int(found[1]), found[2]) if found else None


def _match_cursor(pattern: str, given: Mapping[str, str]) -> re.Match[str] | None:
    """The parts of a cursor, None without one."""
    text = given.get("cursor")
    if text is None:
        return None
    if found := re.fullmatch(pattern, text):
        return found
    raise BadInput("must be the next_cursor of an earlier reply.", field="cursor")
