"""Linking: which logged trace, request or session a vote is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.feedback import Feedback, Target
from gateway.domain.principal import Principal
from gateway.domain.subject import Subject, only_subject
from gateway.feedback.votes import NewFeedback
from gateway.store.base import FeedbackStore, IdQueries

MAX_NAMED = 3
"""How many ids a sentence names."""

Named = Mapping[Target, Mapping[str, Sequence[Subject]]]
"""What ids name, for each target that votes have."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a vote's subject was found to be.

    Args:
        tenant: whose entry the vote becomes.
        is_joined: whether something of that name is logged already; else the entry waits for it.
    """

    target: Target
    trace_id: str | None
    request_id: str | None
    tenant: str | None
    is_joined: bool
    session: str | None = None


async def resolve_all(store: IdQueries, votes: Sequence[NewFeedback], principal: Principal) -> Named:
    """Return what the subjects of votes name for this caller.

    A vote on a trace may turn out to be one on a request or a session. One on a request is about nothing else, so
    a trace that bears its name does not count.
    """
    return {
        target: await store.resolve(wanted, principal.tenant, target)
        for target in Target
        if (wanted := list(dict.fromkeys(vote.subject_id for vote in votes if vote.target is target)))
    }


def link_of(vote: NewFeedback, named: Named, principal: Principal) -> Link:
    """Return the link of one of the votes that were resolved. An unknown subject is no error.

    Raises:
        Ambiguous: the subject's id names several things.
    """
    subjects = named[vote.target].get(vote.subject_id, ())
    subject = only_subject(vote.subject_id, subjects, field=vote.subject_field)
    if subject is None:
        return waiting(vote, principal)
    return Link(
        target=subject.target,
        trace_id=subject.trace_id,
        request_id=subject.request_id,
        tenant=subject.tenant,
        is_joined=True,
        session=subject.session,
    )


def waiting(vote: NewFeedback, principal: Principal) -> Link:
    """Return the link of a vote on what is not logged yet; the store joins it when it appears."""
    trace_id = vote.subject_id if vote.target is Target.TRACE else None
    return Link(vote.target, trace_id, None, principal.tenant, is_joined=False)


async def as_joined(store: FeedbackStore, entries: Sequence[Feedback]) -> list[Feedback]:
    """Return entries that were stored just now, joined as far as they are: what one is about may have come in while
    it was written."""
    waiting = list({entry.feedback_id for entry in entries if entry.joined_at_us is None})
    stored = await store.feedback_by_ids(waiting) if waiting else []
    # A version that somebody else has given since is not the one that was stored here.
    by_version = {(entry.feedback_id, entry.version): entry for entry in stored}
    return [by_version.get((entry.feedback_id, entry.version), entry) for entry in entries]


def note_of_waiting(entries: Iterable[Feedback]) -> str | None:
    """Return a sentence that says which of these entries wait for what they are about; None where none does."""
    ids = list(dict.fromkeys(entry.subject_id for entry in entries if entry.joined_at_us is None))
    if not ids:
        return None
    named = ", ".join(repr(each) for each in ids[:MAX_NAMED])
    more = f" and {len(ids) - MAX_NAMED:,} other ids" if len(ids) > MAX_NAMED else ""
    return f"Nothing is logged yet under {named}{more}, so this feedback waits for it."
