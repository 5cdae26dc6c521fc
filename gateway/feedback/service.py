"""FeedbackService: append, revise, delete, list and import feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

from gateway.errors import Conflict, NotFound
from gateway.feedback import rules
from gateway.feedback.idempotency import IdempotentCall, canonical_json, idempotent_call, stored_feedback_ids
from gateway.feedback.identifiers import (
    FeedbackKey,
    ResolvedSubject,
    feedback_key_id,
    reload_joined,
    resolve_subjects,
    resolved_subject,
    unresolved_subject,
)
from gateway.feedback.payloads import FeedbackChange, NewFeedback, to_grade
from gateway.feedback.rescale import ThumbsCheck
from gateway.feedback.rules import (
    MAX_ATTEMPTS,
    OnStored,
    RateCheck,
    UpsertFeedback,
    author_of,
    contention_error,
    ignore_stored,
    mark_deleted,
    next_version,
    no_rate_limit,
    refuse_beyond_scope,
    refuse_chosen_ids,
)
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback, Receipt
from gateway.models.filters import Filter, Page, Sort
from gateway.models.ids import new_id
from gateway.models.principal import Principal
from gateway.store.base import FeedbackStore


class FeedbackService:
    """Gives, finds, revises and withdraws feedback, whatever the dialect.

    A principal with a tenant sees and changes that tenant's entries alone; others do not exist for it.

    Args:
        spend: counts the votes of callers that may judge one request alone.
        tell: told of versions once they are stored.
    """

    def __init__(
        self, store: FeedbackStore, check_rate: RateCheck = no_rate_limit, on_stored: OnStored = ignore_stored
    ) -> None:
        self._store = store
        self._check_rate = check_rate
        self._on_stored = on_stored
        self._thumbs = ThumbsCheck(store)

    async def give(
        self,
        items: Sequence[NewFeedback],
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
        refuse_chosen_ids(items, principal)
        subjects = [(item.subject_id, item.target) for item in items]
        await refuse_beyond_scope(subjects, principal, self._store, self._check_rate)
        call = idempotent_call(
            principal, dialect, "give", idempotency_key, [(item.subject_id, item.raw) for item in items]
        )
        for _ in range(MAX_ATTEMPTS):
            if receipt := await self._find_receipt(call):
                return await self._repeated_result(receipt, items, principal, dialect)
            entries, new = await self._build_entries(items, principal, dialect)
            try:
                await self._store_entries(new, call, [entry.feedback_id for entry in entries])
            except Conflict:
                continue
            return await reload_joined(self._store, entries)
        raise contention_error()

    async def sends_thumbs_as_grades(self, principal: Principal, items: Sequence[NewFeedback]) -> bool:
        """Tell whether a caller whose votes were just given as grades has only ever given 0 and 1; see
        `ThumbsCheck`. What comes with a feedback token is not looked at: its bearer cannot mend it."""
        values = [item.value for item in items if item.value is not None]
        return principal.scope is None and await self._thumbs.sends_thumbs_as_grades(principal.name, values)

    async def revise(
        self,
        feedback_id: str,
        change: FeedbackChange,
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
        call = idempotent_call(principal, dialect, "revise", idempotency_key, [(feedback_id, change.raw)])
        return await self._store_next_version(feedback_id, change.of, principal, dialect, call)

    async def withdraw(self, feedback_id: str, principal: Principal, dialect: str) -> Feedback:
        """Mark an entry deleted by a last version, and return that; the earlier ones stay in its history.

        Raises:
            NotFound: there is no such entry, it was deleted before, or it is another tenant's.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        return await self._store_next_version(feedback_id, mark_deleted, principal, dialect, None)

    async def remove(self, feedback_id: str, principal: Principal, dialect: str) -> None:
        """Delete an entry for good, with its history.

        Raises:
            NotFound: there is no such entry, it was deleted before, or it is another tenant's.
            StoreUnavailable: it may be there or not; the same call may work later.
        """
        current = await self._find_current(feedback_id, principal)
        if not await self._store.remove_feedback(current.feedback_id):
            raise _not_found(feedback_id)
        self._on_stored([next_version(current, mark_deleted(current), principal, dialect)])

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
        for stored_id in stored_feedback_ids(feedback_id, principal.tenant):
            versions = await self._store.history(stored_id)
            if versions and principal.can_see(versions[-1].tenant):
                return versions
        raise _not_found(feedback_id)

    async def _store_next_version(
        self,
        feedback_id: str,
        changed: Callable[[Feedback], Feedback],
        principal: Principal,
        dialect: str,
        call: IdempotentCall | None,
    ) -> Feedback:
        """Store the version that follows the latest, whichever that is when it is written."""
        for _ in range(MAX_ATTEMPTS):
            current = await self._find_current(feedback_id, principal)
            if await self._find_receipt(call):
                return current
            following = next_version(current, changed(current), principal, dialect)
            try:
                await self._store_entries([following], call, [following.feedback_id])
            except Conflict:
                continue
            return following
        raise contention_error()

    async def _find_receipt(self, call: IdempotentCall | None) -> Receipt | None:
        """The receipt of the call that this one repeats."""
        earlier = await self._store.receipt(call.scope, call.key) if call else None
        if call and earlier:
            call.refuse_unless_repeats(earlier)
        return earlier

    async def _repeated_result(
        self, receipt: Receipt, items: Sequence[NewFeedback], principal: Principal, dialect: str
    ) -> list[Feedback]:
        """What an earlier call with these votes made. Of an array, some may be too old to be there still."""
        found = await self._store.feedback_by_ids(receipt.feedback_ids)
        stored = {entry.feedback_id: entry for entry in found}
        return [
            stored.get(feedback_id)
            or build_feedback(
                replace(item, feedback_id=feedback_id),
                unresolved_subject(item, principal),
                principal,
                dialect,
                now_us(),
            )
            for feedback_id, item in zip(receipt.feedback_ids, items, strict=True)
        ]

    async def _store_entries(
        self, entries: Sequence[Feedback], call: IdempotentCall | None, ids: Sequence[str]
    ) -> None:
        receipt = call.receipt(ids) if call else None
        if entries or receipt:
            await self._store.put_feedback(entries, receipt)
            self._on_stored(entries)

    async def _build_entries(
        self, items: Sequence[NewFeedback], principal: Principal, dialect: str
    ) -> tuple[list[Feedback], list[Feedback]]:
        """The entry of each vote, and those among them that are new."""
        chosen = [item.feedback_id for item in items if item.feedback_id]
        known = await self._first_versions(chosen, principal)
        subjects_by_id = await resolve_subjects(self._store, items, principal)
        at_us = now_us()
        entries: list[Feedback] = []
        new: list[Feedback] = []
        for item in items:
            entry = known.get(item.feedback_id or "")
            if entry is None:
                link = resolved_subject(item, subjects_by_id, principal)
                entry = build_feedback(_with_stored_id(item, principal), link, principal, dialect, at_us)
                known[item.feedback_id or entry.feedback_id] = entry
                new.append(entry)
            else:
                _refuse_other_content(entry, item, dialect)
            entries.append(entry)
        return entries, new

    async def _first_versions(self, chosen: Sequence[str], principal: Principal) -> dict[str, Feedback]:
        """The first versions of this caller's entries, by the ids that were chosen for them."""
        ids = {one: stored_feedback_ids(one, principal.tenant) for one in chosen}
        originals: dict[str, Feedback] = {}
        for entry in await self._store.feedback_by_ids([*chain(*ids.values())]) if ids else []:
            if principal.can_see(entry.tenant):
                is_revised = entry.version > 1
                versions = await self._store.history(entry.feedback_id) if is_revised else [entry]
                originals[entry.feedback_id] = versions[0]
        return {one: originals[each] for one in chosen for each in ids[one] if each in originals}

    async def _find_current(self, feedback_id: str, principal: Principal) -> Feedback:
        for entry in await self._store.feedback_by_ids(stored_feedback_ids(feedback_id, principal.tenant)):
            if principal.can_see(entry.tenant) and entry.deleted_at_us is None:
                return entry
        raise _not_found(feedback_id)


