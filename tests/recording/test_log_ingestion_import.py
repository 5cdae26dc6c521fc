"""Past requests: understood, kept as the policy says, and each brought in once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange, PayloadPolicy
from gateway.models.request import Cost, Facts, ImportedRequest, Payload, RequestRecord, Usage
from gateway.recording.interpreter import CostCalculator
from gateway.recording.log_ingestion import LogImport
from gateway.store.base import Store
from gateway.wire.pricing import ConfiguredPrice, PriceTable
from tests.store.samples import requests_of

from .watched import chat

MakeHistory = Callable[..., LogImport]


@pytest.fixture
def make_history(store: Store) -> MakeHistory:
    pricing = CostCalculator(
        PriceTable({"openai/gpt-4o": ConfiguredPrice(input=1, output=2)}), lambda name: None
    )

    def make(policy: PayloadPolicy = PayloadPolicy.FULL, limit_bytes: int = 10_000) -> LogImport:
        return LogImport(store, pricing, lambda _: policy, limit_bytes)

    return make


def past(request_id: str = "a", facts: Facts | None = None, **given: object) -> ImportedRequest:
    return ImportedRequest(chat(request_id, **given), facts or Facts())  # type: ignore[arg-type]


async def only_row(store: Store) -> RequestRecord:
    [record] = await requests_of(store)
    return record


async def payload_of(store: Store) -> Payload:
    found = await store.payload((await only_row(store)).seq)
    assert found is not None
    return found


async def test_what_is_not_stated_is_read_and_priced(make_history: MakeHistory, store: Store) -> None:
    assert await make_history().import_requests([past()]) == 1

    row = await only_row(store)
    assert (row.model, row.prompt_tokens, row.completion_tokens) == ("gpt-4o", 3, 4)
    assert (row.cost_nanousd, row.price_version) == (11_000, "config")
    assert row.interpreted_at_us is not None


async def test_a_cost_that_is_stated_is_not_worked_out(make_history: MakeHistory, store: Store) -> None:
    await make_history().import_requests([past(facts=Facts(cost=Cost(5, "theirs")))])

    row = await only_row(store)
    assert (row.cost_nanousd, row.price_version) == (5, "theirs")


async def test_a_cost_is_worked_out_from_counts_that_are_stated(
    make_history: MakeHistory, store: Store
) -> None:
    facts = Facts(model="gpt-4o", usage=Usage(prompt_tokens=10, completion_tokens=10))
    await make_history().import_requests([past(facts=facts, body=b"")])

    assert (await only_row(store)).cost_nanousd == 30_000


async def test_each_request_is_brought_in_once(make_history: MakeHistory, store: Store) -> None:
    history = make_history()
    given = [past("a"), past("b"), past("a"), past("c")]

    assert await history.missing(given) == [given[0], given[1], given[3]]
    assert await history.import_requests(given[:2]) == 2
    assert await history.missing(given) == [given[3]]
    assert await history.import_requests(given) == 1
    assert await history.import_requests(given) == 0
    assert [row.request_id for row in await requests_of(store)] == ["a", "b", "c"]


async def test_bodies_are_kept_as_the_policy_of_the_provider_says(
    make_history: MakeHistory, store: Store
) -> None:
    await make_history(PayloadPolicy.REDACTED).import_requests(
        [past(request_body=b'{"model":"m","say":"hush"}')]
    )

    assert b"hush" not in (await payload_of(store)).request_body
    assert (await only_row(store)).prompt_tokens == 3


async def test_no_body_is_kept_where_none_may_be(make_history: MakeHistory, store: Store) -> None:
    await make_history(PayloadPolicy.OFF).import_requests([past()])

    row = await only_row(store)
    assert await store.payload(row.seq) is None
    assert row.prompt_tokens == 3


async def test_a_request_that_comes_without_bodies_has_none(make_history: MakeHistory, store: Store) -> None:
    bare = past(payloads=PayloadPolicy.OFF, body=b"", request_body=b"")
    await make_history().import_requests([bare])

    assert await store.payload((await only_row(store)).seq) is None


async def test_bodies_are_cut_where_the_gateway_would_cut_them(
    make_history: MakeHistory, store: Store
) -> None:
    one = past()
    await make_history(limit_bytes=10).import_requests([one])

    kept = await payload_of(store)
    assert kept.response_body == one.exchange.response_body[:10]
    assert kept.response_truncated
    assert (await only_row(store)).prompt_tokens == 3


async def test_a_store_that_fails_keeps_nothing(make_history: MakeHistory, store: Store) -> None:
    await store.close()

    with pytest.raises(StoreUnavailable):
        await make_history().import_requests([past()])


async def test_bytes_that_make_no_sense_are_kept_with_a_note(make_history: MakeHistory, store: Store) -> None:
    exchange: Exchange = replace(chat(), response_body=b"\xff", response_size=1)
    await make_history().import_requests([ImportedRequest(exchange, Facts())])

    assert (await only_row(store)).note == "the response is not a JSON object"
