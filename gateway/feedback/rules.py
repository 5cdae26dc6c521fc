"""Rules of feedback: token scope, versions, write conflicts, and upsert by feedback key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gateway.errors import Conflict, Forbidden, NotFound, StoreUnavailable
from gateway.feedback.identifiers import FeedbackKey, feedback_key, reload_joined
from gateway.feedback.payloads import NewFeedback, to_grade
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback, Kind, Source, Subject, Target, single_subject
from gateway.models.principal import FeedbackScope, Principal
from gateway.store.base import FeedbackStore

MAX_ATTEMPTS = 100
"""How often a write is tried when others come in between. Each time, one of the rivals got through."""


def contention_error() -> StoreUnavailable:
    """Return the error for a write that was tried so often in vain."""
    return StoreUnavailable("too many changes to the same entry came at once.", hint="Send it again.")


def next_version(current: Feedback, changed: Feedback, principal: Principal, dialect: str) -> Feedback:
    """Return `changed` as the version that follows `current`, made now by this caller in this dialect."""
    return replace(
        changed,
        version=current.version + 1,
        dialect=dialect,
        key_name=principal.name,
        updated_at_us=max(now_us(), current.updated_at_us),
    )


def mark_deleted(entry: Feedback) -> Feedback:
    """Return `entry` as it is once it no longer counts; version and origin stay to be set."""
    return replace(entry, raw="{}", deleted_at_us=max(now_us(), entry.updated_at_us))


OnStored = Callable[[Sequence[Feedback]], None]
"""Told of versions of entries once they are stored. Must not raise."""


def ignore_stored(versions: Sequence[Feedback]) -> None:
    """Tell nobody."""


TOKEN_AUTHOR = "feedback token"
"""The author of every vote by such a caller. A name that it gives itself has been checked by nobody, and could be
that of somebody else, whose standing vote it would take."""

RateCheck = Callable[[Principal, int], None]
"""Counts votes that a caller is about to give. Raises TooManyRequests, or TooLarge, where it may not give them."""


def no_rate_limit(caller: Principal, items: int) -> None:
    """Let every caller give as many votes as it likes."""


def author_of(principal: Principal, subjects_by_id: str | None) -> str | None:
    """Return whose vote it is, given the author that the caller names."""
    return subjects_by_id if principal.scope is None else TOKEN_AUTHOR


async def refuse_beyond_scope(
    subjects: Sequence[tuple[str, Target]], principal: Principal, store: FeedbackStore, check_rate: RateCheck
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
    check_rate(principal, len(subjects))
    for subject_id, target in dict.fromkeys(subjects):
        subjects_by_id = (await store.resolve([subject_id], principal.tenant, target)).get(subject_id, [])
        own = (scope.request_id,) if target is Target.REQUEST else (scope.trace_id, scope.request_id)
        if not (
            _are_in_scope(scope, principal.tenant, subjects_by_id) if subjects_by_id else subject_id in own
        ):
            raise Forbidden(
                f"a feedback token judges its own request alone, which {subject_id!r} does not name.",
                hint=f"Name it as {' or '.join(map(repr, own))}.",
            )


def refuse_chosen_ids(items: Sequence[NewFeedback], principal: Principal) -> None:
    """Keep callers with a scope from taking the ids that entries of others are going to have.

    Raises:
        Forbidden: such a caller has chosen an id for an entry.
    """
    if principal.scope is not None and any(item.feedback_id is not None for item in items):
        raise Forbidden(
            "a feedback token cannot choose the id of an entry.",
            hint="Send an Idempotency-Key to make a call safe to repeat.",
        )


def _are_in_scope(scope: FeedbackScope, tenant: str | None, subjects: Sequence[Subject]) -> bool:
    return all(
        subject.tenant == tenant
        and subject.trace_id == scope.trace_id
        and subject.request_id in (None, scope.request_id)
        for subject in subjects
    )


RATING_METRIC = "rating"
"""The metric of thumbs: a voter's thumb on a request is one vote, wherever it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertFeedback:
    """A vote on a request. Fields mean what they mean in `Feedback`.

    Args:
        request_id: the request's id as the voter gave it: ours, or its provider's response id.
        metric: what is judged; with the request and the author it says which entry stands for the vote.
    """

    request_id: str
    kind: Kind
    metric: str
    value: float
    score: float | None
    comment: str | None = None
    author: str | None = None
    source: Source = Source.HUMAN
    raw: str


def thumb_feedback(
    request_id: str, *, is_up: bool, raw: str, author: str | None = None, comment: str | None = None
) -> UpsertFeedback:
    """Return the vote that a thumb up or down on a request is; `raw` is the JSON that it came in."""
    value = 1.0 if is_up else -1.0
    return UpsertFeedback(
        request_id=request_id,
        kind=Kind.THUMB,
        metric=RATING_METRIC,
        value=value,
        score=value,
        comment=comment,
        author=author,
        raw=raw,
    )