def build_feedback(
    item: NewFeedback, link: ResolvedSubject, principal: Principal, dialect: str, at_us: int
) -> Feedback:
    """Return the entry that a vote becomes when it is given at this time."""
    return Feedback(
        feedback_id=item.feedback_id or new_id(),
        tenant=link.tenant,
        subject_id=item.subject_id,
        target=link.target,
        trace_id=link.trace_id,
        request_id=link.request_id,
        session=link.session,
        joined_at_us=at_us if link.is_joined else None,
        kind=item.kind,
        metric=item.metric,
        value=item.value,
        weight=item.weight,
        score=item.score,
        grade=to_grade(item.score) if item.grade is None else item.grade,
        label=item.label,
        comment=item.comment,
        original_text=item.original_text,
        edited_text=item.edited_text,
        author=author_of(principal, item.author),
        app_id=item.app_id,
        app_version=item.app_version,
        source=item.source,
        metadata=item.metadata,
        dialect=dialect,
        raw=item.raw,
        key_name=principal.name,
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def _with_stored_id(item: NewFeedback, principal: Principal) -> NewFeedback:
    """Return a vote with the id under which its entry is stored, if its voter gave it one."""
    if item.feedback_id is None:
        return item
    return replace(item, feedback_id=stored_feedback_ids(item.feedback_id, principal.tenant)[0])


def _refuse_other_content(earlier: Feedback, item: NewFeedback, dialect: str) -> None:
    """Raise Conflict unless `vote` says again what the entry of its id said first."""
    was = earlier.dialect, earlier.subject_id, canonical_json(earlier.raw)
    if was != (dialect, item.subject_id, canonical_json(item.raw)):
        raise Conflict(
            f"the id {item.feedback_id} is that of an entry with other content.",
            hint="Send a new id for a new entry.",
        )


def _not_found(feedback_id: str) -> NotFound:
    return NotFound(f"no feedback entry has the id {feedback_id}.", field="feedback_id")


def imported_feedback(item: NewFeedback, principal: Principal, dialect: str, given_at_us: int) -> Feedback:
    """Return the entry of a vote that was given at this time. The store joins it to what it is about."""
    return build_feedback(item, unresolved_subject(item, principal), principal, dialect, given_at_us)


def imported_upsert(
    item: UpsertFeedback, trace_id: str, principal: Principal, dialect: str, given_at_us: int
) -> Feedback:
    """Do what `past_entry` does for a vote of which the last one counts: its entry is in the place of all votes on
    that request of that trace, so that one which was given here stays, and later ones revise it."""
    own = feedback_key_id(principal.tenant, (trace_id, item.request_id), item.author, item.metric)
    key = FeedbackKey(item.metric, None, (own,))
    return rules.build_upsert(item, key, principal, dialect, given_at_us)


async def find_missing_feedback(store: FeedbackStore, entries: Sequence[Feedback]) -> list[Feedback]:
    """Return the entries of whose id none is stored; of several with the same id the first."""
    by_id: dict[str, Feedback] = {}
    for entry in entries:
        by_id.setdefault(entry.feedback_id, entry)
    for known in await store.feedback_by_ids(list(by_id)):
        del by_id[known.feedback_id]
    return list(by_id.values())


async def insert_missing_feedback(store: FeedbackStore, entries: Sequence[Feedback]) -> int:
    """Store the entries that are missing, all or none, and return how many there were.

    One that is stored already stays as it is: what was said here since then is younger.

    Raises:
        StoreUnavailable: nothing was stored; the same call may work later.
    """
    for _ in range(MAX_ATTEMPTS):
        missing = await find_missing_feedback(store, entries)
        try:
            if missing:
                await store.put_feedback(missing)
        except Conflict:
            continue
        return len(missing)
    raise contention_error()
