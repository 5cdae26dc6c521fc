"""UserReader: end users with the metrics of their requests and the feedback they gave."""

import asyncio
from dataclasses import dataclass, replace

from gateway.errors import NotFound
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.metrics import END_OF_TIME_US, Coverage, MetricsQuery
from gateway.models.trace import GroupField, RequestGroup
from gateway.query.metrics import (
    USAGE_ORDERS,
    GroupMetrics,
    MetricsOrder,
    MetricsPage,
    MetricsReader,
    rank_by_feedback,
)
from gateway.store.base import Queries

LAST_SEEN_FIRST = MetricsOrder("last_seen")

MAX_MODELS = 20
MAX_SESSIONS = 20

_MOST_USED_FIRST = MetricsOrder("requests")
_OLDEST_FIRST = Sort("started_at_us", descending=False)

# No text that begins with another character comes after it.
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    figures: GroupMetrics
    given: int


@dataclass(frozen=True, slots=True)
class UserDetail:
    """A user with the models that they used most, and their latest sessions.

    Args:
        first_seen_us: start of their first request; None without one.
        models: the model that answered or was requested, most requests first, at most `MAX_MODELS`.
        sessions: newest first, at most `MAX_SESSIONS`.
    """

    user: User
    first_seen_us: int | None
    models: tuple[GroupMetrics, ...]
    sessions: tuple[RequestGroup, ...]


@dataclass(frozen=True, slots=True)
class UserSlice:
    users: tuple[User, ...]
    next_offset: int | None
    unknown_keys: tuple[str, ...] = ()
    partial: Coverage | None = None


class UserReader:
    def __init__(self, store: Queries) -> None:
        self._store = store
        self._ranking = MetricsReader(store)

    async def find(
        self,
        query: MetricsQuery,
        prefix: str,
        order: MetricsOrder,
        page: Page,
        within_seconds: float | None = None,
        *,
        with_latencies: bool = True,
    ) -> UserSlice:
        """Return users whose names begin with a prefix; with a time limit perhaps by their latest requests only.
        Raises BadInput, TooLarge."""
        where = AllOf((query.where, _name_starts_with(prefix)))
        of_users = replace(query, where=where, group_by="user")
        if within_seconds is not None:
            ranked = await self._rank(of_users, order, page, with_latencies, within_seconds)
        else:
            ranked = await self._page(of_users, order, page, with_latencies)
        names = [str(group.cell.value) for group in ranked.figures]
        given = await self._store.count_feedback_by_author(names, query.tenant)
        pairs = zip(names, ranked.figures, strict=True)
        users = tuple(User(name, group, given.get(name, 0)) for name, group in pairs)
        return UserSlice(users, ranked.next_offset, ranked.unknown_keys, ranked.partial)

    async def _page(
        self, query: MetricsQuery, order: MetricsOrder, page: Page, with_latencies: bool
    ) -> MetricsPage:
        # Sums of all users would be read for the few of a page.
        one_more = replace(page, limit=page.limit + 1)
        if order.by in USAGE_ORDERS:
            found = await self._store.rank_users(query, order.by, one_more, descending=order.descending)
        else:
            found = await self._rank_by_feedback(query, order, one_more)
        if not found:
            # A page with users without feedback, or nobody: then keys that no request has are named.
            return await self._rank(query, order, page, with_latencies)
        of_page = Comparison("user", Op.IN, tuple(found[: page.limit]))
        narrowed = replace(query, where=AllOf((query.where, of_page)))
        ranked = await self._rank(narrowed, order, Page(page.limit), with_latencies)
        following = page.offset + page.limit if len(found) > page.limit else None
        return replace(ranked, next_offset=following)

    async def _rank_by_feedback(self, query: MetricsQuery, order: MetricsOrder, page: Page) -> list[str]:
        feedback = await self._store.feedback_sums(query)
        ranked = await asyncio.to_thread(rank_by_feedback, feedback, order)
        end = page.offset + page.limit
        return [str(key.value) for key in ranked[page.offset : end]] if end <= len(ranked) else []

    async def _rank(
        self,
        query: MetricsQuery,
        order: MetricsOrder,
        page: Page,
        with_latencies: bool,
        within_seconds: float | None = None,
    ) -> MetricsPage:
        return await self._ranking.find(query, order, page, within_seconds, with_latencies=with_latencies)

    async def show(self, name: str, tenant: str | None, *, with_latencies: bool = True) -> UserDetail:
        where = Comparison("user", Op.EQ, name)
        of_user = MetricsQuery(0, END_OF_TIME_US, where=where, tenant=tenant)
        [figures] = (await self._rank(of_user, LAST_SEEN_FIRST, Page(1), with_latencies)).figures
        given = (await self._store.count_feedback_by_author([name], tenant)).get(name, 0)
        if not figures.usage.requests and not given:
            raise NotFound(f"there is no user {name!r}.", field="user")
        user = User(name, figures, given)
        if not figures.usage.requests:
            return UserDetail(user, None, (), ())
        by_model = replace(of_user, group_by="any_model")
        models = await self._rank(by_model, _MOST_USED_FIRST, Page(MAX_MODELS), with_latencies)
        first = await self._store.find_requests(where, _OLDEST_FIRST, Page(1), tenant)
        sessions = await self._store.newest_groups(GroupField.SESSION, where, None, MAX_SESSIONS, tenant)
        return UserDetail(user, first[0].started_at_us if first else None, models.figures, tuple(sessions))


def _name_starts_with(prefix: str) -> Filter:
    if not prefix:
        return Comparison("user", Op.NE, None)
    # A range, unlike LIKE, is found in the index.
    return AllOf((Comparison("user", Op.GE, prefix), Comparison("user", Op.LT, prefix + _LAST_CHARACTER)))
