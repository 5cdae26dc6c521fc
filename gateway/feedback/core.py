"""FeedbackCore: what happens to a vote. Ids, times and scores are made here; the store only keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

from gateway.domain.clock import now_us
from gateway.domain.feedback import Feedback, Receipt
from gateway.domain.filter import Filter, Page, Sort
from gateway.domain.ids import new_id
from gateway.domain.principal import Principal
from gateway.errors import Conflict, NotFound
from gateway.feedback.contention import MAX_ATTEMPTS, too_busy
from gateway.feedback.idempotency import Call, canonical_json, entry_ids, read_call
from gateway.feedback.linking import Link, as_joined, link_of, resolve_all, waiting
from gateway.feedback.rescale import ThumbsCheck
from gateway.feedback.scales import grade_of
from gateway.feedback.scope import Spend, author_of, refuse_beyond_scope, refuse_chosen_ids, unlimited
from gateway.feedback.versions import Tell, next_version, tell_nobody, withdrawn
from gateway.feedback.votes import Change, NewFeedback
from gateway.store.base import FeedbackStore


class FeedbackCore:
    """Gives, finds, revises and withdraws feedback, whatever the dialect.

    A principal with a tenant sees and changes that tenant's entries alone; others do not exist for it.

    Args:
        spend: counts the votes of callers that may judge one request alone.
        tell: told of versions once they are stored.
    """

    def __init__(self, store: FeedbackStore, spend: Spend = unlimited, tell: Tell = tell_nobody) -> None:
        self._store = store
        self._spend = spend
        self._tell = tell
        self._thumbs = ThumbsCheck(store)

    async def give(
        self,
        votes: Sequence[NewFeedback],
        principal: Principal,
        *,
        dialect: str,
        idempotency_key: str | None = None,
    ) -> list[Feedback]:
        """Store votes, all or none, and return their entries in the same order, joined as far as they are.

        A call with the idempotency key and content of an earlier one is a retry: it gets the same entries and
        stores nothing. So is a vote with the `feedback_id` and content of an earlier one.

        Raises:
            Ambiguous: the id of what a vote is about names several things.
            Conflict: an id or the idempotency key was used before with other content.
            Forbidden, TooManyRequests, TooLarge: the caller may not give them, or not so many.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        refuse_chosen_ids(votes, principal)
        subjects = [(vote.subject_id, vote.target) for vote in votes]
        await refuse_beyond_scope(subjects, principal, self._store, self._spend)
        call = read_call(
            principal, dialect, "give", idempotency_key, [(vote.subject_id, vote.raw) for vote in votes]
        )
        for _ in range(MAX_ATTEMPTS):
            if receipt := await self._receipt(call):
                return await self._earlier(receipt, votes, principal, dialect)
            entries, new = await self._enter(votes, principal, dialect)
            try:
                await self._put(new, call, [entry.feedback_id for entry in entries])
            except Conflict:
                continue
            return await as_joined(self._store, entries)
        raise too_busy()

    async def takes_grades_for_thumbs(self, principal: Principal, votes: Sequence[NewFeedback]) -> bool:
        """Tell whether a caller whose votes were just given as grades has only ever given 0 and 1; see
        `ThumbsCheck`. What comes with a feedback token is not looked at: its bearer cannot mend it."""
        values = [vote.value for vote in votes if vote.value is not None]
        return principal.scope is None and await self._thumbs.takes_grades_for_thumbs(principal.name, values)

    async def revise(
        self,
        feedback_id: str,
        change: Change,
        principal: Principal,
        dialect: str,
        *,
        idempotency_key: str | None = None,
    ) -> Feedback:
        """Store a new version of an entry and return it; the earlier ones stay in its history.

        Changes that come at the same time are made one after the other, and each becomes a version.

        Raises:
            NotFound: there is no such entry, it was deleted, or it is another tenant's.
            Conflict: the idempotency key was used before for another change.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        call = read_call(principal, dialect, "revise", idempotency_key, [(feedback_id, change.raw)])
        return await self._follow(feedback_id, change.of, principal, dialect, call)

    async def withdraw(self, feedback_id: str, principal: Principal, dialect: str) -> Feedback:
        """Mark an entry deleted by a last version, and return that; the earlier ones stay in its history.

        Raises:
            NotFound: there is no such entry, it was deleted before, or it is another tenant's.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        return await self._follow(feedback_id, withdrawn, principal, dialect, None)

    async def remove(self, feedback_id: str, principal: Principal, dialect: str) -> None:
        """Delete an entry for good, with its history.

        Raises:
            NotFound: there is no such entry, it was deleted before, or it is another tenant's.
            StoreUnavailable: it may be there or not; the same call may work later.
        """
        current = await self._current(feedback_id, principal)
        if not await self._store.remove_feedback(current.feedback_id):
            raise _not_found(feedback_id)
        self._tell([next_version(current, withdrawn(current), principal, dialect)])

    async def find(self, where: Filter, sort: Sort, page: Page, principal: Principal) -> list[Feedback]:
        """Return the latest versions of the matching entries that this caller may see, no deleted ones.

        Raises:
            BadInput: the filter or the order names what feedback has not, or compares it with another kind.
        """
        return await self._store.find_feedback(where, sort, page, principal.tenant)

    async def history(self, feedback_id: str, principal: Principal) -> list[Feedback]:
        """Return every version of an entry, the first one first, also of one that was deleted.

        Raises:
            NotFound: there is no such entry, or it is another tenant's.
        """
        for stored_id in entry_ids(feedback_id, principal.tenant):
            versions = await self._store.history(stored_id)
            if versions and principal.sees(versions[-1].tenant):
                return versions
        raise _not_found(feedback_id)

    async def _follow(
        self,
        feedback_id: str,
        changed: Callable[[Feedback], Feedback],
        principal: Principal,
        dialect: str,
        call: Call | None,
    ) -> Feedback:
        """Store the version that follows the latest, whichever that is when it is written."""
        for _ in range(MAX_ATTEMPTS):
            current = await self._current(feedback_id, principal)
            if await self._receipt(call):
                return current
            following = next_version(current, changed(current), principal, dialect)
            try:
                await self._put([following], call, [following.feedback_id])
            except Conflict:
                continue
            return following
        raise too_busy()

    async def _receipt(self, call: Call | None) -> Receipt | None:
        """The receipt of the call that this one repeats."""
        earlier = await self._store.receipt(call.scope, call.key) if call else None
        if call and earlier:
            call.refuse_unless_repeats(earlier)
        return earlier

    async def _earlier(
        self, receipt: Receipt, votes: Sequence[NewFeedback], principal: Principal, dialect: str
    ) -> list[Feedback]:
        """What an earlier call with these votes made. Of an array, some may be too old to be there still."""
        found = await self._store.feedback_by_ids(receipt.feedback_ids)
        stored = {entry.feedback_id: entry for entry in found}
        return [
            stored.get(feedback_id)
            or first_version(
                replace(vote, feedback_id=feedback_id), waiting(vote, principal), principal, dialect, now_us()
            )
            for feedback_id, vote in zip(receipt.feedback_ids, votes, strict=True)
        ]

    async def _put(self, entries: Sequence[Feedback], call: Call | None, ids: Sequence[str]) -> None:
        receipt = call.receipt(ids) if call else None
        if entries or receipt:
            await self._store.put_feedback(entries, receipt)
            self._tell(entries)

    async def _enter(
        self, votes: Sequence[NewFeedback], principal: Principal, dialect: str
    ) -> tuple[list[Feedback], list[Feedback]]:
        """The entry of each vote, and those among them that are new."""
        chosen = [vote.feedback_id for vote in votes if vote.feedback_id]
        known = await self._originals(chosen, principal)
        named = await resolve_all(self._store, votes, principal)
        at_us = now_us()
        entries: list[Feedback] = []
        new: list[Feedback] = []
        for vote in votes:
            entry = known.get(vote.feedback_id or "")
            if entry is None:
                link = link_of(vote, named, principal)
                entry = first_version(_with_own_id(vote, principal), link, principal, dialect, at_us)
                known[vote.feedback_id or entry.feedback_id] = entry
                new.append(entry)
            else:
                _refuse_other_entry(entry, vote, dialect)
            entries.append(entry)
        return entries, new

    async def _originals(self, chosen: Sequence[str], principal: Principal) -> dict[str, Feedback]:
        """The first versions of this caller's entries, by the ids that were chosen for them."""
        ids = {one: entry_ids(one, principal.tenant) for one in chosen}
        originals: dict[str, Feedback] = {}
        for entry in await self._store.feedback_by_ids([*chain(*ids.values())]) if ids else []:
            if principal.sees(entry.tenant):
                is_revised = entry.version > 1
                versions = await self._store.history(entry.feedback_id) if is_revised else [entry]
                originals[entry.feedback_id] = versions[0]
        return {one: originals[each] for one in chosen for each in ids[one] if each in originals}

    async def _current(self, feedback_id: str, principal: Principal) -> Feedback:
        for entry in await self._store.feedback_by_ids(entry_ids(feedback_id, principal.tenant)):
            if principal.sees(entry.tenant) and entry.deleted_at_us is None:
                return entry
        raise _not_found(feedback_id)


