"""What is done is written down before, and how it ended after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.auth.audit import AuditLog
from gateway.errors import NotFound, StoreUnavailable
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store import open_store
from gateway.store.base import Store

ENTRY = AuditEntry(actor="ops", via=AuditChannel.COMMAND, action="keys revoke", target="app")


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url)
    yield store
    await store.close()


async def outcomes(store: Store) -> list[str | None]:
    return [found.outcome for found in await store.find_audit(NO_FILTER, Sort(), Page(9), None)]


async def test_an_action_is_written_down_before_it_is_done(store: Store) -> None:
    async with AuditLog(store).record(ENTRY):
        assert await outcomes(store) == [None]
    assert await outcomes(store) == ["done"]


async def test_its_outcome_may_be_told(store: Store) -> None:
    async with AuditLog(store).record(ENTRY) as outcome:
        outcome.text = "204"
    assert await outcomes(store) == ["204"]


async def test_a_refusal_is_an_outcome(store: Store) -> None:
    with pytest.raises(NotFound):
        async with AuditLog(store).record(ENTRY):
            raise NotFound("no live key is called 'app'.")
    assert await outcomes(store) == ["404"]


async def test_a_failure_is_an_outcome(store: Store) -> None:
    with pytest.raises(RuntimeError):
        async with AuditLog(store).record(ENTRY):
            raise RuntimeError
    assert await outcomes(store) == ["failed"]


async def test_of_what_was_broken_off_it_is_not_known_how_it_ended(store: Store) -> None:
    with pytest.raises(asyncio.CancelledError):
        async with AuditLog(store).record(ENTRY):
            raise asyncio.CancelledError
    assert await outcomes(store) == [None]


async def test_what_cannot_be_written_down_is_not_done(store: Store) -> None:
    await store.close()
    is_done = False
    with pytest.raises(StoreUnavailable):
        async with AuditLog(store).record(ENTRY):
            is_done = True
    assert not is_done
