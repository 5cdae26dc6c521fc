"""What keys have used: added up over all who tell of it, window by window."""

from __future__ import annotations

import asyncio

from gateway.models.quota import QuotaUsage, Unit, Window
from gateway.store.base import Store


def spending(amount: int, starts_at_us: int = 60, key_name: str = "app") -> QuotaUsage:
    return QuotaUsage(key_name, Unit.TOKENS, Window.MINUTE, starts_at_us, amount)


async def test_what_is_used_in_a_window_adds_up_whoever_tells_of_it(store: Store) -> None:
    await asyncio.gather(
        *(store.spend([spending(number), spending(1, key_name="ci")]) for number in range(10))
    )
    assert sorted(await store.spendings(), key=lambda one: one.key_name) == [
        spending(45),
        spending(10, key_name="ci"),
    ]


async def test_a_window_that_begins_takes_the_place_of_the_one_before(store: Store) -> None:
    await store.spend([spending(5)])
    await store.spend([spending(7, starts_at_us=120)])
    assert await store.spendings() == [spending(7, starts_at_us=120)]


async def test_what_comes_late_for_a_window_that_is_over_changes_nothing(store: Store) -> None:
    await store.spend([spending(7, starts_at_us=120)])
    await store.spend([spending(5)])
    assert await store.spendings() == [spending(7, starts_at_us=120)]


async def test_each_unit_and_each_window_is_counted_by_itself(store: Store) -> None:
    spendings = [QuotaUsage("app", unit, window, 60, 1) for unit in Unit for window in Window]
    await store.spend(spendings)
    assert sorted(await store.spendings(), key=repr) == sorted(spendings, key=repr)
