"""By what requests, feedback and the audit log can be searched.

One table each for all who search: the native API's query string, its documentation, and the command line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.domain.audit import Via
from gateway.domain.exchange import Outcome
from gateway.domain.feedback import Kind, Source
from gateway.domain.filter import All, Filter, Is, Joined, Op
from gateway.domain.moment import moment_us
from gateway.errors import BadInput
from gateway.query.criterion import (
    Criterion,
    at_least,
    at_most,
    contains,
    ended,
    equals,
    flag,
    metadata,
    one_of,
    rating,
    started,
    status,
    whole_number,
)

METADATA = "metadata."
"""Begins the name of a criterion on a key of the requests' metadata."""
FEEDBACK_METADATA = "feedback.metadata."
"""Begins the name of a criterion on a key of the feedback's metadata."""

_FORMS = "`today`, `yesterday`, an age (`15m`, `24h`, `7d`), or µs since the epoch."
_BEGUN = f"RFC 3339, a date (from its beginning), {_FORMS}"
_OVER = f"RFC 3339, a date (to its end), {_FORMS}"


@dataclass(frozen=True, slots=True)
class Searchable:
    """What one kind of records can be searched by.

    Args:
        found: what they are called.
        prefixes: what begins the names of criteria on keys of metadata, and whether that is the metadata of what is
            joined to the records.
        is_counted: whether feedback is joined to the one request that it counts for alone.
    """

    found: str
    criteria: Mapping[str, Criterion]
    prefixes: Mapping[str, bool]
    is_counted: bool = False

    def prefix_of(self, name: str) -> str | None:
        """Return what begins a name that is one of a key of metadata; None for any other."""
        return next((prefix for prefix in self.prefixes if name.startswith(prefix) and name != prefix), None)

    def to_filter(self, given: Iterable[tuple[str, str]]) -> Filter:
        """Return the condition that all of these criteria with their values mean.

        Raises:
            BadInput: there is no such criterion, it is given twice, or a text is no value for it; names it and what
                is allowed.
        """
        own: list[Filter] = []
        joined: list[Filter] = []
        names: set[str] = set()
        for name, text in given:
            if name in names:
                raise BadInput("is given twice; give it once.", field=name)
            if not text:
                raise BadInput("has no value; leave it out or give it one.", field=name)
            names.add(name)
            prefix = self.prefix_of(name)
            is_joined = (
                self.criteria[name].is_joined
                if name in self.criteria
                else prefix is not None and self.prefixes[prefix]
            )
            (joined if is_joined else own).append(self._condition(name, text, prefix))
        if joined:
            own.append(Joined(joined[0] if len(joined) == 1 else All(tuple(joined)), self.is_counted))
        return All(tuple(own))

    def _condition(self, name: str, text: str, prefix: str | None) -> Filter:
        if prefix is not None:
            return metadata(name.removeprefix(prefix), text)
        if name not in self.criteria:
            keys = (f"{prefix}KEY" for prefix in self.prefixes)
            raise BadInput(
                f"is nothing to search {self.found} by.",
                field=name,
                hint=f"Allowed: {', '.join((*self.criteria, *keys))}.",
            )
        try:
            return self.criteria[name].to_filter(text)
        except ValueError as error:
            raise BadInput(str(error), field=name) from None


def read_time(name: str, text: str) -> int:
    """Return the value of the criterion `from` or `to` as microseconds since the epoch.

    Raises:
        BadInput: the text is no time; says what is.
    """
    try:
        return moment_us(text, is_end=name == "to")
    except ValueError as error:
        raise BadInput(str(error), field=name) from None


def _of_request(*, is_joined: bool) -> dict[str, Criterion]:
    """The criteria on requests that feedback can be searched by as well."""
    return {
        "model": equals(
            "Model that was asked for or that answered.", "model", "requested_model", is_joined=is_joined
        ),
        "provider": equals("Name of the provider.", "provider", is_joined=is_joined),
        "status": status(
            "Status that the caller got: `200`, or a class of them such as `4xx`.", is_joined=is_joined
        ),
        "outcome": one_of("How the request ended.", "outcome", Outcome, is_joined=is_joined),
        "user": equals("End user of the calling application.", "user", is_joined=is_joined),
        "endpoint": equals("Kind of call, such as `chat.completions`.", "endpoint", is_joined=is_joined),
        "environment": equals("Environment of the calling application.", "environment", is_joined=is_joined),
        "organisation": equals("Organisation of the end user.", "organisation", is_joined=is_joined),
        "prompt": equals("Name of the prompt.", "prompt", is_joined=is_joined),
    }


