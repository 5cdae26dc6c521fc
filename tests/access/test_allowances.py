"""What a key may still use, as far as a process knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from gateway.access.allowances import Allowances
from gateway.domain.clock import now_us
from gateway.domain.exchange import Exchange
from gateway.domain.limit import Limit, Spending, Unit, Window
from gateway.domain.principal import OPEN, Principal, Role
from gateway.domain.request import Cost, Facts, Usage
from gateway.errors import StoreUnavailable, TooManyRequests
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange

FACTS = Facts(usage=Usage(prompt_tokens=60, completion_tokens=40), cost=Cost(500_000_000, "1"))


def caller(*limits: str, name: str = "app") -> Principal:
    return Principal(name, frozenset({Role.PROXY}), limits=tuple(map(Limit.parse, limits)))


def taken(at_us: int | None = None, path: str = "/v1/chat/completions", name: str = "app") -> Exchange:
    return exchange(key_name=name, ended_at_us=at_us or now_us(), path=path)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    await store.close()


async def test_so_many_requests_are_admitted_and_no_more(store: Store) -> None:
    allowances = Allowances(store)
    for _ in range(3):
        allowances.admit(caller("3 requests/day"))
    with pytest.raises(
        TooManyRequests, match="the key 'app' may use 3 requests/day, which it has"
    ) as refused:
        allowances.admit(caller("3 requests/day"))
    now = now_us()
    left = (Window.DAY.end_us(now) - now) / 1_000_000
    assert 0 <= refused.value.retry_after_seconds - left <= 2
    assert allowances.refused == 1


async def test_callers_without_limits_and_other_keys_are_not_counted(store: Store) -> None:
    allowances = Allowances(store)
    for _ in range(5):
        allowances.admit(OPEN)
        allowances.admit(caller())
        allowances.admit(caller("1 requests/day", name="other")) if _ == 0 else None
    await allowances.close()
    assert [spending.key_name for spending in await store.spendings()] == ["other"]


@pytest.mark.parametrize("limit", ["100 tokens/day", "0.50 usd/day"])
async def test_what_a_request_took_counts_once_it_is_known(store: Store, limit: str) -> None:
    allowances = Allowances(store)
    allowances.admit(caller(limit))
    allowances.admit(caller(limit))
    allowances.observe(taken(), FACTS)
    with pytest.raises(TooManyRequests):
        allowances.admit(caller(limit))


async def test_what_did_not_pass_through_here_is_not_counted(store: Store) -> None:
    allowances = Allowances(store)
    allowances.admit(caller("1 tokens/day"))
    allowances.observe(taken(path="https://elsewhere.test/v1/chat/completions"), FACTS)
    allowances.admit(caller("1 tokens/day"))


async def test_what_belongs_to_a_window_that_is_over_is_not_counted_in_the_next(store: Store) -> None:
    allowances = Allowances(store)
    allowances.admit(caller("1 tokens/minute"))
    allowances.observe(taken(now_us() - 3_600_000_000), FACTS)
    allowances.admit(caller("1 tokens/minute"))


async def test_the_limit_that_is_used_up_first_counts(store: Store) -> None:
    allowances = Allowances(store)
    limits = ("2 requests/day", "1000 requests/month")
    allowances.admit(caller(*limits))
    allowances.admit(caller(*limits))
    with pytest.raises(TooManyRequests, match="2 requests/day"):
        allowances.admit(caller(*limits))


async def test_what_is_refused_is_not_counted_as_used(store: Store) -> None:
    allowances = Allowances(store)
    for _ in range(4):
        try:
            allowances.admit(caller("1 requests/day"))
        except TooManyRequests:
            continue
    await allowances.close()
    assert [(one.unit, one.amount) for one in await store.spendings()] == [(Unit.REQUESTS, 1)]


async def test_a_new_process_knows_what_was_used_before(store: Store) -> None:
    before = Allowances(store)
    before.admit(caller("1 requests/day"))
    await before.close()
    after = Allowances(store)
    await after.start()
    try:
        with pytest.raises(TooManyRequests):
            after.admit(caller("1 requests/day"))
    finally:
        await after.close()


class _Failing:
    """A store that fails as often as it is told to."""

    def __init__(self, store: Store, failures: int) -> None:
        self._store = store
        self.failures = failures

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full.")

    async def spend(self, spendings: Sequence[Spending]) -> None:
        self._fail()
        await self._store.spend(spendings)

    async def spendings(self) -> list[Spending]:
        self._fail()
        return await self._store.spendings()


async def test_what_the_store_could_not_be_told_counts_here_and_is_told_later(store: Store) -> None:
    failing = _Failing(store, failures=1)
    allowances = Allowances(failing)
    allowances.admit(caller("1 requests/day"))
    await allowances.close()
    assert (failing.failures, await store.spendings()) == (0, [])
    with pytest.raises(TooManyRequests):
        allowances.admit(caller("1 requests/day"))
    await allowances.close()
    assert [one.amount for one in await store.spendings()] == [1]


class _Slow(_Failing):
    """A store that takes its time for what it is told first."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, failures=0)
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def spend(self, spendings: Sequence[Spending]) -> None:
        await super().spend(spendings)
        self.is_asked.set()
        await self.may_answer.wait()


async def test_what_the_store_is_being_told_while_it_stops_is_told_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.access.allowances.INTERVAL_SECONDS", 0.01)
    slow = _Slow(store)
    allowances = Allowances(slow)
    await allowances.start()
    allowances.admit(caller("5 requests/day"))
    await slow.is_asked.wait()
    closing = asyncio.create_task(allowances.close())
    await asyncio.sleep(0)
    slow.may_answer.set()
    await closing
    assert [one.amount for one in await store.spendings()] == [1]
