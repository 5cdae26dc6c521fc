"""From a token to the caller behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.auth.api_keys import TOKEN_PREFIX, ApiKeys, create_key, hash_token, revoke_key
from gateway.errors import Conflict, NotFound
from gateway.models.principal import Principal, Role
from gateway.store import open_store
from gateway.store.base import Store

APP = Principal("app", frozenset({Role.PROXY}))


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url)
    yield store
    await store.close()


async def test_a_configured_key_is_known_by_its_hash(store: Store) -> None:
    ring = ApiKeys({hash_token("secret"): APP}, store)
    assert ring.find("secret") == APP
    for wrong in ("", "Secret", "secret ", hash_token("secret"), "\udcff"):
        assert ring.find(wrong) is None


async def test_a_key_made_at_run_time_is_known_after_a_refresh_and_until_it_is_revoked(store: Store) -> None:
    ring = ApiKeys({}, store)
    token = await create_key(store, "ci", [Role.READ, Role.FEEDBACK], "north")
    assert token.startswith(TOKEN_PREFIX)
    assert ring.find(token) is None
    await ring.refresh()
    assert ring.find(token) == Principal("ci", frozenset({Role.READ, Role.FEEDBACK}), "north")
    await revoke_key(store, "ci")
    await ring.refresh()
    assert ring.find(token) is None


async def test_the_token_itself_is_never_kept(store: Store, tmp_path: Path) -> None:
    token = await create_key(store, "ci", [Role.READ], None)
    written = await asyncio.to_thread(_read_all, tmp_path)
    assert hash_token(token).encode() in written
    assert token.encode() not in written


def _read_all(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_tokens_differ(store: Store) -> None:
    assert len({await create_key(store, str(number), [Role.READ], None) for number in range(10)}) == 10


async def test_a_gateway_is_open_only_as_long_as_there_is_no_key(store: Store) -> None:
    ring = ApiKeys({}, store)
    before = ring.is_open
    await create_key(store, "ci", [Role.READ], None)
    await ring.refresh()
    assert (before, ring.is_open) == (True, False)
    assert not ApiKeys({hash_token("secret"): APP}, store).is_open
    assert ApiKeys({hash_token("secret"): APP}, store, is_disabled=True).is_open


async def test_a_name_can_be_given_again_only_after_it_was_revoked(store: Store) -> None:
    first = await create_key(store, "ci", [Role.READ], None)
    with pytest.raises(Conflict):
        await create_key(store, "ci", [Role.READ], None)
    await revoke_key(store, "ci")
    second = await create_key(store, "ci", [Role.ADMIN], None)
    ring = ApiKeys({}, store)
    await ring.refresh()
    assert ring.find(first) is None
    assert ring.find(second) == Principal("ci", frozenset({Role.ADMIN}))


async def test_a_name_that_no_key_has_cannot_be_revoked(store: Store) -> None:
    with pytest.raises(NotFound):
        await revoke_key(store, "nobody")


async def test_reloaded_keys_replace_those_of_the_configuration_and_no_others(store: Store) -> None:
    ring = ApiKeys({hash_token("old"): APP}, store)
    made = await create_key(store, "ci", [Role.READ], None)
    await ring.refresh()
    ring.configured = {hash_token("new"): APP}
    assert ring.find("old") is None
    assert ring.find("new") == APP
    assert ring.find(made) is not None
