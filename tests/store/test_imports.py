"""What every store promises of requests that happened before: each is brought in once, with what is known of it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.exchange import PayloadPolicy
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.store.samples import FACTS, entry, exchange, feedback, requests_of


async def test_a_past_request_is_there_with_its_facts_at_once(store: Store) -> None:
    assert await store.append_missing([(exchange("a", payloads=PayloadPolicy.OFF), FACTS)], 5) == 1

    [record] = await requests_of(store)
    assert (record.request_id, record.model, record.prompt_tokens) == ("a", FACTS.model, 12)
    assert (record.cost_nanousd, record.interpreted_at_us) == (1_250_000, 5)
    assert await store.uninterpreted(10) == []


async def test_one_without_facts_is_left_to_be_interpreted(store: Store) -> None:
    await store.append_missing([(exchange("a"), None), (exchange("b"), FACTS)], 5)

    assert [found.identity.request_id for _, found in await store.uninterpreted(10)] == ["a"]


async def test_bringing_in_nothing_stores_nothing(store: Store) -> None:
    assert await store.append_missing([], 5) == 0
    assert await store.missing([]) == []


async def test_what_is_stored_is_not_stored_again(store: Store) -> None:
    await store.append([exchange("live"), exchange("both")])
    past = [exchange("both"), exchange("new"), exchange("live"), exchange("new")]

    assert await store.missing(past) == [1]
    assert await store.append_missing([(one, FACTS) for one in past], 5) == 1
    assert await store.missing(past) == []
    assert await store.append_missing([(one, FACTS) for one in past], 6) == 0
    assert [record.request_id for record in await requests_of(store)] == ["live", "both", "new"]


async def test_a_row_that_is_there_keeps_the_facts_that_it_has(store: Store) -> None:
    [seq] = await store.append([exchange("a")])
    await store.annotate([(seq, Facts(model="its own"))], 4)

    await store.append_missing([(exchange("a"), FACTS)], 5)

    [record] = await requests_of(store)
    assert (record.model, record.interpreted_at_us) == ("its own", 4)


async def test_the_same_id_of_another_tenant_or_at_another_time_is_another_request(store: Store) -> None:
    await store.append([exchange("a")])
    others = [exchange("a", tenant="north"), exchange("a", tenant="south"), exchange("a", started_at_us=5)]

    assert await store.missing(others) == [0, 1, 2]
    assert await store.append_missing([(one, None) for one in others], 5) == 3
    assert await store.append_missing([(one, None) for one in others], 5) == 0


async def test_feedback_that_waited_for_a_past_request_or_its_response_is_joined(store: Store) -> None:
    await store.put_feedback([feedback("f1", "a"), feedback("f2", "chatcmpl-1")])

    await store.append_missing([(exchange("a", "trace"), FACTS)], 5)

    for name in ("f1", "f2"):
        joined = await entry(store, name)
        assert (joined.trace_id, joined.request_id) == ("trace", "a")


async def test_what_is_brought_in_from_several_sides_at_once_is_there_once(store: Store) -> None:
    past = [(exchange(f"r{number}"), FACTS) for number in range(50)]

    counts = await asyncio.gather(*(store.append_missing(past[start:], 5) for start in (0, 10, 0, 20)))

    assert sum(counts) == 50
    assert set(Counter(record.request_id for record in await requests_of(store)).values()) == {1}


async def test_ids_that_no_database_takes_as_they_are_are_recognised_too(store: Store) -> None:
    odd = exchange("a\0\ud800", tenant="n\0")

    assert await store.append_missing([(odd, None)], 5) == 1
    assert await store.append_missing([(odd, None)], 5) == 0


async def test_a_store_that_cannot_be_used_says_so(store: Store) -> None:
    await store.close()

    with pytest.raises(StoreUnavailable):
        await store.append_missing([(exchange("a"), FACTS)], 5)