def _requests(*, is_counted: bool) -> Searchable:
    """What requests can be searched by.

    Args:
        is_counted: whether feedback on a trace or session is that of the request that it counts for alone.
    """
    score, has_feedback = (
        ("mean_counted_score", "is_judged") if is_counted else ("mean_score", "has_feedback")
    )
    whose = (
        "feedback that counts for the request"
        if is_counted
        else "feedback on the request, its trace and its session"
    )
    criteria = {
        "trace_id": equals("Requests of this trace.", "trace_id"),
        "request_id": equals("The request with this id of ours or of the caller.", "request_id"),
        **_of_request(is_joined=False),
        "session": equals("Conversation or agent run.", "session"),
        "client_retry": whole_number(
            "Which try of the same call the client says that it was: `0` leaves out repeated tries.",
            "client_retry",
        ),
        "judged": flag(
            "`true`: requests that were judged, of a trace or session the one that feedback counts for; `false`: "
            "the others.",
            lambda is_judged: Is("is_judged", Op.EQ, is_judged),
        ),
        "has_feedback": flag(
            f"`true`: requests with feedback; `false`: those without. That is {whose}.",
            lambda is_given: Is(has_feedback, Op.EQ, is_given),
        ),
        "min_score": at_least(
            f"Sum of weight × score over sum of weights is at least this, of {whose}.", score
        ),
        "max_score": at_most(
            f"Sum of weight × score over sum of weights is at most this, of {whose}.", score
        ),
        "rating": rating("`bad`: that score is below 0; `good`: above 0; `neutral`: 0.", score),
        "label": equals("An entry of feedback has this label.", "label", is_joined=True),
        "comment": contains(
            "The comment of an entry of feedback contains this, whatever the case of A to Z.",
            "comment",
            is_joined=True,
        ),
        "from": started(f"Started at this time or later: {_BEGUN}", "started_at_us"),
        "to": ended(f"Started before this time: {_OVER}", "started_at_us"),
    }
    prefixes = {METADATA: False, FEEDBACK_METADATA: True}
    return Searchable("requests", MappingProxyType(criteria), MappingProxyType(prefixes), is_counted)


REQUESTS = _requests(is_counted=False)
"""What requests, and groups of them, can be searched by."""

COUNTED_REQUESTS = _requests(is_counted=True)
"""What figures can be asked for: the same, where feedback on a trace or session is one request's."""

FEEDBACK = Searchable(
    "entries",
    MappingProxyType(
        {
            "trace_id": equals("Feedback on this trace and its requests.", "trace_id"),
            "request_id": equals("Feedback on this request alone.", "request_id"),
            "session": equals("Feedback on this session as a whole.", "session"),
            "subject_id": equals("Feedback given under this id, whatever it names.", "subject_id"),
            "feedback_id": equals("The entry with this id.", "feedback_id"),
            "author": equals("Who judged.", "author"),
            "app_id": equals("Application that it was given in.", "app_id"),
            "kind": one_of("Kind of verdict.", "kind", Kind),
            "source": one_of("Who or what judged.", "source", Source),
            "dialect": equals("Dialect of the latest version.", "dialect"),
            "from": started(f"Created at this time or later: {_BEGUN}", "created_at_us"),
            "to": ended(f"Created before this time: {_OVER}", "created_at_us"),
            "is_joined": flag(
                "`true`: what it is about was found; `false`: it waits.",
                lambda is_joined: Is("joined_at_us", Op.NE if is_joined else Op.EQ, None),
            ),
            "min_score": at_least("With a score of at least this.", "score"),
            "max_score": at_most("With a score of at most this.", "score"),
            "rating": rating("`bad`: with a score below 0; `good`: above 0; `neutral`: of 0.", "score"),
            "label": equals("With this label.", "label"),
            "comment": contains("The comment contains this, whatever the case of A to Z.", "comment"),
            **_of_request(is_joined=True),
        }
    ),
    MappingProxyType({METADATA: True, FEEDBACK_METADATA: False}),
)
"""What feedback can be searched by; what it shares with requests is about the request that an entry counts for."""

AUDIT = Searchable(
    "entries",
    MappingProxyType(
        {
            "actor": equals("Name of the key, or for commands of the operating system's user.", "actor"),
            "action": equals("The endpoint or command, as entries have it.", "action"),
            "via": one_of("The way by which it was done.", "via", Via),
            "from": started(f"Begun at this time or later: {_BEGUN}", "at_us"),
            "to": ended(f"Begun before this time: {_OVER}", "at_us"),
        }
    ),
    MappingProxyType({}),
)
"""What the audit log can be searched by."""
