"""UserReader: end users with the metrics of their requests and the feedback they gave."""

from dataclasses import dataclass, replace

from gateway.errors import NotFound
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.query.metrics import GroupMetrics, MetricsOrder, MetricsReader
from gateway.store.base import Queries

LAST_SEEN_FIRST = MetricsOrder("last_seen")

# No text that begins with another character comes after it.
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    figures: GroupMetrics
    given: int


@dataclass(frozen=True, slots=True)
class UserSlice:
    users: tuple[User, ...]
    next_offset: int | None
    unknown_keys: tuple[str, ...] = ()


class UserReader:
    def __init__(self, store: Queries) -> None:
        self._store = store
        self._ranking = MetricsReader(store)

    async def find(self, query: MetricsQuery, prefix: str, order: MetricsOrder, page: Page) -> UserSlice:
        """Return users whose names begin with a prefix. Raises BadInput, TooLarge."""
        where = AllOf((query.where, _name_starts_with(prefix)))
        of_users = replace(query, where=where, group_by="user")
        ranked = await self._ranking.find(of_users, order, page)
        names = [str(group.cell.value) for group in ranked.figures]
        given = await self._store.count_feedback_by_author(names, query.tenant)
        pairs = zip(names, ranked.figures, strict=True)
        users = tuple(User(name, group, given.get(name, 0)) for name, group in pairs)
        return UserSlice(users, ranked.next_offset, ranked.unknown_keys)

    async def show(self, name: str, tenant: str | None) -> User:
        of_user = MetricsQuery(0, END_OF_TIME_US, where=Comparison("user", Op.EQ, name), tenant=tenant)
        [figures] = (await self._ranking.find(of_user, LAST_SEEN_FIRST, Page(1))).figures
        given = (await self._store.count_feedback_by_author([name], tenant)).get(name, 0)
        if not figures.usage.requests and not given:
            raise NotFound(f"there is no user {name!r}.", field="user")
        return User(name, figures, given)


def _name_starts_with(prefix: str) -> Filter:
    if not prefix:
        return Comparison("user", Op.NE, None)
    # A range, unlike LIKE, is found in the index.
    return AllOf((Comparison("user", Op.GE, prefix), Comparison("user", Op.LT, prefix + _LAST_CHARACTER)))
