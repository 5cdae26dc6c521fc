"""FeedbackService: give, revise, withdraw, find and import feedback."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gateway.errors import Conflict, NotFound
from gateway.feedback import identifiers, rules
from gateway.feedback.idempotency import IdempotentCall, idempotent_call
from gateway.feedback.named_values import NamedFeedback, find_named_subjects
from gateway.feedback.payloads import RATING_METRIC, FeedbackChange, KeyScales, NewFeedback, Scale
from gateway.feedback.rules import GiveCall, RateCheck, Rule
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback, Receipt, Subject, Target, single_subject
from gateway.models.filters import Filter, Page, Sort
from gateway.models.ids import content_id
from gateway.models.principal import Principal
from gateway.store.base import FeedbackStore

# Receives versions of entries once they are stored; must not raise.
OnStored = Callable[[Sequence[Feedback]], None]

_THUMB_VALUES = frozenset({0, 1})
# So many grades of 0 and 1 and no others are taken for thumbs.
_MIN_THUMBS = 5
_GIVES_GRADES = -1


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """What a reload of the configuration replaces."""

    orphan_window_seconds: float = 3600.0
    scales: KeyScales = field(default_factory=KeyScales)


class FeedbackService:
    """Feedback of every API, the form, the command line and imports, for the caller's tenant."""

    def __init__(
        self,
        store: FeedbackStore,
        check_rate: RateCheck | None = None,
        observers: Sequence[OnStored] = (),
        settings: FeedbackSettings | None = None,
    ) -> None:
        self._store = store
        self._check_rate = check_rate
        self._observers = observers
        # Number of grades by API key while all of them are 0 or 1.
        self._thumbs: dict[str | None, int] = {}
        self.settings = settings or FeedbackSettings()

    async def give(
        self,
        items: Sequence[NewFeedback],
        principal: Principal,
        *,
        dialect: str,
        rule: Rule = rules.append,
        idempotency_key: str | None = None,
    ) -> list[Feedback]:
        """Store feedback, all or none, and return its entries in order.

        Args:
            rule: `append`, or `upsert` for items that differ in request, author or metric.
            idempotency_key: a repeated call returns the same entries and stores nothing.

        Raises:
            Ambiguous: the id of a subject names several things.
            Conflict: an id was used before with other content.
            NotFound: `upsert` of a request too old to be logged yet.
        """
        call = GiveCall(items, principal, dialect, self.settings.orphan_window_seconds)
        await rules.refuse_beyond_scope(self._store, call, self._check_rate)
        repeatable = idempotency_key and idempotent_call(
            principal, dialect, "give", idempotency_key, [(item.subject_id, item.raw) for item in items]
        )

        async def attempt() -> list[Feedback] | None:
            if repeatable and (receipt := await self._find_receipt(repeatable)):
                return await self._repeated_result(receipt, call)
            given = await rule(self._store, call)
            receipt = repeatable.receipt([each.feedback_id for each in given.entries]) if repeatable else None
            if not await self._try_put(given.versions, receipt):
                return None
            return await identifiers.reload_joined(self._store, given.entries)

        return await rules.retry_until_stored(attempt)

    async def give_named(
        self,
        items: Sequence[NamedFeedback],
        principal: Principal,
        *,
        dialect: str,
        rule: Rule = rules.append,
        idempotency_key: str | None = None,
    ) -> list[Feedback]:
        """Give feedback on the first id of each item under which something is logged; raises what `give` does."""
        found = await find_named_subjects(self._store, items, principal)
        chosen = [item.feedback_id for item in items if item.feedback_id]
        if principal.scope is not None and chosen and idempotency_key is None:
            # The ids of its bearer tell retries, but become no ids here.
            idempotency_key = content_id("\0".join(chosen).encode())
        return await self.give(found, principal, dialect=dialect, rule=rule, idempotency_key=idempotency_key)

    async def find_subject(self, any_id: str, principal: Principal) -> Subject | None:
        """Return the trace, request or session of an id. Raises Ambiguous."""
        resolved = await self._store.resolve([any_id], principal.tenant)
        return single_subject(any_id, resolved.get(any_id, ()))

    async def entry(self, feedback_id: str, principal: Principal) -> Feedback:
        """Return the latest version of an entry that is not withdrawn. Raises NotFound."""
        return await self._find_current(feedback_id, principal)

    def scale_of(self, principal: Principal) -> Scale:
        scales = self.settings.scales
        return scales.by_key.get(principal.name or "", scales.default)

    async def sends_thumbs_as_grades(self, principal: Principal, items: Sequence[NewFeedback]) -> bool:
        """Count grades just given; tell whether their key has only ever given 0 and 1."""
        # The bearer of a feedback token cannot change the configuration.
        if principal.scope is not None:
            return False
        name, before = principal.name, self._thumbs.get(principal.name, 0)
        values = [item.value for item in items if item.value is not None]
        if before < 0 or not _THUMB_VALUES.issuperset(values):
            self._thumbs[name] = _GIVES_GRADES
            return False
        self._thumbs[name] = before + len(values)
        if self._thumbs[name] < _MIN_THUMBS:
            return False
        # The count is that of this process; grades given before it are looked up only now.
        if await self._store.has_non_binary_grades(name):
            self._thumbs[name] = _GIVES_GRADES
            return False
        return True

    async def current(
        self, request_id: str, principal: Principal, metric: str = RATING_METRIC
    ) -> Feedback | None:
        resolved = await self._store.resolve([request_id], principal.tenant, Target.REQUEST)
        # Without an error for an ambiguous id: there is no earlier feedback to show then.
        subjects = resolved.get(request_id, ())
        subject = subjects[0] if len(subjects) == 1 else None
        author = rules.author_of(principal, None)
        key = identifiers.feedback_key(request_id, subject, principal.tenant, author, metric)
        [entries] = await rules.entries_of_keys(self._store, [key], principal)
        return next((entry for entry in entries if entry.deleted_at_us is None), None)

    async def revise(
        self,
        feedback_id: str,
        change: FeedbackChange,
        principal: Principal,
        dialect: str,
        *,
        idempotency_key: str | None = None,
    ) -> Feedback:
        """Store the next version of an entry. Raises NotFound, Conflict."""
        call = idempotent_call(principal, dialect, "revise", idempotency_key, [(feedback_id, change.raw)])
        return await self._store_next_version(feedback_id, change.of, principal, dialect, call)

    async def withdraw(self, feedback_id: str, principal: Principal, dialect: str) -> Feedback:
        """Mark an entry deleted by a last version. Raises NotFound."""
        return await self._store_next_version(feedback_id, rules.mark_deleted, principal, dialect, None)

    async def remove(self, feedback_id: str, principal: Principal, dialect: str) -> None:
        """Delete an entry for good, with its history. Raises NotFound."""
        current = await self._find_current(feedback_id, principal)
        if not await self._store.remove_feedback(current.feedback_id):
            raise _not_found(feedback_id)
        self._notify([rules.next_version(current, rules.mark_deleted(current), principal, dialect)])

    async def find(self, where: Filter, sort: Sort, page: Page, principal: Principal) -> list[Feedback]:
        return await self._store.find_feedback(where, sort, page, principal.tenant)

    async def history(self, feedback_id: str, principal: Principal) -> list[Feedback]:
        """Return all versions, also of a withdrawn entry. Raises NotFound."""
        for stored_id in identifiers.stored_feedback_ids(feedback_id, principal.tenant):
            versions = await self._store.history(stored_id)
            if versions and principal.can_see(versions[-1].tenant):
                return versions
        raise _not_found(feedback_id)

    async def find_missing(self, entries: Sequence[Feedback]) -> list[Feedback]:
        """Return the entries whose id is not stored, each id once."""
        by_id: dict[str, Feedback] = {}
        for entry in entries:
            by_id.setdefault(entry.feedback_id, entry)
        for known in await self._store.feedback_by_ids(list(by_id)):
            del by_id[known.feedback_id]
        return list(by_id.values())

    async def insert_missing(self, entries: Sequence[Feedback]) -> int:
        """Store the missing entries, all or none; return how many."""

        async def attempt() -> int | None:
            missing = await self.find_missing(entries)
            try:
                if missing:
                    await self._store.put_feedback(missing)
            except Conflict:
                return None
            return len(missing)

        return await rules.retry_until_stored(attempt)

    async def _store_next_version(
        self,
        feedback_id: str,
        change: Callable[[Feedback], Feedback],
        principal: Principal,
        dialect: str,
        call: IdempotentCall | None,
    ) -> Feedback:
        async def attempt() -> Feedback | None:
            current = await self._find_current(feedback_id, principal)
            if call and await self._find_receipt(call):
                return current
            version = rules.next_version(current, change(current), principal, dialect)
            receipt = call.receipt([version.feedback_id]) if call else None
            return version if await self._try_put([version], receipt) else None

        return await rules.retry_until_stored(attempt)

    async def _find_receipt(self, call: IdempotentCall) -> Receipt | None:
        earlier = await self._store.receipt(call.scope, call.key)
        if earlier:
            call.refuse_unless_repeats(earlier)
        return earlier

    async def _repeated_result(self, receipt: Receipt, call: GiveCall) -> list[Feedback]:
        found = await self._store.feedback_by_ids(receipt.feedback_ids)
        stored = {entry.feedback_id: entry for entry in found}
        # Some may be deleted since; the answer is the same all the same.
        return [
            stored.get(each) or rules.build_feedback(replace(item, feedback_id=each), None, call, now_us())
            for each, item in zip(receipt.feedback_ids, call.items, strict=True)
        ]

    async def _try_put(self, versions: Sequence[Feedback], receipt: Receipt | None) -> bool:
        if versions or receipt:
            try:
                await self._store.put_feedback(versions, receipt)
            except Conflict:
                return False
            self._notify(versions)
        return True

    def _notify(self, versions: Sequence[Feedback]) -> None:
        for observe in self._observers:
            observe(versions)

    async def _find_current(self, feedback_id: str, principal: Principal) -> Feedback:
        ids = identifiers.stored_feedback_ids(feedback_id, principal.tenant)
        for entry in await self._store.feedback_by_ids(ids):
            if principal.can_see(entry.tenant) and entry.deleted_at_us is None:
                return entry
        raise _not_found(feedback_id)


def _not_found(feedback_id: str) -> NotFound:
    return NotFound(f"no feedback entry has the id {feedback_id}.", field="feedback_id")
