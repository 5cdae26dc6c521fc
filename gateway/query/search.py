"""By what requests and feedback can be searched: each criterion's name, and the condition that a text given for
it means.

One table each for all who search: the native API's query string, its documentation, and the command line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import orjson

from gateway.domain.audit import Via
from gateway.domain.clock import us_of
from gateway.domain.exchange import Outcome
from gateway.domain.feedback import Kind, Source
from gateway.domain.filter import All, Any, Filter, Is, Op
from gateway.errors import BadInput

METADATA = "metadata."
"""Begins the name of a criterion on a key of the metadata."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that narrows a search.

    Args:
        to_filter: the condition that a text stands for; raises ValueError for one that stands for none.
    """

    description: str
    to_filter: Callable[[str], Filter]


def to_condition(name: str, text: str, criteria: Mapping[str, Criterion] | None = None) -> Filter:
    """Return the condition that a criterion with this value stands for.

    Args:
        name: one of `criteria`, or `metadata.KEY`.
        criteria: `CRITERIA` if none are given.

    Raises:
        BadInput: the text is no value for it; says what is.
    """
    if name.startswith(METADATA):
        return _metadata(name, text)
    try:
        return (CRITERIA if criteria is None else criteria)[name].to_filter(text)
    except ValueError as error:
        raise BadInput(str(error), field=name) from None


def read_time(name: str, text: str) -> int:
    """Return the value of the criterion `name` as microseconds since the epoch.

    Raises:
        BadInput: the text is no time; says what is.
    """
    try:
        return _to_us(text)
    except ValueError as error:
        raise BadInput(str(error), field=name) from None


def _metadata(name: str, text: str) -> Filter:
    """Metadata holds strings, numbers and booleans; a text cannot tell which is meant, so all are."""
    as_text = Is(name, Op.EQ, text)
    try:
        value = orjson.loads(text)
    except ValueError:
        return as_text
    if isinstance(value, bool | int | float) and abs(value) < 2**63:
        return Any((as_text, Is(name, Op.EQ, value)))
    return as_text


def _equals(field: str) -> Callable[[str], Filter]:
    return lambda text: Is(field, Op.EQ, text)


def _either(*fields: str) -> Callable[[str], Filter]:
    return lambda text: Any(tuple(Is(field, Op.EQ, text) for field in fields))


def _status(text: str) -> Filter:
    if re.fullmatch("[1-5][0-9]{2}", text):
        return Is("status", Op.EQ, int(text))
    if re.fullmatch("[1-5]xx", text):
        first = int(text[0]) * 100
        return All((Is("status", Op.GE, first), Is("status", Op.LT, first + 100)))
    raise ValueError("must be a status such as 200, or a class of them such as 4xx.")


def _one_of(field: str, allowed: type[StrEnum]) -> Callable[[str], Filter]:
    def to_filter(text: str) -> Filter:
        if text not in tuple(allowed):
            raise ValueError(f"must be one of {', '.join(allowed)}.")
        return Is(field, Op.EQ, text)

    return to_filter


def _at(field: str, op: Op) -> Callable[[str], Filter]:
    return lambda text: Is(field, op, _to_us(text))


def _number(field: str, op: Op) -> Callable[[str], Filter]:
    def to_filter(text: str) -> Filter:
        if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) and math.isfinite(float(text)):
            return Is(field, op, float(text))
        raise ValueError("must be a number such as -0.5.")

    return to_filter


def _whole_number(field: str) -> Callable[[str], Filter]:
    def to_filter(text: str) -> Filter:
        if re.fullmatch("[0-9]{1,9}", text):
            return Is(field, Op.EQ, int(text))
        raise ValueError("must be a whole number such as 0.")

    return to_filter


def _is_true(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be true or false.")
    return text == "true"


def _is_joined(text: str) -> Filter:
    return Is("joined_at_us", Op.NE if _is_true(text) else Op.EQ, None)


def _to_us(text: str) -> int:
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    if _RFC_3339.fullmatch(text):
        try:
            return us_of(datetime.fromisoformat(text.upper()))
        except (ValueError, OverflowError):
            pass
    raise ValueError(
        "must be a time as in RFC 3339 (2026-01-31T09:30:00Z; a + in a URL is sent as %2B), "
        "or whole microseconds since the epoch."
    )


CRITERIA: Mapping[str, Criterion] = MappingProxyType(
    {
        "trace_id": Criterion("Requests of this trace.", _equals("trace_id")),
        "request_id": Criterion("The request with this id of ours or of the caller.", _equals("request_id")),
        "model": Criterion("Model that was asked for or that answered.", _either("model", "requested_model")),
        "provider": Criterion("Name of the provider.", _equals("provider")),
        "status": Criterion("Status that the caller got: `200`, or a class of them such as `4xx`.", _status),
        "outcome": Criterion("How the request ended.", _one_of("outcome", Outcome)),
        "user": Criterion("End user of the calling application.", _equals("user")),
        "endpoint": Criterion("Kind of call, such as `chat.completions`.", _equals("endpoint")),
        "environment": Criterion("Environment of the calling application.", _equals("environment")),
        "session": Criterion("Conversation or agent run.", _equals("session")),
        "organisation": Criterion("Organisation of the end user.", _equals("organisation")),
        "prompt": Criterion("Name of the prompt.", _equals("prompt")),
        "client_retry": Criterion(
            "Which try of the same call the client says that it was: `0` leaves out repeated tries.",
            _whole_number("client_retry"),
        ),
        "judged": Criterion(
            "`true`: requests that were judged, of a trace or session the one that feedback counts for; `false`: "
            "the others.",
            lambda text: Is("is_judged", Op.EQ, _is_true(text)),
        ),
        "from": Criterion(
            "Started at this time or later: RFC 3339, or µs since the epoch.", _at("started_at_us", Op.GE)
        ),
        "to": Criterion(
            "Started before this time: RFC 3339, or µs since the epoch.", _at("started_at_us", Op.LT)
        ),
    }
)
"""What requests can be searched by, by the name that callers give it."""

FEEDBACK_CRITERIA: Mapping[str, Criterion] = MappingProxyType(
    {
        "trace_id": Criterion("Feedback on this trace and its requests.", _equals("trace_id")),
        "request_id": Criterion("Feedback on this request alone.", _equals("request_id")),
        "session": Criterion("Feedback on this session as a whole.", _equals("session")),
        "subject_id": Criterion("Feedback given under this id, whatever it names.", _equals("subject_id")),
        "feedback_id": Criterion("The entry with this id.", _equals("feedback_id")),
        "author": Criterion("Who judged.", _equals("author")),
        "app_id": Criterion("Application that it was given in.", _equals("app_id")),
        "kind": Criterion("Kind of verdict.", _one_of("kind", Kind)),
        "source": Criterion("Who or what judged.", _one_of("source", Source)),
        "dialect": Criterion("Dialect of the latest version.", _equals("dialect")),
        "from": Criterion(
            "Created at this time or later: RFC 3339, or µs since the epoch.", _at("created_at_us", Op.GE)
        ),
        "to": Criterion(
            "Created before this time: RFC 3339, or µs since the epoch.", _at("created_at_us", Op.LT)
        ),
        "is_joined": Criterion("`true`: what it is about was found; `false`: it waits.", _is_joined),
        "min_score": Criterion("With a score of at least this.", _number("score", Op.GE)),
        "max_score": Criterion("With a score of at most this.", _number("score", Op.LE)),
    }
)
"""What feedback can be searched by."""

AUDIT_CRITERIA: Mapping[str, Criterion] = MappingProxyType(
    {
        "actor": Criterion(
            "Name of the key, or for commands of the operating system's user.", _equals("actor")
        ),
        "action": Criterion("The endpoint or command, as entries have it.", _equals("action")),
        "via": Criterion("The way by which it was done.", _one_of("via", Via)),
        "from": Criterion(
            "Begun at this time or later: RFC 3339, or µs since the epoch.", _at("at_us", Op.GE)
        ),
        "to": Criterion("Begun before this time: RFC 3339, or µs since the epoch.", _at("at_us", Op.LT)),
    }
)
"""What the audit log can be searched by."""
