"""Linking: which logged trace or request a vote is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.feedback import Target
from gateway.domain.principal import Principal
from gateway.feedback.votes import NewFeedback
from gateway.store.base import FeedbackStore, Subject


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


async def find_links(store: FeedbackStore, votes: Sequence[NewFeedback], principal: Principal) -> list[Link]:
    """Return the link of each vote in order. Unknown subjects are no error.

    A vote on a trace may turn out to be one on a request. One on a request is about nothing else, so a trace
    that bears its name does not count.
    """
    known = {
        target: await store.resolve(wanted, principal.tenant, target)
        for target in Target
        if (wanted := list(dict.fromkeys(vote.subject_id for vote in votes if vote.target is target)))
    }
    return [_link(vote, known[vote.target].get(vote.subject_id, []), principal) for vote in votes]


def _link(vote: NewFeedback, subjects: Sequence[Subject], principal: Principal) -> Link:
    if not subjects:
        return _waiting(vote, principal)
    newest = subjects[0]
    return Link(
        target=Target.TRACE if newest.request_id is None else Target.REQUEST,
        trace_id=newest.trace_id,
        request_id=newest.request_id,
        tenant=principal.tenant or _only_tenant(subjects),
        is_joined=True,
    )


def _waiting(vote: NewFeedback, principal: Principal) -> Link:
    trace_id = vote.subject_id if vote.target is Target.TRACE else None
    return Link(vote.target, trace_id, None, principal.tenant, is_joined=False)


def _only_tenant(subjects: Sequence[Subject]) -> str | None:
    """The tenant that all the subjects have in common; None where tenants share the id."""
    tenants = {subject.tenant for subject in subjects}
    return tenants.pop() if len(tenants) == 1 else None
