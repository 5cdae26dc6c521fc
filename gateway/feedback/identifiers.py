"""Resolve the trace, request or session of feedback, and the keys of upserted feedback."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import Conflict
from gateway.feedback.payloads import NewFeedback
from gateway.models.feedback import Feedback, Subject, Target, single_subject
from gateway.models.ids import content_id
from gateway.models.principal import Principal
from gateway.store.base import FeedbackStore, Queries

# Most ids in the note on waiting feedback.
MAX_IDS_SHOWN = 3

# Candidates of each id, for each target.
SubjectsById = Mapping[Target, Mapping[str, Sequence[Subject]]]


async def find_subjects(store: Queries, items: Sequence[NewFeedback], principal: Principal) -> SubjectsById:
    """Return what the ids of feedback may name for this caller."""
    return {
        target: await store.resolve(wanted, principal.tenant, target)
        for target in Target
        if (wanted := list(dict.fromkeys(item.subject_id for item in items if _is_looked_up(item, target))))
    }


def _is_looked_up(item: NewFeedback, target: Target) -> bool:
    return item.target is target and item.subject is None


def subject_of(item: NewFeedback, found: SubjectsById) -> Subject | None:
    """Return the subject of an item; None while it is not logged. Raises Ambiguous."""
    if item.subject is not None:
        return item.subject
    named = found[item.target].get(item.subject_id, ())
    return single_subject(item.subject_id, named, field=item.subject_field)


async def reload_joined(store: FeedbackStore, entries: Sequence[Feedback]) -> list[Feedback]:
    waiting = list({entry.feedback_id for entry in entries if entry.joined_at_us is None})
    stored = await store.feedback_by_ids(waiting) if waiting else []
    # A version that another caller stored since is not the one that was stored here.
    by_version = {(entry.feedback_id, entry.version): entry for entry in stored}
    return [by_version.get((entry.feedback_id, entry.version), entry) for entry in entries]


def waiting_note(entries: Iterable[Feedback]) -> str | None:
    """Return a sentence on the entries that wait for their subject."""
    ids = list(dict.fromkeys(entry.subject_id for entry in entries if entry.joined_at_us is None))
    if not ids:
        return None
    named = ", ".join(repr(each) for each in ids[:MAX_IDS_SHOWN])
    more = f" and {len(ids) - MAX_IDS_SHOWN:,} other ids" if len(ids) > MAX_IDS_SHOWN else ""
    return f"Nothing is logged yet under {named}{more}, so this feedback waits for it."


def stored_feedback_ids(chosen: str, tenant: str | None) -> tuple[str, ...]:
    """Return ids that an entry with a chosen id may have, that of a new one first."""
    # Hashed with the tenant, so that no id tells whether another tenant has it. The chosen id itself may be one
    # from a reply, or of an entry older than this rule.
    return (chosen,) if tenant is None else (content_id(f"{chosen}\0{tenant}".encode()), chosen)


@dataclass(frozen=True, slots=True)
class FeedbackKey:
    """Identifies the one entry for a request, metric and author.

    Args:
        ids: ids that the entry may have, that of a new one first.
    """

    metric: str | None
    subject: Subject | None
    ids: tuple[str, ...]

    def entries(self, known: Mapping[str, Feedback], principal: Principal) -> list[Feedback]:
        """Return the entries with this key, the current one first. Raises Conflict if its id is taken."""
        found = [entry for each in self.ids if (entry := known.get(each)) and self._matches(entry, principal)]
        own = known.get(self.ids[0])
        if own is not None and own not in found:
            raise Conflict(f"the id {own.feedback_id} is that of another entry.")
        return sorted(found, key=lambda entry: (entry.deleted_at_us is not None, -entry.updated_at_us))

    def _matches(self, entry: Feedback, principal: Principal) -> bool:
        if entry.metric != self.metric or not principal.can_see(entry.tenant):
            return False
        subject = self.subject
        return subject is None or (
            (entry.tenant, entry.trace_id, entry.request_id)
            == (subject.tenant, subject.trace_id, subject.request_id)
        )


def feedback_key(
    request_id: str, subject: Subject | None, tenant: str | None, author: str | None, metric: str | None
) -> FeedbackKey:
    if subject is None:
        return FeedbackKey(metric, None, (feedback_key_id(tenant, request_id, author, metric),))
    own = feedback_key_id(subject.tenant, (subject.trace_id, subject.request_id), author, metric)
    # Feedback that came before its request has an id made of what was known then.
    earlier = (
        feedback_key_id(owner, name, author, metric)
        for owner in (subject.tenant, None)
        for name in (subject.request_id, subject.response_id, request_id)
        if name is not None
    )
    return FeedbackKey(metric, subject, tuple(dict.fromkeys((own, *earlier))))


def feedback_key_id(
    tenant: str | None, name: str | tuple[str | None, str | None], author: str | None, metric: str | None
) -> str:
    """Return the id of an entry by its key; a logged request is named by trace and request id."""
    return content_id(json.dumps([tenant, name, author, metric]).encode())
