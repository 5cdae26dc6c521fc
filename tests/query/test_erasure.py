"""Erasure: within what a caller may see, and never while rows wait in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.principal import OPEN_ACCESS, Principal, Role
from gateway.models.request import ErasureScope
from gateway.query.erasure import ErasureService
from gateway.store.base import Admin

FOUND = ErasureScope((1, 2), ("f",))


class RememberingStore:
    """Has the same of everybody, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        self.erased: list[ErasureScope] = []

    async def find_user_scope(self, user: str, tenant: str | None) -> ErasureScope:
        self.asked.append(("user", user, tenant))
        return FOUND

    async def find_author_scope(self, author: str, tenant: str | None) -> ErasureScope:
        self.asked.append(("author", author, tenant))
        return FOUND

    async def erase(self, belongings: ErasureScope, at_us: int) -> None:
        self.erased.append(belongings)

    async def compact(self) -> None:
        raise AssertionError("nobody may be kept from writing")


@dataclass
class Journal:
    """A journal from which the store is behind by so much, and whose files go or stay."""

    behind_ms: int = 0
    is_purged: bool = True

    async def wait(self) -> int:
        return self.behind_ms

    async def purge(self) -> bool:
        return self.is_purged


async def test_a_tenant_reaches_what_is_its_own() -> None:
    store = RememberingStore()
    eraser = ErasureService(cast(Admin, store), Journal())
    northern = Principal("ops", frozenset({Role.ADMIN}), tenant="north")
    await eraser.find_user_scope("ann", northern)
    await eraser.find_author_scope("ann", northern)
    await eraser.find_user_scope("ann", OPEN_ACCESS)
    assert store.asked == [("user", "ann", "north"), ("author", "ann", "north"), ("user", "ann", None)]
    assert store.erased == []


async def test_what_was_found_is_erased() -> None:
    store = RememberingStore()
    await ErasureService(cast(Admin, store), Journal()).erase(FOUND)
    assert store.erased == [FOUND]


async def test_nothing_is_erased_while_rows_wait_outside_the_store() -> None:
    store = RememberingStore()
    with pytest.raises(StoreUnavailable, match="stored after the erasure") as refused:
        await ErasureService(cast(Admin, store), Journal(behind_ms=5)).erase(FOUND)
    assert refused.value.hint is not None
    assert "/readyz" in refused.value.hint
    assert store.erased == []


async def test_what_stays_in_a_file_of_the_journal_is_said_to() -> None:
    store = RememberingStore()
    with pytest.raises(StoreUnavailable, match="still in the journal"):
        await ErasureService(cast(Admin, store), Journal(is_purged=False)).erase(FOUND)
    assert store.erased == [FOUND]
