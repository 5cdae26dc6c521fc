"""From stored exchanges to facts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.models.exchange import Exchange, LoggingOptOut, PayloadPolicy
from gateway.models.request import Facts
from gateway.recording.interpreter import Interpreter
from gateway.store.base import Store
from gateway.wire.facts import CostOf
from gateway.wire.pricing import ConfiguredPrice, PriceTable
from tests.store.samples import requests_of

from .watched import DOWN, WatchedStore, all_read, chat


async def append(store: Store, exchanges: Sequence[Exchange]) -> list[tuple[int, Exchange]]:
    """Store exchanges, and return them as a recorder hands them on."""
    return list(zip(await store.append(exchanges), exchanges, strict=True))


async def test_what_is_submitted_is_understood(interpreter: Interpreter, store: Store) -> None:
    interpreter.start()
    interpreter.submit(await append(store, [chat("a"), chat("b")]))
    await all_read(store)
    for record in await requests_of(store):
        assert (record.model, record.prompt_tokens, record.completion_tokens) == ("gpt-4o", 3, 4)
        assert record.interpreted_at_us is not None


async def test_rows_that_an_earlier_process_left_are_understood_at_the_start(
    interpreter: Interpreter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.recording.interpreter.BATCH_ROWS", 2)
    await store.append([chat(str(number)) for number in range(7)])
    interpreter.start()
    await all_read(store)
    assert {record.response_id for record in await requests_of(store)} == {"chatcmpl-1"}


@pytest.mark.parametrize(
    "given", [{"payloads": PayloadPolicy.OFF}, {"opt_out": LoggingOptOut(response=True)}]
)
async def test_a_row_without_a_payload_is_understood_from_memory_also_when_leftovers_are_looked_for(
    interpreter: Interpreter, store: Store, given: dict[str, Any]
) -> None:
    interpreter.submit(await append(store, [chat(str(number), **given) for number in range(3)]))
    await interpreter._interpret_leftovers()
    assert {record.prompt_tokens for record in await requests_of(store)} == {3}


async def test_what_does_not_fit_in_memory_is_read_back_from_the_store(
    interpreter: Interpreter, watched: WatchedStore, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.recording.interpreter.MAX_BACKLOG_BYTES", 300)
    interpreter.submit(await append(store, [chat(str(number)) for number in range(20)]))
    interpreter.start()
    await all_read(store)
    assert sum(map(len, watched.annotated)) == 20


async def test_facts_that_the_store_does_not_take_are_found_again_later(
    interpreter: Interpreter, watched: WatchedStore, store: Store
) -> None:
    submitted = await append(store, [chat("a")])
    interpreter.start()
    watched.failure = DOWN
    interpreter.submit(submitted)
    for _ in range(10):
        await asyncio.sleep(0.005)
    assert await store.uninterpreted(1)
    watched.failure = None
    await all_read(store)


async def test_a_row_that_cannot_be_understood_holds_up_no_other(
    interpreter: Interpreter, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(exchange: Exchange, _: CostOf) -> Facts:
        if exchange.identity.request_id == "odd":
            raise RecursionError
        return Facts(model="m")

    monkeypatch.setattr("gateway.recording.interpreter.read_facts", read)
    interpreter.start()
    interpreter.submit(await append(store, [chat("odd"), chat("even")]))
    await all_read(store)
    odd, even = await requests_of(store)
    assert odd.note == "interpretation failed: RecursionError"
    assert even.model == "m"


async def test_closing_finishes_what_was_submitted(interpreter: Interpreter, store: Store) -> None:
    interpreter.start()
    interpreter.submit(await append(store, [chat(str(number)) for number in range(600)]))
    await interpreter.close()
    assert await store.uninterpreted(1) == []


async def test_observers_are_told_once_of_each_exchange_with_its_cost(
    watched: WatchedStore, store: Store
) -> None:
    seen: list[tuple[str, int]] = []

    def observe(exchange: Exchange, facts: Facts) -> None:
        assert facts.cost is not None
        seen.append((exchange.identity.request_id, facts.cost.nanousd))

    prices = PriceTable({"gpt-4o": ConfiguredPrice(1.0, 2.0)}, {})
    interpreter = Interpreter(watched, prices, lambda name: None, [observe])
    submitted = await append(store, [chat("a"), chat("b")])
    interpreter.start()
    await all_read(store)
    interpreter.submit(submitted)
    await interpreter.close()
    assert sorted(seen) == [("a", 11_000), ("b", 11_000)]


@pytest.mark.parametrize(
    ("metadata", "nanousd"),
    [({}, 11_000), ({"_model": "dear"}, 110_000), ({"_model": ""}, 11_000), ({"_model": 5}, 11_000)],
)
async def test_the_model_that_the_caller_states_is_the_one_that_is_priced(
    store: Store, metadata: dict[str, object], nanousd: int
) -> None:
    prices = PriceTable({"gpt-4o": ConfiguredPrice(1.0, 2.0), "dear": ConfiguredPrice(10.0, 20.0)}, {})
    interpreter = Interpreter(store, prices, lambda name: None)
    interpreter.submit(await append(store, [chat("a", metadata=metadata)]))
    interpreter.start()
    await all_read(store)
    await interpreter.close()
    [record] = await requests_of(store)
    assert (record.model, record.cost_nanousd) == ("gpt-4o", nanousd)


async def test_observers_are_told_once_however_often_the_store_fails(
    watched: WatchedStore, store: Store
) -> None:
    seen: list[str] = []
    interpreter = Interpreter(
        watched,
        PriceTable({}, {}),
        lambda name: None,
        [lambda exchange, _: seen.append(exchange.identity.request_id)],
    )
    submitted = await append(store, [chat("a")])
    interpreter.start()
    watched.failure = DOWN
    interpreter.submit(submitted)
    for _ in range(20):
        await asyncio.sleep(0.005)
    watched.failure = None
    await all_read(store)
    await interpreter.close()
    assert seen == ["a"]


async def test_rows_that_are_told_of_while_others_are_looked_for_are_not_forgotten(store: Store) -> None:
    class Late(WatchedStore):
        """A row comes from elsewhere while the first look, which does not see it, is on its way back."""

        async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
            found = await super().uninterpreted(limit)
            if not await requests_of(store):
                await store.append([chat("late")])
                interpreter.expect_leftovers()
                has_come.set()
            return found

    has_come = asyncio.Event()
    interpreter = Interpreter(Late(store), PriceTable({}, {}), lambda name: None)
    interpreter.start()
    await has_come.wait()
    await all_read(store)
    await interpreter.close()
