"""What every store promises of requests that are told of: kept with their receipt, all or none."""

from __future__ import annotations

import pytest

from gateway.errors import Conflict
from gateway.models.feedback import Receipt
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.store.samples import entry, exchange, feedback, requests_of

RECEIPT = Receipt("scope", "key", "digest", ("a", "b"))


async def test_inserted_rows_are_like_appended_ones(store: Store) -> None:
    [first] = await store.append([exchange("a")])
    rows = [(exchange("b", request_body=b"B"), Facts(model="m")), (exchange("c"), Facts())]
    (second, facts), (third, _) = await store.insert(rows, 1)
    assert facts == Facts(model="m")
    assert first < second < third
    assert [(row.seq, row.request_id) for row in await requests_of(store)] == [
        (first, "a"), (second, "b"), (third, "c"),
    ]  # fmt: skip
    assert [seq for seq, _ in await store.uninterpreted(10)] == [first]
    payload = await store.payload(second)
    assert payload is not None
    assert payload.request_body == b"B"
    assert [row.model for row in await requests_of(store)] == [None, "m", None]


async def test_feedback_that_waited_for_an_inserted_row_is_joined(store: Store) -> None:
    await store.put_feedback([feedback(subject_id="request-1")])
    await store.insert([(exchange("request-1", "trace-1"), Facts())], 1)
    joined = await entry(store)
    assert (joined.request_id, joined.trace_id, joined.joined_at_us is not None) == (
        "request-1",
        "trace-1",
        True,
    )


async def test_the_receipt_is_kept_with_the_rows_and_under_a_used_key_there_are_neither(store: Store) -> None:
    await store.insert([(exchange("a"), Facts()), (exchange("b"), Facts())], 1, RECEIPT)
    assert await store.receipt("scope", "key") == RECEIPT
    with pytest.raises(Conflict):
        await store.insert([(exchange("c"), Facts())], 1, RECEIPT)
    assert [row.request_id for row in await requests_of(store)] == ["a", "b"]
