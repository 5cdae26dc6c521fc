"""Resolve the trace, request or session of feedback, and the keys of upserted feedback."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import Conflict
from gateway.feedback.payloads import NewFeedback
from gateway.models.feedback import Feedback, Subject, Target, single_subject
from gateway.models.ids import content_id
from gateway.models.principal import Principal
from gateway.store.base import FeedbackStore, Queries

MAX_IDS_SHOWN = 3
"""How many ids a sentence names."""

SubjectsById = Mapping[Target, Mapping[str, Sequence[Subject]]]
"""What ids name, for each target that votes have."""


@dataclass(frozen=True, slots=True)
class ResolvedSubject:
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


async def resolve_subjects(
    store: Queries, items: Sequence[NewFeedback], principal: Principal
) -> SubjectsById:
    """Return what the subjects of votes name for this caller.

    A vote on a trace may turn out to be one on a request or a session. One on a request is about nothing else, so
    a trace that bears its name does not count.
    """
    return {
        target: await store.resolve(wanted, principal.tenant, target)
        for target in Target
        if (wanted := list(dict.fromkeys(item.subject_id for item in items if item.target is target)))
    }


def resolved_subject(item: NewFeedback, named: SubjectsById, principal: Principal) -> ResolvedSubject:
    """Return the link of one of the votes that were resolved. An unknown subject is no error.

    Raises:
        Ambiguous: the subject's id names several things.
    """
    subjects = named[item.target].get(item.subject_id, ())
    subject = single_subject(item.subject_id, subjects, field=item.subject_field)
    if subject is None:
        return unresolved_subject(item, principal)
    return ResolvedSubject(
        target=subject.target,
        trace_id=subject.trace_id,
        request_id=subject.request_id,
        tenant=subject.tenant,
        is_joined=True,
        session=subject.session,
    )


def unresolved_subject(item: NewFeedback, principal: Principal) -> ResolvedSubject:
    """Return the link of a vote on what is not logged yet; the store joins it when it appears."""
    trace_id = item.subject_id if item.target is Target.TRACE else None
    return ResolvedSubject(item.target, trace_id, None, principal.tenant, is_joined=False)


async def reload_joined(store: FeedbackStore, entries: Sequence[Feedback]) -> list[Feedback]:
    """Return entries that were stored just now, joined as far as they are: what one is about may have come in while
    it was written."""
    waiting = list({entry.feedback_id for entry in entries if entry.joined_at_us is None})
    stored = await store.feedback_by_ids(waiting) if waiting else []
    # A version that somebody else has given since is not the one that was stored here.
    by_version = {(entry.feedback_id, entry.version): entry for entry in stored}
    return [by_version.get((entry.feedback_id, entry.version), entry) for entry in entries]


def waiting_note(entries: Iterable[Feedback]) -> str | None:
    """Return a sentence that says which of these entries wait for what they are about; None where none does."""
    ids = list(dict.fromkeys(entry.subject_id for entry in entries if entry.joined_at_us is None))
    if not ids:
        return None
    named = ", ".join(repr(each) for each in ids[:MAX_IDS_SHOWN])
    more = f" and {len(ids) - MAX_IDS_SHOWN:,} other ids" if len(ids) > MAX_IDS_SHOWN else ""
    return f"Nothing is logged yet under {named}{more}, so this feedback waits for it."


@dataclass(frozen=True, slots=True)
class FeedbackKey:
    """The place of one vote.

    Args:
        metric: what is judged.
        subject: the logged request; None while there is none of that name.
        ids: where entries may be that stand for the vote. The first is the id of a new one.
    """

    metric: str
    subject: Subject | None
    ids: tuple[str, ...]

    def entries(self, known: Mapping[str, Feedback], principal: Principal) -> list[Feedback]:
        """Return the entries that stand here, of those that are known by their ids: the one given last comes
        first, and withdrawn ones come after all others.

        Raises:
            Conflict: the id of a new entry is that of one which stands for something else.
        """
        found = [known[each] for each in self.ids if each in known]
        here = [entry for entry in found if self._holds(entry, principal)]
        own = known.get(self.ids[0])
        if own is not None and own not in here:
            raise Conflict(f"the id {own.feedback_id} is that of another entry.")
        return sorted(here, key=lambda entry: (entry.deleted_at_us is not None, -entry.updated_at_us))

    def _holds(self, entry: Feedback, principal: Principal) -> bool:
        if entry.metric != self.metric or not principal.can_see(entry.tenant):
            return False
        subject = self.subject
        return subject is None or (
            (entry.tenant, entry.trace_id, entry.request_id)
            == (subject.tenant, subject.trace_id, subject.request_id)
        )


def feedback_key(
    request_id: str, subject: Subject | None, tenant: str | None, author: str | None, metric: str
) -> FeedbackKey:
    """Return the place of a vote.

    Args:
        request_id: the request's id as the voter gave it.
        subject: the request that it names, if it is logged.
        tenant: the voter's.
    """
    if subject is None:
        return FeedbackKey(metric, None, (feedback_key_id(tenant, request_id, author, metric),))
    own = feedback_key_id(subject.tenant, (subject.trace_id, subject.request_id), author, metric)
    given_before_it_was_logged = (
        feedback_key_id(owner, name, author, metric)
        for owner in (subject.tenant, None)
        for name in (subject.request_id, subject.response_id, request_id)
        if name is not None
    )
    return FeedbackKey(metric, subject, tuple(dict.fromkeys((own, *given_before_it_was_logged))))


def feedback_key_id(
    tenant: str | None, name: str | tuple[str | None, str | None], author: str | None, metric: str
) -> str:
    """Return the id of the entry that stands for these, made from all of them.

    Args:
        name: trace id and request id of a logged request; of another, the one id that is known of it.
    """
    return content_id(json.dumps([tenant, name, author, metric]).encode())
