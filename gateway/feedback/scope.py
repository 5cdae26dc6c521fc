"""Scope: what holds for a caller that may judge one request alone, whatever the dialect that it does it in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.domain.feedback import Target
from gateway.domain.principal import Principal, Scope
from gateway.domain.subject import Subject
from gateway.errors import Forbidden
from gateway.feedback.votes import NewFeedback
from gateway.store.base import FeedbackStore

VOTER = "feedback token"
"""The author of every vote by such a caller. A name that it gives itself has been checked by nobody, and could be
that of somebody else, whose standing vote it would take."""

Spend = Callable[[Principal, int], None]
"""Counts votes that a caller is about to give. Raises TooManyRequests, or TooLarge, where it may not give them."""


def unlimited(caller: Principal, votes: int) -> None:
    """Let every caller give as many votes as it likes."""


def author_of(principal: Principal, named: str | None) -> str | None:
    """Return whose vote it is, given the author that the caller names."""
    return named if principal.scope is None else VOTER


async def refuse_beyond_scope(
    subjects: Sequence[tuple[str, Target]], principal: Principal, store: FeedbackStore, spend: Spend
) -> None:
    """Let a caller with a scope vote on its own request and trace alone, and no faster than it may.

    An id is its own if all that it names is; while it names nothing, only the ids in the scope are.

    Args:
        subjects: for each vote, the id of what it is about, and what that id is taken for.

    Raises:
        Forbidden: a vote is about something else.
        TooManyRequests, TooLarge: they are too many.
    """
    scope = principal.scope
    if scope is None:
        return
    spend(principal, len(subjects))
    for subject_id, target in dict.fromkeys(subjects):
        named = (await store.resolve([subject_id], principal.tenant, target)).get(subject_id, [])
        own = (scope.request_id,) if target is Target.REQUEST else (scope.trace_id, scope.request_id)
        if not (_are_within(scope, principal.tenant, named) if named else subject_id in own):
            raise Forbidden(
                f"a feedback token judges its own request alone, which {subject_id!r} does not name.",
                hint=f"Name it as {' or '.join(map(repr, own))}.",
            )


def refuse_chosen_ids(votes: Sequence[NewFeedback], principal: Principal) -> None:
    """Keep callers with a scope from taking the ids that entries of others are going to have.

    Raises:
        Forbidden: such a caller has chosen an id for an entry.
    """
    if principal.scope is not None and any(vote.feedback_id is not None for vote in votes):
        raise Forbidden(
            "a feedback token cannot choose the id of an entry.",
            hint="Send an Idempotency-Key to make a call safe to repeat.",
        )


def _are_within(scope: Scope, tenant: str | None, subjects: Sequence[Subject]) -> bool:
    return all(
        subject.tenant == tenant
        and subject.trace_id == scope.trace_id
        and subject.request_id in (None, scope.request_id)
        for subject in subjects
    )
