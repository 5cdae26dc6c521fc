"""Several nodes on one database at the same time: nothing is missed and nothing is there twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

from gateway.errors import Conflict
from gateway.models.feedback import Receipt
from gateway.models.filters import NO_FILTER, Page
from gateway.models.metrics import END_OF_TIME_US, GroupKey, MetricsQuery
from gateway.models.request import Facts
from gateway.store import open_store
from gateway.store.base import Store
from gateway.store.postgres.connection import PostgresConnection
from tests.store.random_data import LATER_US
from tests.store.samples import FACTS, OLDEST_FIRST, exchange, feedback, requests_of

ROUNDS = 60


async def kinds_of(attempts: Iterable[Awaitable[object]]) -> list[str]:
    """What came of attempts that were made at once: the names of their errors, or nothing."""
    results = await asyncio.gather(*attempts, return_exceptions=True)
    return sorted(type(result).__name__ if isinstance(result, Exception) else "" for result in results)


async def test_feedback_and_its_request_that_come_at_once_on_two_nodes_do_not_miss_each_other(
    store: Store, other: Store
) -> None:
    for number in range(ROUNDS):
        await asyncio.gather(
            store.append([exchange(f"r{number}", f"t{number}")]),
            other.put_feedback([feedback(f"f{number}", f"t{number}")]),
        )
    votes = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(1000), None)
    assert [vote.trace_id for vote in votes] == [f"t{number}" for number in range(ROUNDS)]


async def test_feedback_and_the_response_id_that_it_names_do_not_miss_each_other(
    store: Store, other: Store
) -> None:
    seqs = await store.append([exchange(f"r{number}", f"t{number}") for number in range(ROUNDS)])
    for number, seq in enumerate(seqs):
        await asyncio.gather(
            store.annotate([(seq, Facts(response_id=f"resp-{number}"))], 1),
            other.put_feedback([feedback(f"f{number}", f"resp-{number}")]),
        )
    votes = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(1000), None)
    assert [vote.request_id for vote in votes] == [f"r{number}" for number in range(ROUNDS)]


async def test_an_idempotency_key_is_used_by_one_of_two_nodes(store: Store, other: Store) -> None:
    for number in range(10):
        receipt = Receipt("scope", f"key-{number}", "digest", (f"a{number}",))
        assert await kinds_of(
            node.put_feedback([feedback(f"{name}{number}")], receipt)
            for name, node in (("a", store), ("b", other))
        ) == ["", Conflict.__name__]


async def test_a_version_follows_another_once(store: Store, other: Store) -> None:
    await store.put_feedback([feedback("f")])
    revised = feedback("f", version=2)
    assert await kinds_of(node.put_feedback([revised]) for node in (store, other)) == ["", Conflict.__name__]
    assert [entry.version for entry in await store.history("f")] == [1, 2]


async def test_what_two_nodes_bring_in_at_once_is_there_once(store: Store, other: Store) -> None:
    past = [(exchange(f"r{number}"), FACTS) for number in range(50)]
    counts = await asyncio.gather(store.append_missing(past, 1), other.append_missing(past, 1))
    assert sum(counts) == len(await requests_of(store)) == 50


async def test_seqs_of_nodes_that_write_at_once_differ(store: Store, other: Store) -> None:
    batches = await asyncio.gather(
        *(node.append([exchange(), exchange()]) for _ in range(ROUNDS) for node in (store, other))
    )
    seqs = [seq for batch in batches for seq in batch]
    assert len(set(seqs)) == len(seqs)
    assert all(first < second for first, second in batches)


async def test_sums_that_one_node_makes_while_another_writes_differ_in_nothing(
    store: Store, other: Store
) -> None:
    async def write() -> None:
        for number in range(ROUNDS):
            [seq] = await other.append([exchange(f"r{number}")])
            await other.annotate([(seq, FACTS)], 1)

    async def roll_up() -> None:
        while len(await requests_of(store)) < ROUNDS:
            await store.roll_up(LATER_US)

    await asyncio.gather(write(), roll_up())
    while await store.roll_up(LATER_US):
        pass
    assert (await store.usage(MetricsQuery(0, END_OF_TIME_US)))[GroupKey()].requests == ROUNDS


async def test_tables_are_made_once_by_nodes_that_start_at_once(url: str) -> None:
    connection = PostgresConnection(url)
    connection.execute("DROP SCHEMA public CASCADE")
    connection.execute("CREATE SCHEMA public")
    connection.close()
    nodes = await asyncio.gather(*(open_store(url) for _ in range(4)))
    await nodes[0].append([exchange()])
    assert len(await requests_of(nodes[3])) == 1
    for node in nodes:
        await node.close()
