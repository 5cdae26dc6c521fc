"""Feedback: page through it, and find that on requests, their traces and their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import TooLarge
from gateway.models.feedback import Feedback, Target
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import RequestRecord
from gateway.query.filters import FEEDBACK_FILTERS, after_cursor, find_unknown_keys
from gateway.store.base import Queries

NEWEST_FEEDBACK_FIRST = Sort("created_at_us", descending=True, then=Sort("feedback_id", descending=False))
OLDEST_FEEDBACK_FIRST = Sort("created_at_us", descending=False)

# Most entries read at a time; with more the call is refused, since a part would give wrong sums.
MAX_FEEDBACK = 10_000

# Time and id of the last entry of the page before.
FeedbackCursor = tuple[int, str]

_Group = tuple[str | None, Target, str | None]


@dataclass(frozen=True, slots=True)
class FeedbackSlice:
    """A page of entries, newest first; `next_cursor` is None on the last page."""

    entries: list[Feedback]
    next_cursor: FeedbackCursor | None
    unknown_keys: tuple[str, ...] = ()


class FeedbackReader:
    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(
        self, where: Filter, limit: int, after: FeedbackCursor | None, tenant: str | None
    ) -> FeedbackSlice:
        """Return entries, newest first. Entries added meanwhile shift no page."""

        async def exists(condition: Filter) -> bool:
            return bool(await self._store.find_feedback(condition, NEWEST_FEEDBACK_FIRST, Page(1), tenant))

        following = AllOf((where, after_cursor(after, "created_at_us", "feedback_id", Op.GT)))
        found = await self._store.find_feedback(following, NEWEST_FEEDBACK_FIRST, Page(limit + 1), tenant)
        if not found and after is None:
            return FeedbackSlice([], None, await find_unknown_keys(FEEDBACK_FILTERS, where, exists))
        entries = found[:limit]
        cursor = (entries[-1].created_at_us, entries[-1].feedback_id) if len(found) > limit else None
        return FeedbackSlice(entries, cursor)

    async def count(self, where: Filter, most: int, tenant: str | None) -> int:
        """Return the number of entries, of more than `most` this number and one."""
        return await self._store.count_feedback(where, Page(most + 1), tenant)


@dataclass(frozen=True, slots=True)
class RelatedFeedback:
    """Feedback on some requests, oldest first; `counted` are the entries that count for one of them."""

    entries: tuple[Feedback, ...]
    counted: tuple[Feedback, ...]


def feedback_on_request(record: RequestRecord) -> Filter:
    """Match feedback on a request, its trace or its session."""
    is_request = Comparison("request_id", Op.EQ, record.request_id)
    is_trace = Comparison("trace_id", Op.EQ, record.trace_id)
    options = [AllOf((is_request, is_trace)), AllOf((Comparison("target", Op.EQ, Target.TRACE), is_trace))]
    if record.session is not None:
        is_session = Comparison("session", Op.EQ, record.session)
        options.append(AllOf((Comparison("target", Op.EQ, Target.SESSION), is_session)))
    return AllOf((Comparison("tenant", Op.EQ, record.tenant), AnyOf(tuple(options))))


async def list_feedback(store: Queries, where: Filter, tenant: str | None) -> tuple[Feedback, ...]:
    found = await store.find_feedback(where, OLDEST_FEEDBACK_FIRST, Page(MAX_FEEDBACK + 1), tenant)
    if len(found) > MAX_FEEDBACK:
        raise TooLarge(f"there are more than {MAX_FEEDBACK:,} feedback entries on it.")
    return tuple(found)


async def list_feedback_on_requests(
    store: Queries, records: Sequence[RequestRecord], own: Filter, tenant: str | None
) -> RelatedFeedback:
    """Return the feedback on requests of a trace or session. Raises TooLarge.

    Args:
        own: matches entries that count whichever request they count for.
    """
    seqs = tuple(record.seq for record in records)
    counted = await list_feedback(store, AnyOf((own, Comparison("request_seq", Op.IN, seqs))), tenant)
    groups: set[_Group] = {(record.tenant, Target.TRACE, record.trace_id) for record in records}
    groups |= {(record.tenant, Target.SESSION, record.session) for record in records if record.session}
    on_groups = AnyOf((_on_groups(Target.TRACE, groups), _on_groups(Target.SESSION, groups)))
    entries = {entry.feedback_id: entry for entry in counted}
    # Names alone match other tenants' groups too.
    on_them = [each for each in await list_feedback(store, on_groups, tenant) if _group_of(each) in groups]
    entries |= {entry.feedback_id: entry for entry in on_them}
    in_order = sorted(entries.values(), key=lambda entry: entry.created_at_us)
    return RelatedFeedback(tuple(in_order), counted)


def _on_groups(target: Target, groups: set[_Group]) -> Filter:
    names = tuple(dict.fromkeys(name for _, kind, name in groups if kind is target))
    field = "session" if target is Target.SESSION else "trace_id"
    return AllOf((Comparison("target", Op.EQ, target), Comparison(field, Op.IN, names)))


def _group_of(entry: Feedback) -> _Group:
    name = entry.session if entry.target is Target.SESSION else entry.trace_id
    return entry.tenant, entry.target, name
