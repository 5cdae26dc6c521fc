"""What traces and sessions have in common: they are found, paged through and read in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gateway.domain.filter import Filter, Is, Op, Page, Sort
from gateway.domain.group import GroupedBy, Place, RequestGroup
from gateway.domain.request import RequestRecord
from gateway.errors import TooLarge
from gateway.query.requests import unknown_keys_of
from gateway.store.base import RequestQueries
from gateway.store.figures import GroupQueries

OLDEST_FIRST = Sort("started_at_us", descending=False)

MAX_REQUESTS = 10_000
"""Most requests of a trace or session that are shown together; more are refused, never cut."""


class GroupStore(RequestQueries, GroupQueries, Protocol):
    """What reading groups needs of a store."""


@dataclass(frozen=True, slots=True)
class GroupSlice:
    """Some of the groups found, that of the newest request first.

    Args:
        next_place: where the next slice begins; None where this one is the last.
        unknown_keys: where nothing was found, the criteria on keys of metadata that nothing has.
    """

    groups: tuple[RequestGroup, ...]
    next_place: Place | None
    unknown_keys: tuple[str, ...] = ()


async def find_groups(
    store: GroupStore, by: GroupedBy, where: Filter, limit: int, after: Place | None, tenant: str | None
) -> GroupSlice:
    """Return the groups of which a request matches, or those that follow `after`.

    Walking from slice to slice meets each group that was there at the start once, while rows are added.
    """
    found = await store.newest_groups(by, where, after, limit + 1, tenant)
    if not found and after is None:
        return GroupSlice((), None, await unknown_keys_of(store, where, tenant))
    groups = tuple(found[:limit])
    return GroupSlice(groups, groups[-1].place if len(found) > limit else None)


async def requests_of(
    store: RequestQueries, by: GroupedBy, name: str, tenant: str | None
) -> tuple[RequestRecord, ...]:
    """Return the requests of a group in the order they started. Raises TooLarge above `MAX_REQUESTS`."""
    found = await store.find_requests(Is(by, Op.EQ, name), OLDEST_FIRST, Page(MAX_REQUESTS + 1), tenant)
    if len(found) > MAX_REQUESTS:
        raise TooLarge(f"it holds more than {MAX_REQUESTS:,} requests.", hint=f"List them by {by}.")
    return tuple(found)