def first_version(vote: NewFeedback, link: Link, principal: Principal, dialect: str, at_us: int) -> Feedback:
    """Return the entry that a vote becomes when it is given at this time."""
    return Feedback(
        feedback_id=vote.feedback_id or new_id(),
        tenant=link.tenant,
        subject_id=vote.subject_id,
        target=link.target,
        trace_id=link.trace_id,
        request_id=link.request_id,
        session=link.session,
        joined_at_us=at_us if link.is_joined else None,
        kind=vote.kind,
        metric=vote.metric,
        value=vote.value,
        weight=vote.weight,
        score=vote.score,
        grade=grade_of(vote.score) if vote.grade is None else vote.grade,
        label=vote.label,
        comment=vote.comment,
        original_text=vote.original_text,
        edited_text=vote.edited_text,
        author=author_of(principal, vote.author),
        app_id=vote.app_id,
        app_version=vote.app_version,
        source=vote.source,
        metadata=vote.metadata,
        dialect=dialect,
        raw=vote.raw,
        key_name=principal.name,
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def _with_own_id(vote: NewFeedback, principal: Principal) -> NewFeedback:
    """Return a vote with the id under which its entry is stored, if its voter gave it one."""
    if vote.feedback_id is None:
        return vote
    return replace(vote, feedback_id=entry_ids(vote.feedback_id, principal.tenant)[0])


def _refuse_other_entry(earlier: Feedback, vote: NewFeedback, dialect: str) -> None:
    """Raise Conflict unless `vote` says again what the entry of its id said first."""
    was = earlier.dialect, earlier.subject_id, canonical_json(earlier.raw)
    if was != (dialect, vote.subject_id, canonical_json(vote.raw)):
        raise Conflict(
            f"the id {vote.feedback_id} is that of an entry with other content.",
            hint="Send a new id for a new entry.",
        )


def _not_found(feedback_id: str) -> NotFound:
    return NotFound(f"no feedback entry has the id {feedback_id}.", field="feedback_id")
