"""Past votes: what was given elsewhere before, entered once, with the time at which it was given."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.feedback import Feedback
from gateway.domain.principal import Principal
from gateway.errors import Conflict
from gateway.feedback import core, standing
from gateway.feedback.contention import MAX_ATTEMPTS, too_busy
from gateway.feedback.linking import waiting
from gateway.feedback.places import Place, standing_id
from gateway.feedback.standing import StandingVote
from gateway.feedback.votes import NewFeedback
from gateway.store.base import FeedbackStore


def past_entry(vote: NewFeedback, principal: Principal, dialect: str, given_at_us: int) -> Feedback:
    """Return the entry of a vote that was given at this time. The store joins it to what it is about."""
    return core.first_version(vote, waiting(vote, principal), principal, dialect, given_at_us)


def past_standing_entry(
    vote: StandingVote, trace_id: str, principal: Principal, dialect: str, given_at_us: int
) -> Feedback:
    """Do what `past_entry` does for a vote of which the last one counts: its entry is in the place of all votes on
    that request of that trace, so that one which was given here stays, and later ones revise it."""
    own = standing_id(principal.tenant, (trace_id, vote.request_id), vote.author, vote.metric)
    place = Place(vote.metric, None, (own,))
    return standing.first_version(vote, place, principal, dialect, given_at_us)


async def missing_entries(store: FeedbackStore, entries: Sequence[Feedback]) -> list[Feedback]:
    """Return the entries of whose id none is stored; of several with the same id the first."""
    by_id: dict[str, Feedback] = {}
    for entry in entries:
        by_id.setdefault(entry.feedback_id, entry)
    for known in await store.feedback_by_ids(list(by_id)):
        del by_id[known.feedback_id]
    return list(by_id.values())


async def enter_missing(store: FeedbackStore, entries: Sequence[Feedback]) -> int:
    """Store the entries that are missing, all or none, and return how many there were.

    One that is stored already stays as it is: what was said here since then is younger.

    Raises:
        StoreUnavailable: nothing was stored; the same call may work later.
    """
    for _ in range(MAX_ATTEMPTS):
        missing = await missing_entries(store, entries)
        try:
            if missing:
                await store.put_feedback(missing)
        except Conflict:
            continue
        return len(missing)
    raise too_busy()
