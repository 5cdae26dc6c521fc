"""What a key may still use, as far as a process knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from gateway.auth.quotas import Quotas
from gateway.errors import BudgetExceeded, LimitExceeded, QuotaExceeded, StoreUnavailable
from gateway.models.clock import format_rfc3339, now_us
from gateway.models.exchange import Exchange
from gateway.models.principal import OPEN_ACCESS, Principal, Role
from gateway.models.quota import Quota, QuotaUsage, Unit, Window
from gateway.models.request import Cost, Facts, Usage
from gateway.recording.ingester import QuotaAccounting
from gateway.store import open_store
from gateway.store.base import Admin, Store
from gateway.web.middleware import error_headers
from tests.store.samples import exchange

FACTS = Facts(usage=Usage(prompt_tokens=60, completion_tokens=40), cost=Cost(500_000_000, "1"))


def caller(*limits: str, name: str = "app") -> Principal:
    return Principal(name, frozenset({Role.PROXY}), limits=tuple(map(Quota.parse, limits)))


def taken(at_us: int | None = None, path: str = "/v1/chat/completions", name: str = "app") -> Exchange:
    return exchange(key_name=name, ended_at_us=at_us or now_us(), path=path)


async def use(store: Store, quotas: Quotas, used: Exchange, *limits: str) -> None:
    """Store a request with what it took of these limits of its key, and have it known."""
    accounting = QuotaAccounting(store, {"app": [Quota.parse(limit) for limit in limits]})
    await accounting.refresh({"app"})
    await store.ingest([(used, FACTS)], None, 1, accounting.usage_of)
    await quotas.refresh()


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url)
    yield store
    await store.close()


async def test_so_many_requests_are_admitted_and_no_more(store: Store) -> None:
    quotas = Quotas(store)
    for _ in range(3):
        quotas.admit(caller("3 requests/day"))
    before = now_us()
    with pytest.raises(LimitExceeded) as refused:
        quotas.admit(caller("3 requests/day"))
    resets_at = format_rfc3339(Window.DAY.end_us(before), "seconds")
    assert (
        str(refused.value) == f"rate limit exceeded for key 'app': 3 requests per day; resets at {resets_at}."
    )
    left = (Window.DAY.end_us(before) - before) / 1_000_000
    assert -1 <= refused.value.seconds_left - left <= 1


@pytest.mark.parametrize(
    ("limit", "kind", "fields"),
    [
        ("0.01 usd/hour", LimitExceeded, {"Retry-After"}),
        ("100 tokens/hour", LimitExceeded, {"Retry-After"}),
        ("100 tokens/day", QuotaExceeded, {"x-should-retry"}),
        ("0 requests/minute", QuotaExceeded, {"x-should-retry"}),
        ("0.01 usd/month", BudgetExceeded, {"x-should-retry"}),
    ],
)
async def test_only_what_resets_soon_is_worth_waiting_for_and_for_a_minute_at_most(
    store: Store, limit: str, kind: type[LimitExceeded], fields: set[str]
) -> None:
    quotas = Quotas(store)
    if not limit.startswith("0 "):
        quotas.admit(caller(limit))
        await use(store, quotas, taken(), limit)
    with pytest.raises(LimitExceeded) as refused:
        quotas.admit(caller(limit))
    assert type(refused.value) is kind
    headers = error_headers(refused.value)
    assert {"Retry-After", "x-should-retry"} & headers.keys() == fields
    assert int(headers.get("Retry-After", "0")) <= 60
    assert headers["x-gateway-limit-resets-at"] == refused.value.resets_at
    assert headers["x-gateway-ratelimit-limit"] == limit
    assert headers["x-gateway-ratelimit-remaining"] == "0"


async def test_of_several_used_up_limits_the_one_that_resets_last_is_told(store: Store) -> None:
    quotas = Quotas(store)
    limits = ("1 requests/day", "1 requests/month", "1 requests/hour")
    quotas.admit(caller(*limits))
    with pytest.raises(QuotaExceeded, match="1 requests per month"):
        quotas.admit(caller(*limits))


async def test_a_caller_is_told_of_the_limit_that_is_nearest_to_being_used_up(store: Store) -> None:
    quotas = Quotas(store)
    limits = ("10 requests/day", "250 tokens/day", "1000 requests/month")
    assert str(quotas.admit(caller(*limits))) == "1 of 10 requests/day"
    await use(store, quotas, taken(), *limits)
    nearest = quotas.admit(caller(*limits))
    assert nearest is not None
    assert (str(nearest), nearest.remaining) == ("100 of 250 tokens/day", 150)
    assert list(map(str, quotas.usage(caller(*limits)))) == [
        "2 of 10 requests/day",
        "100 of 250 tokens/day",
        "2 of 1000 requests/month",
    ]
    assert quotas.admit(caller()) is None


async def test_what_other_processes_used_is_known_once_it_is_asked_for(store: Store) -> None:
    other, here = Quotas(store), Quotas(store)
    here.admit(caller("5 requests/day"))
    other.admit(caller("5 requests/day"))
    await other.close()
    await here.refresh()
    await here.refresh()
    assert list(map(str, here.usage(caller("5 requests/day")))) == ["2 of 5 requests/day"]


async def test_callers_without_limits_and_other_keys_are_not_counted(store: Store) -> None:
    quotas = Quotas(store)
    for _ in range(5):
        quotas.admit(OPEN_ACCESS)
        quotas.admit(caller())
        quotas.admit(caller("1 requests/day", name="other")) if _ == 0 else None
    await quotas.close()
    assert [spending.key_name for spending in await store.spendings()] == ["other"]


@pytest.mark.parametrize("limit", ["100 tokens/day", "0.50 usd/day"])
async def test_what_a_request_took_counts_once_it_is_known(store: Store, limit: str) -> None:
    quotas = Quotas(store)
    quotas.admit(caller(limit))
    quotas.admit(caller(limit))
    await use(store, quotas, taken(), limit)
    with pytest.raises(LimitExceeded):
        quotas.admit(caller(limit))


async def test_what_did_not_pass_through_here_is_not_counted(store: Store) -> None:
    quotas = Quotas(store)
    quotas.admit(caller("1 tokens/day"))
    await use(store, quotas, taken(path="https://elsewhere.test/v1/chat/completions"), "1 tokens/day")
    quotas.admit(caller("1 tokens/day"))


async def test_what_belongs_to_a_window_that_is_over_is_not_counted_in_the_next(store: Store) -> None:
    quotas = Quotas(store)
    quotas.admit(caller("1 tokens/minute"))
    await use(store, quotas, taken(now_us() - 3_600_000_000), "1 tokens/minute")
    quotas.admit(caller("1 tokens/minute"))


async def test_the_limit_that_is_used_up_first_counts(store: Store) -> None:
    quotas = Quotas(store)
    limits = ("2 requests/day", "1000 requests/month")
    quotas.admit(caller(*limits))
    quotas.admit(caller(*limits))
    with pytest.raises(LimitExceeded, match="2 requests per day"):
        quotas.admit(caller(*limits))


async def test_what_is_refused_is_not_counted_as_used(store: Store) -> None:
    quotas = Quotas(store)
    for _ in range(4):
        try:
            quotas.admit(caller("1 requests/day"))
        except LimitExceeded:
            continue
    await quotas.close()
    assert [(one.unit, one.amount) for one in await store.spendings()] == [(Unit.REQUESTS, 1)]


async def test_a_new_process_knows_what_was_used_before(store: Store) -> None:
    before = Quotas(store)
    before.admit(caller("1 requests/day"))
    await before.close()
    after = Quotas(store)
    await after.start()
    try:
        with pytest.raises(LimitExceeded):
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

    async def spend(self, spendings: Sequence[QuotaUsage]) -> None:
        self._fail()
        await self._store.spend(spendings)

    async def spendings(self) -> list[QuotaUsage]:
        self._fail()
        return await self._store.spendings()


async def test_what_the_store_could_not_be_told_counts_here_and_is_told_later(store: Store) -> None:
    failing = _Failing(store, failures=1)
    quotas = Quotas(cast(Admin, failing))
    quotas.admit(caller("1 requests/day"))
    await quotas.close()
    assert (failing.failures, await store.spendings()) == (0, [])
    with pytest.raises(LimitExceeded):
        quotas.admit(caller("1 requests/day"))
    await quotas.close()
    assert [one.amount for one in await store.spendings()] == [1]


class _Slow(_Failing):
    """A store that takes its time for what it is told first."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, failures=0)
        self.is_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def spend(self, spendings: Sequence[QuotaUsage]) -> None:
        await super().spend(spendings)
        self.is_asked.set()
        await self.may_answer.wait()


async def test_what_the_store_is_being_told_while_it_stops_is_told_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.quotas.INTERVAL_SECONDS", 0.01)
    slow = _Slow(store)
    quotas = Quotas(cast(Admin, slow))
    await quotas.start()
    quotas.admit(caller("5 requests/day"))
    await slow.is_asked.wait()
    closing = asyncio.create_task(quotas.close())
    await asyncio.sleep(0)
    slow.may_answer.set()
    await closing
    assert [one.amount for one in await store.spendings()] == [1]
