"""The query parameters of a search for requests or feedback: a table each, for handlers and documentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.domain.exchange import Outcome
from gateway.domain.feedback import Kind, Source
from gateway.domain.filter import All, Filter
from gateway.errors import BadInput
from gateway.query.search import CRITERIA, FEEDBACK_CRITERIA, METADATA, Criterion, to_condition
from gateway.web.face import Parameter

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


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
    given = _once_each(query)
    where = _conditions(given, CRITERIA, SEARCH_PARAMETERS)
    return Search(where, _limit(given.get("limit")), _cursor(given.get("cursor")))


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
    given = _once_each(query)
    where = _conditions(given, FEEDBACK_CRITERIA, FEEDBACK_PARAMETERS)
    return FeedbackSearch(where, _limit(given.get("limit")), _place(given.get("cursor")))


def refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadInput for a query parameter that is not among `known`."""
    allowed = tuple(known)
    for name in names:
        if name not in allowed:
            hint = f"Allowed: {', '.join(allowed)}." if allowed else "None is taken here."
            raise BadInput("is not a query parameter here.", field=name, hint=hint)


def _once_each(query: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    given: dict[str, str] = {}
    for name, text in query:
        if name in given:
            raise BadInput("is given twice; give it once.", field=name)
        if not text:
            raise BadInput("has no value; leave it out or give it one.", field=name)
        given[name] = text
    return given


def _conditions(
    given: Mapping[str, str], criteria: Mapping[str, Criterion], parameters: Iterable[Parameter]
) -> Filter:
    names = [name for name in given if not name.startswith(METADATA) or name == METADATA]
    refuse_unknown(names, [parameter.name for parameter in parameters])
    return All(
        tuple(to_condition(name, text, criteria) for name, text in given.items() if name not in _SLICE)
    )


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if re.fullmatch("[0-9]{1,18}", text) and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise BadInput(f"must be a whole number from 1 to {MAX_LIMIT}.", field="limit")


def _cursor(text: str | None) -> int | None:
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    raise _bad_cursor()


def _place(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    if found := re.fullmatch(r"([0-9]{1,18})\.([0-9a-f-]{36})", text):
        return int(found[1]), found[2]
    raise _bad_cursor()


def _bad_cursor() -> BadInput:
    return BadInput("must be the next_cursor of an earlier reply.", field="cursor")


_TEXT: dict[str, object] = {"type": "string"}
_TIME: dict[str, object] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]
}
_SCHEMAS: Mapping[str, dict[str, object]] = {
    "status": {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
    "outcome": {"type": "string", "enum": [*Outcome]},
    "from": _TIME,
    "to": _TIME,
}
_FEEDBACK_SCHEMAS: Mapping[str, dict[str, object]] = {
    "kind": {"type": "string", "enum": [*Kind]},
    "source": {"type": "string", "enum": [*Source]},
    "is_joined": {"type": "boolean"},
    "min_score": {"type": "number"},
    "max_score": {"type": "number"},
    "from": _TIME,
    "to": _TIME,
}

_SLICE = ("limit", "cursor")


def _parameters(
    found: str, criteria: Mapping[str, Criterion], schemas: Mapping[str, dict[str, object]]
) -> tuple[Parameter, ...]:
    return (
        *(
            Parameter(name, criterion.description, schemas.get(name, _TEXT))
            for name, criterion in criteria.items()
        ),
        Parameter(
            f"{METADATA}KEY",
            f"{found.capitalize()} whose metadata has this value under KEY; may be given for several keys.",
        ),
        Parameter(
            "limit",
            f"Most {found} to return.",
            {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        ),
        Parameter("cursor", "`next_cursor` of the reply before this one, to go on from there."),
    )


SEARCH_PARAMETERS = _parameters("requests", CRITERIA, _SCHEMAS)
FEEDBACK_PARAMETERS = _parameters("entries", FEEDBACK_CRITERIA, _FEEDBACK_SCHEMAS)
