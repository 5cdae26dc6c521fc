"""Feedback: page through it, and find that on requests, their traces and their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import TooLarge
from gateway.models.feedback import Feedback, Target
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.metrics import HOUR_US
from gateway.models.request import RequestRecord
from gateway.query.filters import FEEDBACK_FILTERS, after_cursor, end_times, find_unknown_keys, start_times
from gateway.query.walks import ListWalk, within
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
    """A page of entries, newest first; `next_cursor` is None on the last page.

    Args:
        searched_from_us: until when the time limit allowed to look back; None if that did not end the page.
    """

    entries: list[Feedback]
    next_cursor: FeedbackCursor | None
    unknown_keys: tuple[str, ...] = ()
    searched_from_us: int | None = None


class FeedbackReader:
    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(
        self,
        where: Filter,
        limit: int,
        after: FeedbackCursor | None,
        tenant: str | None,
        seconds: float | None = None,
    ) -> FeedbackSlice:
        """Return entries, newest first. Entries added meanwhile shift no page.

        Args:
            seconds: after which what was found until then is returned.
        """

        async def exists(condition: Filter) -> bool:
            return bool(await self._store.find_feedback(condition, NEWEST_FEEDBACK_FIRST, Page(1), tenant))

        following = AllOf((where, after_cursor(after, "created_at_us", "feedback_id", Op.GT)))
        found = await self._walk(following, after, tenant).find(limit + 1, seconds)
        entries = found.rows[:limit]
        if len(found.rows) > limit:
            return FeedbackSlice(entries, (entries[-1].created_at_us, entries[-1].feedback_id))
        if found.position is not None:
            # No id is before the empty text: whatever was created at that time follows.
            return FeedbackSlice(entries, (found.position, ""), searched_from_us=found.position)
        if not entries and after is None:
            unknown = await within(find_unknown_keys(FEEDBACK_FILTERS, where, exists), seconds, ())
            return FeedbackSlice([], None, unknown)
        return FeedbackSlice(entries, None)

    def _walk(
        self, following: Filter, after: FeedbackCursor | None, tenant: str | None
    ) -> ListWalk[Feedback]:
        async def read(at_us: int | None, below_us: int | None, limit: int) -> list[Feedback]:
            part = following
            if at_us is not None and below_us is not None:
                bounds = (
                    Comparison("created_at_us", Op.LE, at_us),
                    Comparison("created_at_us", Op.GT, below_us),
                )
                part = AllOf((following, *bounds))
            return await self._store.find_feedback(part, NEWEST_FEEDBACK_FIRST, Page(limit), tenant)

        async def begin() -> tuple[int, int]:
            edges = [
                await self._store.find_feedback(AllOf(), sort, Page(1), tenant)
                for sort in (NEWEST_FEEDBACK_FIRST, OLDEST_FEEDBACK_FIRST)
            ]
            newest, oldest = (edge[0].created_at_us if edge else 0 for edge in edges)
            return min([newest, *([after[0]] if after else []), *end_times(following)]), max(
                [oldest, *start_times(following)]
            )

        async def is_over(at_us: int) -> bool:
            return False

        return ListWalk(read, begin, is_over, HOUR_US)

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
    groups = _groups_of(records)
    on_groups = AnyOf((_on_groups(Target.TRACE, groups), _on_groups(Target.SESSION, groups)))
    entries = {entry.feedback_id: entry for entry in counted}
    # Names alone match other tenants' groups too.
    on_them = [each for each in await list_feedback(store, on_groups, tenant) if _group_of(each) in groups]
    entries |= {entry.feedback_id: entry for entry in on_them}
    in_order = sorted(entries.values(), key=lambda entry: entry.created_at_us)
    return RelatedFeedback(tuple(in_order), counted)


async def latest_feedback_on_requests(
    store: Queries, records: Sequence[RequestRecord], limit: int, tenant: str | None
) -> tuple[Feedback, ...]:
    """Return the newest entries on some requests of a trace or session, newest first; at most `limit`."""
    groups = _groups_of(records)
    on_rows = Comparison("request_seq", Op.IN, tuple(record.seq for record in records))
    entries: dict[str, Feedback] = {}
    # Each has an index of its own.
    for where in (on_rows, _on_groups(Target.TRACE, groups), _on_groups(Target.SESSION, groups)):
        found = await store.find_feedback(where, NEWEST_FEEDBACK_FIRST, Page(limit), tenant)
        entries |= {each.feedback_id: each for each in found if where is on_rows or _group_of(each) in groups}
    return tuple(sorted(entries.values(), key=lambda entry: -entry.created_at_us)[:limit])


def _groups_of(records: Sequence[RequestRecord]) -> set[_Group]:
    groups: set[_Group] = {(record.tenant, Target.TRACE, record.trace_id) for record in records}
    return groups | {(record.tenant, Target.SESSION, record.session) for record in records if record.session}


def _on_groups(target: Target, groups: set[_Group]) -> Filter:
    names = tuple(dict.fromkeys(name for _, kind, name in groups if kind is target))
    field = "session" if target is Target.SESSION else "trace_id"
    return AllOf((Comparison("target", Op.EQ, target), Comparison(field, Op.IN, names)))


def _group_of(entry: Feedback) -> _Group:
    name = entry.session if entry.target is Target.SESSION else entry.trace_id
    return entry.tenant, entry.target, name
