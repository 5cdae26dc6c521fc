"""UserReader: who the end users are, what they took and what they and others said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.domain.aggregate import END_OF_TIME_US, Question
from gateway.domain.filter import All, Filter, Is, Op, Page
from gateway.errors import NotFound
from gateway.query.figures import Figures
from gateway.query.ranking import Order, Ranking
from gateway.store.figures import AggregateQueries

LATEST_FIRST = Order("last_seen")

_LAST = "\U0010ffff"
"""The last of all characters: no text that begins with another one comes after it."""


@dataclass(frozen=True, slots=True)
class User:
    """An end user.

    Args:
        figures: of their requests.
        given: how many feedback entries they gave, on whatever.
    """

    name: str
    figures: Figures
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

    def __init__(self, store: AggregateQueries) -> None:
        self._store = store
        self._ranking = Ranking(store)

    async def find(self, question: Question, prefix: str, order: Order, page: Page) -> UserSlice:
        """Return one page of the users whose names begin so and whose requests the question is about.

        Raises:
            BadInput: requests have no such field, or it is compared with a value of another kind.
            TooLarge: there are more users than can be put in order.
        """
        of_users = replace(question, where=All((question.where, _named(prefix))), group_by="user")
        ranked = await self._ranking.find(of_users, order, page)
        users = await self._users(ranked.figures, question.tenant)
        return UserSlice(users, ranked.next_offset, ranked.unknown_keys)

    async def show(self, name: str, tenant: str | None) -> User:
        """Return one user, with the figures of all their requests.

        Raises:
            NotFound: this caller may see neither a request of that user nor an entry that they gave.
        """
        theirs = Question(0, END_OF_TIME_US, where=Is("user", Op.EQ, name), tenant=tenant)
        [figures] = (await self._ranking.find(theirs, LATEST_FIRST, Page(1))).figures
        given = (await self._store.count_given([name], tenant)).get(name, 0)
        if not figures.usage.requests and not given:
            raise NotFound(f"there is no user {name!r}.", field="user")
        return User(name, figures, given)

    async def _users(self, parts: Sequence[Figures], tenant: str | None) -> tuple[User, ...]:
        names = [str(part.cell.value) for part in parts]
        given = await self._store.count_given(names, tenant)
        return tuple(User(name, part, given.get(name, 0)) for name, part in zip(names, parts, strict=True))


def _named(prefix: str) -> Filter:
    if not prefix:
        return Is("user", Op.NE, None)
    return All((Is("user", Op.GE, prefix), Is("user", Op.LT, prefix + _LAST)))
