"""What every store promises of answers that are asked for again: what was used is counted once."""

from __future__ import annotations

from gateway.models.exchange import Outcome
from gateway.models.request import Cost, Facts, RequestRecord, Usage
from gateway.store.base import Store
from tests.store.samples import exchange, requests_of

USED = Usage(prompt_tokens=100, completion_tokens=20)
COST = Cost(5_000, "2026-11")
BEGUN = Facts(response_id="resp_1")
DONE = Facts(usage=USED, cost=COST, response_id="resp_1", finish_reason="completed", is_retrieval=True)
POLLED = Facts(response_id="resp_1", is_retrieval=True)


def said(row: RequestRecord) -> tuple[object, ...]:
    return row.prompt_tokens, row.cost_nanousd, row.response_id


async def test_the_request_that_began_an_answer_gets_what_its_retrieval_says(store: Store) -> None:
    begun, early, late, again = await store.append([exchange(name) for name in "abcd"])
    await store.annotate([(begun, BEGUN)], 1)
    counted = [
        await store.annotate([(seq, facts)], 1)
        for seq, facts in [(early, POLLED), (late, DONE), (again, DONE)]
    ]
    rows = await requests_of(store)
    assert [said(row) for row in rows] == [(100, 5_000, "resp_1"), *[(None, None, None)] * 3]
    assert rows[0].finish_reason == "completed"
    assert [found.usage for [(_, found)] in counted] == [Usage(), USED, Usage()]


async def test_retrievals_of_one_batch_count_once(store: Store) -> None:
    begun, late, again = await store.append([exchange(name) for name in "abc"])
    counted = await store.annotate([(again, DONE), (begun, BEGUN), (late, DONE)], 1)
    rows = await requests_of(store)
    assert said(rows[0]) == (100, 5_000, "resp_1")
    assert sum(found.usage.prompt_tokens or 0 for _, found in counted) == 100


async def test_the_first_retrieval_counts_where_nobody_saw_the_beginning(store: Store) -> None:
    first, second = await store.append([exchange("a"), exchange("b")])
    await store.annotate([(first, DONE)], 1)
    await store.annotate([(second, DONE)], 1)
    assert [said(row) for row in await requests_of(store)] == [(100, 5_000, "resp_1"), (None, None, None)]


async def test_an_answer_of_another_provider_or_tenant_is_another(store: Store) -> None:
    begun = [exchange("a"), exchange("b", provider="other"), exchange("c", tenant="acme")]
    seqs = await store.append(begun)
    await store.annotate([(seqs[0], BEGUN), (seqs[1], DONE), (seqs[2], DONE)], 1)
    assert [row.prompt_tokens for row in await requests_of(store)] == [None, 100, 100]


async def test_a_failure_that_is_retrieved_is_the_failure_of_the_request_that_began_it(store: Store) -> None:
    begun, polled = await store.append([exchange("a"), exchange("b")])
    await store.annotate([(begun, BEGUN)], 1)
    failed = Facts(
        response_id="resp_1", finish_reason="failed", outcome=Outcome.PROVIDER_ERROR, is_retrieval=True
    )
    await store.annotate([(polled, failed)], 1)
    rows = await requests_of(store)
    assert [row.outcome for row in rows] == [Outcome.PROVIDER_ERROR, Outcome.COMPLETE]


async def test_an_answer_that_was_whole_at_once_is_not_counted_again(store: Store) -> None:
    at_once, asked_again = await store.append([exchange("a"), exchange("b")])
    await store.annotate([(at_once, Facts(usage=USED, cost=COST, response_id="resp_1"))], 1)
    [(_, counted)] = await store.annotate([(asked_again, DONE)], 1)
    assert (counted.usage, counted.cost) == (Usage(), None)
    assert [said(row) for row in await requests_of(store)] == [(100, 5_000, "resp_1"), (None, None, None)]
