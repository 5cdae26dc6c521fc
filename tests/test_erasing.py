"""The rule of erasing: within what a caller may see, and never while rows would come back."""

from __future__ import annotations

import pytest

from gateway.domain.erasure import Belongings
from gateway.domain.principal import OPEN, Principal, Role
from gateway.erasing import Eraser
from gateway.errors import StoreUnavailable

FOUND = Belongings((1, 2), ("f",))


class RememberingStore:
    """Has the same of everybody, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        self.erased: list[Belongings] = []

    async def belongings_of(self, user: str, tenant: str | None) -> Belongings:
        self.asked.append(("user", user, tenant))
        return FOUND

    async def given_by(self, author: str, tenant: str | None) -> Belongings:
        self.asked.append(("author", author, tenant))
        return FOUND

    async def erase(self, belongings: Belongings, at_us: int) -> None:
        self.erased.append(belongings)

    async def compact(self) -> None:
        raise AssertionError("nobody may be kept from writing")


async def test_a_tenant_reaches_what_is_its_own() -> None:
    store = RememberingStore()
    eraser = Eraser(store, lambda: False)
    northern = Principal("ops", frozenset({Role.ADMIN}), tenant="north")
    await eraser.of_user("ann", northern)
    await eraser.of_author("ann", northern)
    await eraser.of_user("ann", OPEN)
    assert store.asked == [("user", "ann", "north"), ("author", "ann", "north"), ("user", "ann", None)]
    assert store.erased == []


async def test_what_was_found_is_erased() -> None:
    store = RememberingStore()
    await Eraser(store, lambda: False).erase(FOUND)
    assert store.erased == [FOUND]


async def test_nothing_is_erased_while_rows_wait_outside_the_store() -> None:
    store = RememberingStore()
    with pytest.raises(StoreUnavailable, match="would come back") as refused:
        await Eraser(store, lambda: True).erase(FOUND)
    assert refused.value.hint is not None
    assert "/readyz" in refused.value.hint
    assert store.erased == []
