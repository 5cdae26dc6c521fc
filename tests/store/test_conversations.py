"""Answers that continue one another are one conversation, in whatever order they are understood."""

from __future__ import annotations

from itertools import permutations

import pytest

from gateway.models.request import Facts
from gateway.store.base import Store
from tests.store.samples import exchange, requests_of

CHAIN = {
    "r1": Facts(response_id="resp_1"),
    **{f"r{n}": Facts(response_id=f"resp_{n}", previous_response_id=f"resp_{n - 1}") for n in (2, 3)},
}


async def sessions(store: Store) -> dict[str, tuple[str | None, object]]:
    """Session by request id, in the column and in the metadata."""
    found = await requests_of(store)
    return {record.request_id: (record.session, record.metadata.get("_session")) for record in found}


@pytest.mark.parametrize("order", list(permutations(CHAIN)))
@pytest.mark.parametrize("session", [None, "chat"])
async def test_a_chain_is_one_conversation_in_whatever_order_it_is_understood(
    store: Store, order: tuple[str, ...], session: str | None
) -> None:
    metadata = {} if session is None else {"_session": session}
    rows = [
        exchange("r1", metadata=metadata),
        exchange("r2"),
        exchange("r3", metadata={"a": 1}),
    ]
    seqs = dict(zip(CHAIN, await store.append(rows), strict=True))
    for at_us, name in enumerate(order, start=1):
        await store.annotate([(seqs[name], CHAIN[name])], at_us)
    expected = session or "resp_1"
    assert await sessions(store) == dict.fromkeys(CHAIN, (expected, expected))


async def test_a_chain_that_is_understood_at_once_is_one_conversation(store: Store) -> None:
    seqs = await store.append([exchange(name) for name in CHAIN])
    told = await store.annotate(list(zip(seqs, CHAIN.values(), strict=True))[::-1], 1)
    assert {facts.session for _, facts in told} == {"resp_1", None}
    assert await sessions(store) == dict.fromkeys(CHAIN, ("resp_1", "resp_1"))


async def test_what_continues_an_answer_that_nobody_knows_has_its_id_for_a_session(store: Store) -> None:
    [seq] = await store.append([exchange("r2")])
    await store.annotate([(seq, CHAIN["r2"])], 1)
    assert await sessions(store) == {"r2": ("resp_1", "resp_1")}


async def test_a_chain_stays_within_its_tenant(store: Store) -> None:
    seqs = await store.append([exchange("r1", tenant="north"), exchange("r2", tenant="south")])
    for at_us, (seq, name) in enumerate(zip(seqs, CHAIN, strict=False), start=1):
        await store.annotate([(seq, CHAIN[name])], at_us)
    assert await sessions(store) == {"r1": (None, None), "r2": ("resp_1", "resp_1")}


async def test_a_request_that_names_its_session_stays_in_it(store: Store) -> None:
    seqs = await store.append([exchange("r1"), exchange("r2", metadata={"_session": "own"})])
    for at_us, (seq, name) in enumerate(zip(seqs, CHAIN, strict=False), start=1):
        await store.annotate([(seq, CHAIN[name])], at_us)
    assert await sessions(store) == {"r1": (None, None), "r2": ("own", "own")}