class UpsertRule:
    """Keeps one entry for each request, author and metric: what was said last, by whatever id of the request.

    A vote on a request that is not logged waits for it, as all feedback does. Only an id that tells its own
    age is refused when that is more than `orphan_window` seconds and nothing of that name is logged.

    Votes that came before their request, by different ids of it or by callers of different tenancy, are
    entries of their own until the author votes again; then the last one stands and the others are withdrawn.

    Args:
        spend: counts the votes of callers that may judge one request alone.
        tell: told of versions once they are stored.
    """

    def __init__(
        self,
        store: FeedbackStore,
        orphan_window: Callable[[], float],
        check_rate: RateCheck = no_rate_limit,
        on_stored: OnStored = ignore_stored,
    ) -> None:
        self._store = store
        self._on_stored = on_stored
        self._orphan_window = orphan_window
        self._check_rate = check_rate

    async def upsert(
        self, items: Sequence[UpsertFeedback], principal: Principal, *, dialect: str
    ) -> list[Feedback]:
        """Store votes, all or none, and return the versions of the entries that they became, in order.

        Votes must differ in what they stand for.

        Raises:
            NotFound: a request is not logged, and too long ago to be still under way.
            Ambiguous: the id of a request names several.
            Conflict: the place of an entry is taken by one that is another tenant's or no such vote.
            Forbidden, TooManyRequests, TooLarge: the caller may not give them, or not so many.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        subjects = [(item.request_id, Target.REQUEST) for item in items]
        await refuse_beyond_scope(subjects, principal, self._store, self._check_rate)
        for _ in range(MAX_ATTEMPTS):
            keys = await self._feedback_keys(items, principal)
            current = await self._current_feedback(keys, principal)
            entries = [
                _next_upsert_version(item, key, matches[0] if matches else None, principal, dialect)
                for item, key, matches in zip(items, keys, current, strict=True)
            ]
            superseded = [
                next_version(entry, mark_deleted(entry), principal, dialect)
                for matches in current
                for entry in matches[1:]
                if entry.deleted_at_us is None
            ]
            try:
                await self._store.put_feedback([*entries, *superseded])
            except Conflict:
                continue
            self._on_stored([*entries, *superseded])
            return await reload_joined(self._store, entries)
        raise contention_error()

    async def current(
        self, request_id: str, principal: Principal, metric: str = RATING_METRIC
    ) -> Feedback | None:
        """Return the vote of a caller with a feedback token that stands now; None where there is none."""
        subjects_by_id = (await self._store.resolve([request_id], principal.tenant, Target.REQUEST)).get(
            request_id, ()
        )
        subject = subjects_by_id[0] if len(subjects_by_id) == 1 else None
        key = feedback_key(request_id, subject, principal.tenant, author_of(principal, None), metric)
        [matches] = await self._current_feedback([key], principal)
        return next((entry for entry in matches if entry.deleted_at_us is None), None)

    async def _feedback_keys(
        self, items: Sequence[UpsertFeedback], principal: Principal
    ) -> list[FeedbackKey]:
        request_ids = list(dict.fromkeys(item.request_id for item in items))
        subjects_by_id = await self._store.resolve(request_ids, principal.tenant, Target.REQUEST)
        subjects = {
            each: single_subject(each, subjects_by_id.get(each, ()), field="request_id")
            for each in request_ids
        }
        for request_id, subject in subjects.items():
            if subject is None:
                self._refuse_expired(request_id)
        return [
            feedback_key(
                item.request_id,
                subjects[item.request_id],
                principal.tenant,
                author_of(principal, item.author),
                item.metric,
            )
            for item in items
        ]

    async def _current_feedback(
        self, keys: Sequence[FeedbackKey], principal: Principal
    ) -> list[list[Feedback]]:
        found = await self._store.feedback_by_ids([each for key in keys for each in key.ids])
        known = {entry.feedback_id: entry for entry in found}
        return [key.entries(known, principal) for key in keys]

    def _refuse_expired(self, request_id: str) -> None:
        made_at_us = _uuid7_time_us(request_id)
        if made_at_us is not None and now_us() - made_at_us > self._orphan_window() * 1e6:
            raise NotFound("Request not found")


def _next_upsert_version(
    item: UpsertFeedback, key: FeedbackKey, current: Feedback | None, principal: Principal, dialect: str
) -> Feedback:
    """The version that a vote makes of what stands. One that waits is joined by the store."""
    first = build_upsert(item, key, principal, dialect, now_us())
    if current is None:
        return first
    return replace(
        first,
        feedback_id=current.feedback_id,
        version=current.version + 1,
        tenant=current.tenant,
        target=current.target,
        trace_id=current.trace_id,
        request_id=current.request_id,
        joined_at_us=current.joined_at_us,
        created_at_us=current.created_at_us,
        updated_at_us=max(first.updated_at_us, current.updated_at_us),
    )


def build_upsert(
    item: UpsertFeedback, key: FeedbackKey, principal: Principal, dialect: str, at_us: int
) -> Feedback:
    """Return the entry of a vote that is the first in its place, given at this time."""
    subject = key.subject
    return Feedback(
        feedback_id=key.ids[0],
        tenant=subject.tenant if subject else principal.tenant,
        subject_id=item.request_id,
        target=Target.REQUEST,
        trace_id=subject.trace_id if subject else None,
        request_id=subject.request_id if subject else None,
        joined_at_us=at_us if subject else None,
        kind=item.kind,
        metric=item.metric,
        value=item.value,
        score=item.score,
        grade=to_grade(item.score),
        comment=item.comment,
        author=author_of(principal, item.author),
        source=item.source,
        dialect=dialect,
        raw=item.raw,
        key_name=principal.name,
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def _uuid7_time_us(any_id: str) -> int | None:
    """When a UUIDv7 says that it was made (RFC 9562, section 5.7); None for any other id."""
    try:
        found = UUID(any_id)
    except ValueError:
        return None
    is_plain = str(found) == any_id.lower()
    return (found.int >> 80) * 1000 if is_plain and found.version == 7 else None
