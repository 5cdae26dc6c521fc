"""Keys of metadata that a question names and nothing has: most often misspelt, which an empty answer would not
say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from gateway.domain.filter import All, Filter, Is, Joined, Not, Op
from gateway.query.search import METADATA, Searchable

Exists = Callable[[Filter], Awaitable[bool]]
"""Tells whether there is a record, of the caller's tenant, that meets a condition."""

_TIMES = ("started_at_us", "created_at_us")


async def unknown_keys(searchable: Searchable, where: Filter, exists: Exists) -> tuple[str, ...]:
    """Return the criteria of a search that are on keys which no record of its time has. To be asked where nothing
    was found."""
    within = tuple(_times(where))
    unknown = []
    for field, is_joined in dict.fromkeys(_keys(where)):
        has_key: Filter = Not(Is(field, Op.EQ, None))
        if is_joined:
            has_key = Joined(has_key, searchable.is_counted)
        if not await exists(All((*within, has_key))):
            [prefix] = (prefix for prefix, joins in searchable.prefixes.items() if joins == is_joined)
            unknown.append(f"{prefix}{field.removeprefix(METADATA)}")
    return tuple(unknown)


def _keys(where: Filter, *, is_joined: bool = False) -> Iterator[tuple[str, bool]]:
    if isinstance(where, Is):
        if where.field.startswith(METADATA):
            yield where.field, is_joined
    elif isinstance(where, Joined):
        yield from _keys(where.part, is_joined=True)
    else:
        for part in (where.part,) if isinstance(where, Not) else where.parts:
            yield from _keys(part, is_joined=is_joined)


def _times(where: Filter) -> Iterator[Is]:
    if isinstance(where, Is) and where.field in _TIMES:
        yield where
    elif isinstance(where, All):
        for part in where.parts:
            yield from _times(part)
