"""Reading the query string of a search for requests, groups of them, or feedback."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.api.native.parameters import (
    AUDIT_PARAMETERS,
    DEFAULT_LIMIT,
    FEEDBACK_PARAMETERS,
    MAX_LIMIT,
    SEARCH_PARAMETERS,
    TRACE_PARAMETERS,
)
from gateway.domain.filter import Filter
from gateway.domain.group import Place
from gateway.errors import BadInput
from gateway.query.search import AUDIT, FEEDBACK, REQUESTS, Searchable
from gateway.web.face import Parameter
from gateway.web.query_string import once_each, refuse_unknown

Mark = TypeVar("Mark")


@dataclass(frozen=True, slots=True)
class Search(Generic[Mark]):
    """What a caller looks for, and which slice of it.

    Args:
        after: what comes before the slice; None where that is nothing.
    """

    where: Filter
    limit: int
    after: Mark | None


Query = Iterable[tuple[str, str]]
"""A query string's decoded pairs."""


def read_search(query: Query) -> Search[int]:
    """Read what is looked for among requests; the slice comes after a `seq`.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    return _read(query, REQUESTS, SEARCH_PARAMETERS, read_position)


def read_group_search(query: Query) -> Search[Place]:
    """Read what is looked for among traces or sessions. Raises BadInput as `read_search` does."""
    return _read(query, REQUESTS, TRACE_PARAMETERS, _read_place)


def read_feedback_search(query: Query) -> Search[tuple[int, str]]:
    """Read what is looked for among feedback; the slice comes after the entry that was created then, in µs since
    the epoch, and has this id. Raises BadInput as `read_search` does."""
    return _read(query, FEEDBACK, FEEDBACK_PARAMETERS, _read_entry)


def read_audit_search(query: Query) -> Search[tuple[int, str]]:
    """Read what is looked for in the audit log; the slice comes after the entry that was begun then, in µs since
    the epoch, and has this id. Raises BadInput as `read_search` does."""
    return _read(query, AUDIT, AUDIT_PARAMETERS, _read_entry)


def _read(
    query: Query,
    searchable: Searchable,
    parameters: Iterable[Parameter],
    read_mark: Callable[[Mapping[str, str]], Mark | None],
) -> Search[Mark]:
    given = once_each(query)
    where = conditions(given, searchable, parameters)
    return Search(where, read_limit(given), read_mark(given))


def conditions(
    given: Mapping[str, str],
    searchable: Searchable,
    parameters: Iterable[Parameter],
    others: Collection[str] = (),
) -> Filter:
    """Return what those parameters mean that are criteria, and not among the `others`.

    Raises:
        BadInput: a parameter is not among `parameters`, or its value is none for it.
    """
    refuse_unknown(
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


def read_position(given: Mapping[str, str]) -> int | None:
    """Return the number that a cursor is, None without one. Raises BadInput for a cursor that is none."""
    found = _matched("([0-9]{1,18})", given)
    return int(found[1]) if found else None


def _read_place(given: Mapping[str, str]) -> Place | None:
    found = _matched(r"([0-9]{1,18})\.([0-9]{1,18})", given)
    return Place(int(found[1]), int(found[2])) if found else None


def read_mark(cursor: str | None) -> tuple[int, str] | None:
    """Return the time and the id that a cursor of feedback is, None without one. Raises BadInput for one that is
    none."""
    return _read_entry({} if cursor is None else {"cursor": cursor})


def _read_entry(given: Mapping[str, str]) -> tuple[int, str] | None:
    found = _matched(r"([0-9]{1,18})\.([0-9a-f-]{36})", given)
    return (int(found[1]), found[2]) if found else None


def _matched(pattern: str, given: Mapping[str, str]) -> re.Match[str] | None:
    """The parts of a cursor, None without one."""
    text = given.get("cursor")
    if text is None:
        return None
    if found := re.fullmatch(pattern, text):
        return found
    raise BadInput("must be the next_cursor of an earlier reply.", field="cursor")
