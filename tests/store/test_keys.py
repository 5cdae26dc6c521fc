"""What every store promises of the keys made at run time."""

from __future__ import annotations

import pytest

from gateway.errors import Conflict
from gateway.models.quota import Quota
from gateway.store.base import Store, StoredKey


async def test_keys_are_kept_oldest_first_and_revoked_once(store: Store) -> None:
    first = StoredKey("app", "ab" * 32, ("proxy", "feedback"), None, 5)
    second = StoredKey("ops", "cd" * 32, ("admin",), "north", 4)
    await store.add_key(first)
    await store.add_key(second)
    assert await store.keys() == [first, second]
    assert await store.revoke_key("app", at_us=9)
    assert not await store.revoke_key("app", at_us=10)
    assert not await store.revoke_key("nobody", at_us=10)
    assert [key.revoked_at_us for key in await store.keys()] == [9, None]


async def test_the_name_of_a_live_key_is_taken_until_it_is_revoked(store: Store) -> None:
    key = StoredKey("app", "ab" * 32, ("proxy",), None, 5)
    await store.add_key(key)
    with pytest.raises(Conflict, match="'app'"):
        await store.add_key(key)
    await store.revoke_key("app", at_us=9)
    await store.add_key(key)
    assert [stored.revoked_at_us for stored in await store.keys()] == [9, None]


async def test_a_key_keeps_its_limits(store: Store) -> None:
    limits = (Quota.parse("600 requests/minute"), Quota.parse("2.50 usd/month"))
    key = StoredKey("app", "0" * 64, ("proxy",), None, 1, limits=limits)
    await store.add_key(key)
    assert await store.keys() == [key]
