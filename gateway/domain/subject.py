"""What an id names of what is logged, and what to say where it names several things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.feedback import Target
from gateway.errors import Ambiguous

MAX_CANDIDATES = 10
"""Most things that are told apart for an id; of more, the newest."""

REPEATED_ID_US = 600_000_000
"""An answer is no longer meant by its response id once another has come under it so much later."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A trace, a request of one, or a session. The same request id again in a trace is the same request, tried
    again.

    Args:
        tenant: whose it is.
        trace_id: None where a session is meant.
        request_id: None where a trace or a session as a whole is meant.
        response_id: the provider's id of the request's latest response, if it is known.
        seq: the latest row that belongs to it.
        session: None where no session is meant.
    """

    tenant: str | None
    trace_id: str | None
    request_id: str | None
    response_id: str | None
    seq: int
    session: str | None = None

    @property
    def target(self) -> Target:
        """What sort of thing it is."""
        if self.session is not None:
            return Target.SESSION
        return Target.TRACE if self.request_id is None else Target.REQUEST


def only_subject(any_id: str, subjects: Sequence[Subject], *, field: str | None = None) -> Subject | None:
    """Return the one thing that an id names; None if it names nothing.

    Args:
        any_id: the id as the caller gave it.
        subjects: what it names, the newest first.
        field: where the caller gave it, for the error.

    Raises:
        Ambiguous: it names several.
    """
    if len(subjects) > 1:
        raise Ambiguous(
            f"{any_id!r} names {_described(subjects)}.",
            candidates=[_ids(subject) for subject in subjects],
            field=field,
            hint="Name one by an id that only it has.",
        )
    return subjects[0] if subjects else None


def _described(subjects: Sequence[Subject]) -> str:
    if subjects[0].target is not Target.REQUEST:
        owners = (_owner(subject) for subject in subjects)
        return f"{subjects[0].target}s of several tenants, the newest first: {', '.join(owners)}"
    are_shared = len({subject.tenant for subject in subjects}) > 1
    requests = (_request(subject, is_owner_told=are_shared) for subject in subjects)
    return f"several requests, the newest first: {'; '.join(requests)}"


def _request(subject: Subject, *, is_owner_told: bool) -> str:
    owner = f" of {_owner(subject)}" if is_owner_told else ""
    response = f", response {subject.response_id!r}" if subject.response_id else ""
    return f"request {subject.request_id!r} in trace {subject.trace_id!r}{owner}{response}"


def _owner(subject: Subject) -> str:
    return "no tenant" if subject.tenant is None else f"tenant {subject.tenant!r}"


def _ids(subject: Subject) -> dict[str, str | None]:
    return {
        "trace_id": subject.trace_id,
        "request_id": subject.request_id,
        "response_id": subject.response_id,
        "tenant": subject.tenant,
    }
