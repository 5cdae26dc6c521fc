"""Reading the log piece by piece, for commands that print as they read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from gateway.cli.stores import open_existing
from gateway.domain.clock import now_us
from gateway.domain.filter import EVERYTHING, All, Filter, Is, Op, Page, Sort
from gateway.domain.request import RequestRecord
from gateway.errors import NotFound
from gateway.query import LoggedRequest, RequestReader
from gateway.store.base import RequestQueries

Print = Callable[[Sequence[RequestRecord]], None]

POLL_SECONDS = 0.5
SLICE = 500
"""Most rows read at a time."""

LOOK_BACK = 200
"""How far behind the newest number a row may appear: where several machines log to a server, a number is taken
before the row is committed."""

GRACE_US = 2_000_000
"""How long a new row is held back until its model and tokens are known."""

_OLDEST_FIRST = Sort("seq", descending=False)


async def tail(url: str, where: Filter, count: int, show: Print) -> None:
    """Show the newest `count` rows in the order in which they were logged."""
    async with open_existing(url) as store:
        show(await _latest(store, where, count))


async def follow(url: str, where: Filter, count: int, show: Print) -> None:
    """Do what `tail` does, then show each new row, for ever. `show` is called at each look, for no rows too."""
    async with open_existing(url) as store:
        recent = await _latest(store, EVERYTHING, LOOK_BACK)
        last = recent[-1].seq if recent else 0
        show(await _latest(store, All((where, Is("seq", Op.LE, last))), count))
        async for records in _arriving(store, where, last, {record.seq for record in recent}):
            show(records)


async def query(url: str, where: Filter, limit: int, show: Print) -> None:
    """Show the newest `limit` rows, the newest first."""
    async with open_existing(url) as store:
        reader = RequestReader(store)
        cursor: int | None = None
        for start in range(0, limit, SLICE):
            found = await reader.find(where, min(SLICE, limit - start), cursor, None)
            show(found.records)
            cursor = found.next_cursor
            if cursor is None:
                return


async def show(url: str, any_id: str, trace_id: str | None) -> LoggedRequest | list[RequestRecord]:
    """Return the request that an id names, or the rows of the trace or session that it names, the newest first.

    Raises:
        NotFound: nothing has that id.
        Ambiguous: it names several requests that have nothing else in common.
    """
    async with open_existing(url) as store:
        reader = RequestReader(store)
        try:
            return await reader.show(any_id, None, trace_id)
        except NotFound as error:
            for name in ("trace_id", "session"):
                found = await reader.find(Is(name, Op.EQ, any_id), SLICE, None, None)
                if len(found.records) == 1:
                    return await reader.show(found.records[0].request_id, None, found.records[0].trace_id)
                if found.records:
                    return list(found.records)
            raise NotFound(f"no request, response, trace or session has the id {any_id!r}.") from error


async def _latest(store: RequestQueries, where: Filter, count: int) -> list[RequestRecord]:
    return (await store.find_requests(where, Sort(), Page(count), None))[::-1]


async def _arriving(
    store: RequestQueries, where: Filter, last: int, seen: set[int]
) -> AsyncIterator[list[RequestRecord]]:
    while True:
        newer = All((where, Is("seq", Op.GT, last - LOOK_BACK)))
        found = await store.find_requests(newer, _OLDEST_FIRST, Page(LOOK_BACK + SLICE), None)
        ready = _ready([record for record in found if record.seq not in seen])
        yield ready
        if ready:
            last = max(last, ready[-1].seq)
            seen |= {record.seq for record in ready}
            seen = {seq for seq in seen if seq > last - LOOK_BACK}
        else:
            await asyncio.sleep(POLL_SECONDS)


def _ready(records: list[RequestRecord]) -> list[RequestRecord]:
    """The rows before the first one that will be known better in a moment."""
    too_old_us = now_us() - GRACE_US
    for index, record in enumerate(records):
        if record.interpreted_at_us is None and record.ended_at_us > too_old_us:
            return records[:index]
    return records
