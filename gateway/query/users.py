"""UserReader: who the end users are, what they took and what they and others said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.errors import NotFound
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.query.metrics import GroupMetrics, MetricsOrder, MetricsReader
from gateway.store.base import Queries

LAST_SEEN_FIRST = MetricsOrder("last_seen")

_LAST_CHARACTER = "\U0010ffff"
"""The last of all characters: no text that begins with another one comes after it."""


@dataclass(frozen=True, slots=True)
class User:
    """An end user.

    Args:
        figures: of their requests.
        given: how many feedback entries they gave, on whatever.
    """

    name: str
    figures: GroupMetrics
    given: int


@dataclass(frozen=True, slots=True)
class UserSlice:
    """Some of the users, in order.

    Args:
        next_offset: how many come before the next ones; None where these are the last.
        unknown_keys: where nobody was found, the criteria on keys of metadata that nothing has.
    """

    users: tuple[User, ...]
    next_offset: int | None
    unknown_keys: tuple[str, ...] = ()


class UserReader:
    """Answers questions about end users. A tenant's questions are about its own rows alone."""

    def __init__(self, store: Queries) -> None:
        self._store = store
        self._ranking = MetricsReader(store)

    async def find(
        self, metrics_query: MetricsQuery, prefix: str, order: MetricsOrder, page: Page
    ) -> UserSlice:
        """Return one page of the users whose names begin so and whose requests the question is about.

        Raises:
            BadInput: requests have no such field, or it is compared with a value of another kind.
            TooLarge: there are more users than can be put in order.
        """
        of_users = replace(
            metrics_query, where=AllOf((metrics_query.where, _name_starts_with(prefix))), group_by="user"
        )
        ranked = await self._ranking.find(of_users, order, page)
        users = await self._users(ranked.figures, metrics_query.tenant)
        return UserSlice(users, ranked.next_offset, ranked.unknown_keys)

    async def show(self, name: str, tenant: str | None) -> User:
        """Return one user, with the figures of all their requests.

        Raises:
            NotFound: this caller may see neither a request of that user nor an entry that they gave.
        """
        theirs = MetricsQuery(0, END_OF_TIME_US, where=Comparison("user", Op.EQ, name), tenant=tenant)
        [figures] = (await self._ranking.find(theirs, LAST_SEEN_FIRST, Page(1))).figures
        given = (await self._store.count_feedback_by_author([name], tenant)).get(name, 0)
        if not figures.usage.requests and not given:
            raise NotFound(f"there is no user {name!r}.", field="user")
        return User(name, figures, given)

    async def _users(self, parts: Sequence[GroupMetrics], tenant: str | None) -> tuple[User, ...]:
        names = [str(part.cell.value) for part in parts]
        given = await self._store.count_feedback_by_author(names, tenant)
        return tuple(User(name, part, given.get(name, 0)) for name, part in zip(names, parts, strict=True))


def _name_starts_with(prefix: str) -> Filter:
    if not prefix:
        return Comparison("user", Op.NE, None)
    return AllOf((Comparison("user", Op.GE, prefix), Comparison("user", Op.LT, prefix + _LAST_CHARACTER)))
