"""Rules of feedback: append, upsert, versions, write conflicts, and what a feedback token allows."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar
from uuid import UUID

from gateway.errors import Conflict, Forbidden, NotFound, StoreUnavailable
from gateway.feedback import idempotency, identifiers
from gateway.feedback.identifiers import FeedbackKey
from gateway.feedback.payloads import NewFeedback, to_grade
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback, Subject, Target
from gateway.models.ids import new_id
from gateway.models.principal import FeedbackScope, Principal
from gateway.store.base import FeedbackStore

# Each conflict means that another writer got through, so a hundred in a row are no accident.
MAX_ATTEMPTS = 100

# A name that the bearer of a token gives itself is unchecked, and could be that of another author, whose feedback
# an upsert would replace.
TOKEN_AUTHOR = "feedback token"

# Counts entries of a feedback token; raises TooManyRequests or TooLarge.
RateCheck = Callable[[Principal, int], None]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GiveCall:
    items: Sequence[NewFeedback]
    principal: Principal
    dialect: str
    orphan_window_seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class GivenFeedback:
    """Entries of a call, one for each item, and the versions to store."""

    entries: list[Feedback]
    versions: list[Feedback]


Rule = Callable[[FeedbackStore, GiveCall], Awaitable[GivenFeedback]]


async def append(store: FeedbackStore, call: GiveCall) -> GivenFeedback:
    """Make an entry of each item, or find the one given before under its id. Raises Ambiguous, Conflict."""
    known = await _first_versions(store, call)
    found = await identifiers.find_subjects(store, call.items, call.principal)
    at_us = now_us()
    given = GivenFeedback([], [])
    for item in call.items:
        entry = known.get(item.feedback_id or "")
        if entry is not None:
            _refuse_other_content(entry, item, call.dialect)
        else:
            subject = identifiers.subject_of(item, found)
            entry = build_feedback(with_stored_id(item, call.principal), subject, call, at_us)
            known[item.feedback_id or entry.feedback_id] = entry
            given.versions.append(entry)
        given.entries.append(entry)
    return given


async def upsert(store: FeedbackStore, call: GiveCall) -> GivenFeedback:
    """Make each item the next version of the entry for its request, metric and author.

    Raises:
        NotFound: the request is not logged, and its id too old for one in flight.
        Ambiguous, Conflict.
    """
    found = await identifiers.find_subjects(store, call.items, call.principal)
    subjects = [identifiers.subject_of(item, found) for item in call.items]
    pairs = list(zip(call.items, subjects, strict=True))
    for item, subject in pairs:
        if subject is None:
            _refuse_expired(item.subject_id, call.orphan_window_seconds)
    keys = [_key_of(item, subject, call.principal) for item, subject in pairs]
    current = await entries_of_keys(store, keys, call.principal)
    entries = [
        _next_upsert(item, key, call, matches[:1])
        for item, key, matches in zip(call.items, keys, current, strict=True)
    ]
    # Feedback that came before its request, by other ids of it, is several entries until the next upsert.
    superseded = [
        next_version(entry, mark_deleted(entry), call.principal, call.dialect)
        for entry in chain(*(matches[1:] for matches in current))
        if entry.deleted_at_us is None
    ]
    return GivenFeedback(entries, [*entries, *superseded])


async def replace_by_id(store: FeedbackStore, call: GiveCall) -> GivenFeedback:
    """Make each item the entry of the id that it has, or that entry's next version where its content differs.

    Raises:
        Conflict: the id is that of a deleted entry, or of one on something else.
        Ambiguous.
    """
    found = await identifiers.find_subjects(store, call.items, call.principal)
    items = [with_stored_id(item, call.principal) for item in call.items]
    stored = await store.feedback_by_ids([item.feedback_id for item in items if item.feedback_id])
    known = {entry.feedback_id: entry for entry in stored if call.principal.can_see(entry.tenant)}
    given = GivenFeedback([], [])
    for item in items:
        entry = build_feedback(item, identifiers.subject_of(item, found), call, now_us())
        current = known.get(entry.feedback_id)
        if current is not None and _has_content(current, item, call.dialect):
            entry = current
        else:
            if current is not None:
                _refuse_other_subject(current, entry)
                entry = _as_next_version(entry, current)
            given.versions.append(entry)
        given.entries.append(entry)
    return given


async def entries_of_keys(
    store: FeedbackStore, keys: Sequence[FeedbackKey], principal: Principal
) -> list[list[Feedback]]:
    found = await store.feedback_by_ids([each for key in keys for each in key.ids])
    known = {entry.feedback_id: entry for entry in found}
    return [key.entries(known, principal) for key in keys]


def build_feedback(item: NewFeedback, subject: Subject | None, call: GiveCall, at_us: int) -> Feedback:
    """Return the first version of an entry. Without a subject the store joins it later."""
    score = item.score
    return Feedback(
        feedback_id=item.feedback_id or new_id(),
        tenant=subject.tenant if subject else call.principal.tenant,
        subject_id=item.subject_id,
        target=subject.target if subject else item.target,
        trace_id=subject.trace_id if subject else item.subject_id if item.target is Target.TRACE else None,
        request_id=subject.request_id if subject else None,
        session=subject.session if subject else None,
        joined_at_us=at_us if subject else None,
        kind=item.kind,
        metric=item.metric,
        value=item.value,
        weight=item.weight,
        score=score,
        grade=to_grade(score) if item.grade is None else item.grade,
        label=item.label,
        comment=item.comment,
        original_text=item.original_text,
        edited_text=item.edited_text,
        author=author_of(call.principal, item.author),
        app_id=item.app_id,
        app_version=item.app_version,
        source=item.source,
        metadata=item.metadata,
        dialect=call.dialect,
        raw=item.raw,
        key_name=call.principal.name,
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def imported_feedback(
    item: NewFeedback, principal: Principal, dialect: str, given_at_us: int, upsert_in: str | None = None
) -> Feedback:
    """Return an entry that was given elsewhere; with `upsert_in`, the trace of its request, one to be upserted."""
    if upsert_in is not None:
        name = (upsert_in, item.subject_id)
        own = identifiers.feedback_key_id(principal.tenant, name, item.author, item.metric)
        item = replace(item, feedback_id=own)
    return build_feedback(item, None, GiveCall((item,), principal, dialect), given_at_us)


def next_version(current: Feedback, changed: Feedback, principal: Principal, dialect: str) -> Feedback:
    return replace(
        changed,
        version=current.version + 1,
        dialect=dialect,
        key_name=principal.name,
        # The clock may have been set back.
        updated_at_us=max(now_us(), current.updated_at_us),
    )


def mark_deleted(entry: Feedback) -> Feedback:
    return replace(entry, raw="{}", deleted_at_us=max(now_us(), entry.updated_at_us))


async def retry_until_stored(attempt: Callable[[], Awaitable[T | None]]) -> T:
    """Return the first result; None means that another writer was first."""
    for _ in range(MAX_ATTEMPTS):
        if (result := await attempt()) is not None:
            return result
    raise StoreUnavailable("too many changes to the same entry came at once.", hint="Send it again.")


def author_of(principal: Principal, named: str | None) -> str | None:
    return named if principal.scope is None else TOKEN_AUTHOR


def with_stored_id(item: NewFeedback, principal: Principal) -> NewFeedback:
    if item.feedback_id is None:
        return item
    return replace(item, feedback_id=identifiers.stored_feedback_ids(item.feedback_id, principal.tenant)[0])


async def refuse_beyond_scope(store: FeedbackStore, call: GiveCall, check_rate: RateCheck | None) -> None:
    """Restrict a feedback token to its request. Raises Forbidden, TooManyRequests, TooLarge."""
    scope, tenant = call.principal.scope, call.principal.tenant
    if scope is None:
        return
    # A chosen id could be the one that another caller's entry is going to have.
    if any(item.feedback_id is not None for item in call.items):
        raise Forbidden(
            "a feedback token cannot choose the id of an entry.",
            hint="Send an Idempotency-Key to make a call safe to repeat.",
        )
    if check_rate is not None:
        check_rate(call.principal, len(call.items))
    # An id that names nothing yet may come to name another request, unless it is the one in the scope.
    for subject_id, target in dict.fromkeys((item.subject_id, item.target) for item in call.items):
        named = (await store.resolve([subject_id], tenant, target)).get(subject_id, [])
        own = (scope.request_id,) if target is Target.REQUEST else (scope.trace_id, scope.request_id)
        if not (_are_in_scope(scope, tenant, named) if named else subject_id in own):
            raise Forbidden(
                f"a feedback token is for its own request only, which {subject_id!r} does not name.",
                hint=f"Name it as {' or '.join(map(repr, own))}.",
            )


def _are_in_scope(scope: FeedbackScope, tenant: str | None, subjects: Sequence[Subject]) -> bool:
    return all(
        subject.tenant == tenant
        and subject.trace_id == scope.trace_id
        and subject.request_id in (None, scope.request_id)
        for subject in subjects
    )


def _key_of(item: NewFeedback, subject: Subject | None, principal: Principal) -> FeedbackKey:
    author = author_of(principal, item.author)
    return identifiers.feedback_key(item.subject_id, subject, principal.tenant, author, item.metric)


def _next_upsert(
    item: NewFeedback, key: FeedbackKey, call: GiveCall, current: Sequence[Feedback]
) -> Feedback:
    first = build_feedback(replace(item, feedback_id=key.ids[0]), key.subject, call, now_us())
    return _as_next_version(first, current[0]) if current else first


def _as_next_version(first: Feedback, entry: Feedback) -> Feedback:
    return replace(
        first,
        feedback_id=entry.feedback_id,
        version=entry.version + 1,
        tenant=entry.tenant,
        target=entry.target,
        trace_id=entry.trace_id,
        request_id=entry.request_id,
        joined_at_us=entry.joined_at_us,
        created_at_us=entry.created_at_us,
        updated_at_us=max(first.updated_at_us, entry.updated_at_us),
    )


def _refuse_expired(request_id: str, window_seconds: float) -> None:
    made_at_us = _uuid7_time_us(request_id)
    if made_at_us is not None and now_us() - made_at_us > window_seconds * 1e6:
        raise NotFound("Request not found")


def _uuid7_time_us(any_id: str) -> int | None:
    """Return the time in a UUIDv7 (RFC 9562, section 5.7); None for any other id."""
    try:
        found = UUID(any_id)
    except ValueError:
        return None
    is_plain = str(found) == any_id.lower()
    return (found.int >> 80) * 1000 if is_plain and found.version == 7 else None


async def _first_versions(store: FeedbackStore, call: GiveCall) -> dict[str, Feedback]:
    tenant = call.principal.tenant
    chosen = [item.feedback_id for item in call.items if item.feedback_id]
    if not chosen:
        return {}
    ids = {each: identifiers.stored_feedback_ids(each, tenant) for each in chosen}
    originals: dict[str, Feedback] = {}
    for entry in await store.feedback_by_ids([*chain(*ids.values())]):
        if call.principal.can_see(entry.tenant):
            versions = await store.history(entry.feedback_id) if entry.version > 1 else [entry]
            originals[entry.feedback_id] = versions[0]
    return {each: originals[stored] for each in chosen for stored in ids[each] if stored in originals}


def _refuse_other_content(earlier: Feedback, item: NewFeedback, dialect: str) -> None:
    if earlier.subject_id != item.subject_id or not _has_content(earlier, item, dialect):
        raise Conflict(
            f"the id {item.feedback_id} is that of an entry with other content.",
            hint="Send a new id for a new entry.",
        )


def _has_content(entry: Feedback, item: NewFeedback, dialect: str) -> bool:
    own, given = idempotency.canonical_json(entry.raw), idempotency.canonical_json(item.raw)
    return entry.deleted_at_us is None and (entry.dialect, own) == (dialect, given)


def _refuse_other_subject(current: Feedback, changed: Feedback) -> None:
    if current.deleted_at_us is not None:
        raise Conflict("the id is that of a deleted entry.", hint="Send a new id for a new entry.")
    pairs = ((each.trace_id, each.request_id, each.session) for each in (current, changed))
    is_known = current.joined_at_us is not None and changed.joined_at_us is not None
    if len(set(pairs)) > 1 if is_known else current.subject_id != changed.subject_id:
        raise Conflict("the id is that of an entry on something else.", hint="Send a new id for a new entry.")
