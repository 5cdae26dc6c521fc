"""The query parameters of a search for requests: one table, read by the handler and by the documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson

from gateway.domain.exchange import Outcome
from gateway.domain.filter import All, Any, Filter, Is, Op
from gateway.errors import BadInput
from gateway.web.face import Parameter

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
METADATA = "metadata."

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Search:
    """What a caller looks for, and which slice of it."""

    where: Filter
    limit: int
    cursor: int | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """A query parameter that narrows the search, and the condition that its value stands for."""

    name: str
    description: str
    to_filter: Callable[[str], Filter]
    schema: dict[str, object] = field(default_factory=lambda: {"type": "string"})


def read_search(query: Iterable[tuple[str, str]]) -> Search:
    """Read a query string's decoded pairs.

    Raises:
        BadInput: a parameter is unknown, given twice or has a bad value; names it and what is allowed.
    """
    given = _once_each(query)
    parts = tuple(_condition(name, text) for name, text in given.items() if name not in _SLICE)
    return Search(All(parts), _limit(given.get("limit")), _cursor(given.get("cursor")))


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


def _condition(name: str, text: str) -> Filter:
    if name.startswith(METADATA) and name != METADATA:
        return _metadata(name, text)
    refuse_unknown([name], [parameter.name for parameter in SEARCH_PARAMETERS])
    criterion = next(criterion for criterion in _CRITERIA if criterion.name == name)
    try:
        return criterion.to_filter(text)
    except ValueError as error:
        raise BadInput(str(error), field=name) from None


def _metadata(name: str, text: str) -> Filter:
    """Metadata holds strings, numbers and booleans; a query string cannot tell which is meant, so all are."""
    as_text = Is(name, Op.EQ, text)
    try:
        value = orjson.loads(text)
    except ValueError:
        return as_text
    if isinstance(value, bool | int | float) and abs(value) < 2**63:
        return Any((as_text, Is(name, Op.EQ, value)))
    return as_text


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
    raise BadInput("must be the next_cursor of an earlier reply.", field="cursor")


def _equals(*fields: str) -> Callable[[str], Filter]:
    return lambda text: Any(tuple(Is(name, Op.EQ, text) for name in fields))


def _status(text: str) -> Filter:
    if re.fullmatch("[1-5][0-9]{2}", text):
        return Is("status", Op.EQ, int(text))
    if re.fullmatch("[1-5]xx", text):
        first = int(text[0]) * 100
        return All((Is("status", Op.GE, first), Is("status", Op.LT, first + 100)))
    raise ValueError("must be a status such as 200, or a class of them such as 4xx.")


def _outcome(text: str) -> Filter:
    if text not in tuple(Outcome):
        raise ValueError(f"must be one of {', '.join(Outcome)}.")
    return Is("outcome", Op.EQ, text)


def _started(op: Op) -> Callable[[str], Filter]:
    return lambda text: Is("started_at_us", op, _to_us(text))


def _to_us(text: str) -> int:
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    if _RFC_3339.fullmatch(text):
        try:
            return (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(microseconds=1)
        except (ValueError, OverflowError):
            pass
    raise ValueError(
        "must be a time as in RFC 3339 (2026-01-31T09:30:00Z; a + in it is sent as %2B), "
        "or whole microseconds since the epoch."
    )


_TIME: dict[str, object] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]
}

_CRITERIA = (
    Criterion("trace_id", "Requests of this trace.", _equals("trace_id")),
    Criterion("request_id", "The request with this id of ours or of the caller.", _equals("request_id")),
    Criterion("model", "Model that was asked for or that answered.", _equals("model", "requested_model")),
    Criterion("provider", "Name of the provider.", _equals("provider")),
    Criterion(
        "status",
        "Status that the caller got: `200`, or a class of them such as `4xx`.",
        _status,
        {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
    ),
    Criterion("outcome", "How the request ended.", _outcome, {"type": "string", "enum": [*Outcome]}),
    Criterion("user", "End user of the calling application.", _equals("user")),
    Criterion("endpoint", "Kind of call, such as `chat.completions`.", _equals("endpoint")),
    Criterion("environment", "Environment of the calling application.", _equals("environment")),
    Criterion("organisation", "Organisation of the end user.", _equals("organisation")),
    Criterion("prompt", "Name of the prompt.", _equals("prompt")),
    Criterion(
        "from", "Started at this time or later: RFC 3339, or µs since the epoch.", _started(Op.GE), _TIME
    ),
    Criterion("to", "Started before this time: RFC 3339, or µs since the epoch.", _started(Op.LT), _TIME),
)

_SLICE = ("limit", "cursor")

SEARCH_PARAMETERS = (
    *(Parameter(criterion.name, criterion.description, criterion.schema) for criterion in _CRITERIA),
    Parameter(
        f"{METADATA}KEY", "Requests whose metadata has this value under KEY; may be given for several keys."
    ),
    Parameter(
        "limit",
        "Most requests to return.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    Parameter("cursor", "`next_cursor` of the reply before this one, to go on from there."),
)
