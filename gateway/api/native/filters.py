"""Reading the query string of a search for requests, groups of them, or feedback."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.api.native.parameters import DEFAULT_LIMIT, FEEDBACK_PARAMETERS, MAX_LIMIT, SEARCH_PARAMETERS
from gateway.domain.filter import All, Filter
from gateway.domain.group import Place
from gateway.errors import BadInput
from gateway.query.search import CRITERIA, FEEDBACK_CRITERIA, METADATA, Criterion, to_condition
from gateway.web.face import Parameter
from gateway.web.query_string import once_each, refuse_unknown


@dataclass(frozen=True, slots=True)
class Search:
    """What a caller looks for, and which slice of it."""

    where: Filter
    limit: int
    cursor: int | None


def read_search(query: Iterable[tuple[str, str]]) -> Search:
    """Read a query string's decoded pairs.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = once_each(query)
    where = conditions(given, CRITERIA, SEARCH_PARAMETERS)
    return Search(where, read_limit(given), read_position(given))


@dataclass(frozen=True, slots=True)
class GroupSearch:
    """What a caller looks for among traces or sessions, and which slice of it.

    Args:
        after: the place of the group before the slice.
    """

    where: Filter
    limit: int
    after: Place | None


def read_group_search(query: Iterable[tuple[str, str]]) -> GroupSearch:
    """Read a query string's decoded pairs.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = once_each(query)
    where = conditions(given, CRITERIA, SEARCH_PARAMETERS)
    return GroupSearch(where, read_limit(given), _walk_place(given.get("cursor")))


@dataclass(frozen=True, slots=True)
class FeedbackSearch:
    """What a caller looks for among feedback, and which slice of it.

    Args:
        after: creation in microseconds since the epoch, and id, of the entry before the slice.
    """

    where: Filter
    limit: int
    after: tuple[int, str] | None


def read_feedback_search(query: Iterable[tuple[str, str]]) -> FeedbackSearch:
    """Read a query string's decoded pairs.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = once_each(query)
    where = conditions(given, FEEDBACK_CRITERIA, FEEDBACK_PARAMETERS)
    return FeedbackSearch(where, read_limit(given), _place(given.get("cursor")))


def conditions(
    given: Mapping[str, str], criteria: Mapping[str, Criterion], parameters: Iterable[Parameter]
) -> Filter:
    """Return what those parameters mean that are criteria.

    Raises:
        BadInput: a parameter is not among `parameters`, or its value is none for it.
    """
    names = [name for name in given if not name.startswith(METADATA) or name == METADATA]
    refuse_unknown(names, [parameter.name for parameter in parameters])
    return All(
        tuple(
            to_condition(name, text, criteria)
            for name, text in given.items()
            if name in criteria or name.startswith(METADATA)
        )
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
    text = given.get("cursor")
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    raise _bad_cursor()


def _walk_place(text: str | None) -> Place | None:
    if text is None:
        return None
    if found := re.fullmatch(r"([0-9]{1,18})\.([0-9]{1,18})", text):
        return Place(int(found[1]), int(found[2]))
    raise _bad_cursor()


def _place(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    if found := re.fullmatch(r"([0-9]{1,18})\.([0-9a-f-]{36})", text):
        return int(found[1]), found[2]
    raise _bad_cursor()


def _bad_cursor() -> BadInput:
    return BadInput("must be the next_cursor of an earlier reply.", field="cursor")
