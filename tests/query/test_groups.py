"""Traces and sessions are paged through alike."""

from __future__ import annotations

import pytest

from gateway.errors import TooLarge
from gateway.models.filters import NO_FILTER, Comparison, Op
from gateway.models.trace import GroupCursor
from gateway.query import groups
from gateway.query.groups import SessionReader, TraceReader
from gateway.store.base import Store

from .conftest import MakeExchange


def in_session(name: str) -> dict[str, str]:
    return {"_session": name}


@pytest.mark.parametrize("reader_of", [TraceReader, SessionReader])
async def test_slices_follow_each_other_and_the_last_has_no_next(
    store: Store, make_exchange: MakeExchange, reader_of: type[TraceReader | SessionReader]
) -> None:
    names = [f"n{number}" for number in range(5)]
    await store.append([make_exchange(trace_id=name, metadata=in_session(name)) for name in names])
    reader = reader_of(store)
    seen: list[str] = []
    after: GroupCursor | None = None
    while True:
        found = await reader.find(NO_FILTER, 2, after, None)
        seen += [group.name for group in found.groups]
        after = found.next_cursor
        if after is None:
            break
    assert seen == names[::-1]


async def test_a_trace_is_found_by_any_of_its_requests_and_shown_with_all(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append(
        [make_exchange(trace_id="t", status=500), make_exchange(trace_id="t"), make_exchange(trace_id="u")]
    )
    found = await TraceReader(store).find(Comparison("status", Op.EQ, 500), 10, None, None)
    [group] = found.groups
    assert (group.name, group.usage.requests, group.usage.errors) == ("t", 2, 1)


@pytest.mark.parametrize("reader_of", [TraceReader, SessionReader])
async def test_a_group_of_very_many_requests_is_refused_and_not_cut(
    store: Store,
    make_exchange: MakeExchange,
    monkeypatch: pytest.MonkeyPatch,
    reader_of: type[TraceReader | SessionReader],
) -> None:
    monkeypatch.setattr(groups, "MAX_REQUESTS", 2)
    await store.append([make_exchange(trace_id="big", metadata=in_session("big")) for _ in range(2)])
    assert len((await reader_of(store).show("big", None)).requests) == 2
    await store.append([make_exchange(trace_id="big", metadata=in_session("big"))])
    with pytest.raises(TooLarge, match="more than 2 requests"):
        await reader_of(store).show("big", None)
